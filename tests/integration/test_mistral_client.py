"""Mistral's own client (mistralai 3.7.0, unmodified) against POST /v1/ocr and /v1/files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serve_app.api.mistral_request import page_ranges
from tests.client_environment import python_with, run_script
from tests.served import Served, served

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SCRIPT = r"""
import base64, json, sys
from mistralai.client import Mistral

url, file = sys.argv[1:]
client = Mistral(api_key="any", server_url=url)
data = open(file, "rb").read()
seen = {}

kept = client.files.upload(file={"file_name": "paper.pdf", "content": data}, purpose="ocr")
seen["kept"] = kept.model_dump(mode="json")
signed = client.files.get_signed_url(file_id=kept.id, expiry=1).url
seen["signed"] = signed
seen["content"] = client.files.download(file_id=kept.id).read() == data
seen["listed"] = [one.id for one in client.files.list().data]

def process(document, **more):
    answer = client.ocr.process(model="mistral-ocr-latest", document=document, **more)
    return answer.model_dump(mode="json")

seen["by_url"] = process(
    {"type": "document_url", "document_url": signed}, include_image_base64=True
)
seen["by_id"] = process({"type": "file", "file_id": kept.id}, pages=[0, 2], image_limit=1)
inline = "data:application/pdf;base64," + base64.b64encode(data).decode()
seen["inline"] = process({"type": "document_url", "document_url": inline}, pages="1-2")
seen["picture"] = process({"type": "image_url", "image_url": {"url": inline}}, pages=[1])
seen["retrieved"] = client.files.retrieve(file_id=kept.id).filename
seen["deleted"] = client.files.delete(file_id=kept.id).deleted
refused = []
for document, more in (
    ({"type": "file", "file_id": kept.id}, {}),
    ({"type": "document_url", "document_url": inline}, {"pages": [99]}),
    ({"type": "document_url", "document_url": "http://127.0.0.1/a.pdf"}, {}),
):
    try:
        process(document, **more)
    except Exception as error:
        refused.append([type(error).__name__, str(error)])
seen["refused"] = refused
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("mistral")) as running:
        yield running


@pytest.fixture(scope="module")
def seen(server: Served) -> Any:
    """What the client saw, all of it in one run."""
    python = python_with("mistralai==3.7.0")
    return json.loads(run_script(python, SCRIPT, server.url, server.file(3)))


def test_a_file_is_kept_and_forgotten(seen: Any, server: Served) -> None:
    kept = seen["kept"]
    assert (kept["filename"], kept["purpose"], kept["object"]) == ("paper.pdf", "ocr", "file")
    assert kept["bytes" if "bytes" in kept else "size_bytes"] > 100
    assert seen["signed"].startswith(f"{server.url}/v1/files/{kept['id']}/signed?expires=")
    assert (seen["content"], seen["listed"]) == (True, [kept["id"]])
    assert (seen["retrieved"], seen["deleted"]) == ("paper.pdf", True)


def test_our_own_signed_url_is_no_fetch_and_pictures_come_inline(seen: Any) -> None:
    answer = seen["by_url"]
    assert [page["index"] for page in answer["pages"]] == [0, 1, 2]
    assert answer["pages"][1]["markdown"] == "# Page 2\n\n![img-1.jpeg](img-1.jpeg)"
    image = answer["pages"][1]["images"][0]
    assert image["id"] == "img-1.jpeg"
    assert image["image_base64"].startswith("data:image/jpeg;base64,/9j/")
    assert answer["pages"][0]["dimensions"] == {"dpi": 72, "height": 48, "width": 64}
    assert answer["usage_info"]["pages_processed"] == 3
    assert answer["model"] == "structure"


def test_pages_are_counted_from_zero(seen: Any) -> None:
    assert [page["index"] for page in seen["by_id"]["pages"]] == [0, 2]
    assert [page["index"] for page in seen["inline"]["pages"]] == [1, 2]
    assert [page["index"] for page in seen["picture"]["pages"]] == [1]


def test_a_bound_on_pictures(seen: Any) -> None:
    first, second = seen["by_id"]["pages"]
    assert [image["id"] for image in first["images"]] == ["img-0.jpeg"]
    assert first["images"][0]["image_base64"] is None
    assert second["images"] == []
    assert "img" not in second["markdown"]


def test_what_is_refused_says_why(seen: Any) -> None:
    (lost, no_page, no_fetch) = seen["refused"]
    assert "There is no file" in lost[1]
    assert no_page[0] == "HTTPValidationError"
    assert "there is no page 100" in no_page[1]
    assert "disabled" in no_fetch[1]


def test_ranges_of_pages() -> None:
    assert page_ranges("0-5, 7") == "1-6,8"
    assert page_ranges([0, 3]) == "1,4"
    assert page_ranges(None) is None


def test_a_long_inline_document(server: Served, tmp_path: Path) -> None:
    """Its base64 stands deep in the body, and is found without a second copy of it."""
    import base64

    import httpx

    from tests import documents

    data = documents.tiff([(64, 48)]) + b"\0" * 2_000_000
    text = "data:image/tiff;base64," + base64.b64encode(data).decode()
    for document in (
        {"type": "image_url", "image_url": text},
        {"type": "image_url", "image_url": {"url": text}},
        {"document_url": text},
    ):
        answer = httpx.post(f"{server.url}/v1/ocr", json={"model": None, "document": document})
        assert answer.status_code == 200, answer.text
        assert answer.json()["usage_info"]["doc_size_bytes"] == len(data)
