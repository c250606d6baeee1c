"""docling's own client (docling-client 2.143.0, unmodified) against /v1/convert.

``json_content`` needs docling-core here, too: without it the server says which extra is missing.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_app.document import Block, PageInfo, PageResult
from tests.client_environment import python_with, run_script
from tests.served import Served, rich_page, served

pytestmark = [pytest.mark.integration, pytest.mark.slow]

HAS_CORE = importlib.util.find_spec("docling_core") is not None
needs_core = pytest.mark.skipif(not HAS_CORE, reason="the extra `docling` is not installed")

SCRIPT = r"""
import json, sys
from docling.service_client import DoclingServiceClient
from docling.datamodel.service.options import ConvertDocumentsOptions

url, file, bad = sys.argv[1:]
seen = {}
with DoclingServiceClient(url=url, api_key="any", poll_server_wait=1.0) as client:
    seen["health"] = client.health().status
    seen["version"] = client.version()
    result = client.convert(source=file)
    seen["status"] = result.status.value
    seen["pages"] = sorted(result.document.pages)
    seen["markdown"] = result.document.export_to_markdown()
    seen["labels"] = [item.label.value for item, _ in result.document.iterate_items()]
    options = ConvertDocumentsOptions(page_range=(2, 3))
    part = client.convert(source=file, options=options)
    seen["part"] = part.document.export_to_markdown()
    try:
        client.convert(source=bad)
    except Exception as error:
        seen["refused"] = [type(error).__name__, str(error), str(getattr(error, "detail", ""))]
print(json.dumps(seen))
"""


def blocks_page(info: PageInfo) -> PageResult:
    """A page with a heading, a paragraph, a list, a table and a picture."""
    from dataclasses import replace

    page = rich_page(info)
    texts = [
        ("paragraph_title", f"Page {info.index + 1}"),
        ("text", "A paragraph."),
        ("text", "- one\n- two"),
        ("table", "<table><tr><td>a</td><td>b</td></tr></table>"),
        ("image", ""),
        ("number", "7"),
    ]
    blocks = tuple(
        Block(
            label,
            (0.0, 8.0 * n, 60.0, 8.0 * n + 6),
            (),
            text,
            level=label == "paragraph_title",
            image="imgs/a.jpg" if label == "image" else None,
        )
        for n, (label, text) in enumerate(texts)
    )
    return replace(page, blocks=blocks)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("docling"), blocks_page) as running:
        yield running


def convert(server: Served, file: str, *, expect: int = 200, **fields: Any) -> Any:
    """POST /v1/convert/file."""
    with Path(file).open("rb") as data:
        answer = httpx.post(
            f"{server.url}/v1/convert/file", data=fields, files={"files": ("a.pdf", data)}
        )
    assert answer.status_code == expect, answer.text
    return answer.json()


@needs_core
def test_the_client_converts_documents(server: Served, tmp_path: Path) -> None:
    python = python_with("docling-client==2.143.0")
    bad = tmp_path / "bad.pdf"
    bad.write_bytes(b"no document")
    seen = json.loads(run_script(python, SCRIPT, server.url, server.file(3), str(bad)))
    assert (seen["health"], seen["status"], seen["pages"]) == ("ok", "success", [1, 2, 3])
    assert "ocr-serve" in seen["version"]
    assert seen["markdown"].count("A paragraph.") == 3
    assert "## Page 2" in seen["markdown"]
    assert seen["labels"][:5] == ["section_header", "text", "list_item", "list_item", "table"]
    assert "Page 1" not in seen["part"]
    assert "Page 3" in seen["part"]
    assert "not a PDF" in seen["refused"][2] or "file" in seen["refused"][2], seen["refused"]


@needs_core
def test_the_document_is_a_docling_document(server: Served) -> None:
    from docling_core.types.doc import DoclingDocument

    fields: dict[str, Any] = {"to_formats": ["json", "doctags"], "image_export_mode": "embedded"}
    answer = convert(server, server.file(2), **fields)
    document = DoclingDocument.model_validate(answer["document"]["json_content"])
    assert len(document.tables) == 2
    assert document.tables[0].data.num_cols == 2
    assert document.pictures[0].image is not None
    furniture = [one.text for one in document.texts if one.content_layer.value == "furniture"]
    assert furniture == ["7", "7"]
    assert answer["document"]["doctags_content"].startswith("<doctag>")


def test_formats_of_one_document(server: Served) -> None:
    """As Open WebUI asks: pictures as marks, pages set apart, booleans in capitals."""
    fields: dict[str, Any] = {
        "to_formats": ["md", "text", "html"],
        "image_export_mode": "placeholder",
        "md_page_break_placeholder": "\f",
        "do_ocr": "True",
        "table_mode": "accurate",
    }
    answer = convert(server, server.file(2), **fields)
    document = answer["document"]
    assert answer["status"] == "success"
    assert document["filename"] == "a.pdf"
    first, second = document["md_content"].split("\f")
    assert "<!-- image -->" in first
    assert "imgs/" not in first
    assert "# Page 2" in second
    assert "line\u2028separator" in document["text_content"]
    assert "<table" in document["html_content"]
    assert document["json_content"] is None


def test_pages_that_fail_are_told(server: Served) -> None:
    answer = convert(server, server.file(100), page_range=["99", "100"])
    assert answer["status"] == "partial_success"
    (error,) = answer["errors"]
    assert error["page_no"] == 100
    assert "Page 99" in answer["document"]["md_content"]
    failed = convert(
        server, server.file(100), page_range=["99", "100"], abort_on_error="true", expect=500
    )
    assert "engine" in failed["detail"]


def test_what_is_not_supported_says_so(server: Served) -> None:
    file = server.file(1)
    refused = convert(server, file, target_type="presigned_url", expect=422)
    assert "artifact storage to be configured" in refused["detail"]
    assert "to_formats" in convert(server, file, to_formats="vtt", expect=422)["detail"]
    answer = httpx.post(
        f"{server.url}/v1/convert/source",
        json={"sources": [{"kind": "http", "url": "http://127.0.0.1/x"}] * 2},
    )
    assert "send a request for each" in answer.json()["detail"]
    missing = httpx.get(f"{server.url}/v1/status/poll/unknown")
    assert (missing.status_code, missing.json()["detail"]) == (404, "Task not found.")


@pytest.mark.skipif(HAS_CORE, reason="the extra `docling` is installed")
def test_without_the_extra_json_says_which(server: Served) -> None:
    refused = convert(server, server.file(1), to_formats="json", expect=422)
    assert "pip install 'ocr-serve[docling]'" in refused["detail"]


def test_a_source_in_the_body_as_a_task(server: Served) -> None:
    import base64

    data = Path(server.file(2)).read_bytes() + b"\0" * 2_000_000
    source = {"kind": "file", "base64_string": base64.b64encode(data).decode(), "filename": "a.pdf"}
    with httpx.Client(base_url=server.url) as client:
        task = client.post("/v1/convert/source/async", json={"sources": [source]}).json()
        assert task["task_type"] == "convert"
        status = client.get(f"/v1/status/poll/{task['task_id']}", params={"wait": 20}).json()
        assert (status["task_status"], status["error_message"]) == ("success", None)
        answer = client.get(f"/v1/result/{task['task_id']}").json()
        assert answer["document"]["md_content"].count("# Page") == 2
        # It is a job like any other.
        result = client.get(f"/v1/jobs/{task['task_id']}/result", params={"format": "text"})
        assert result.text.startswith("Page 1\n")
