"""Requests that nobody documents: each gets what was meant, or hears what to do."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import httpx
import pytest

from serve_app.testing.service import FakeDocumentService, fake_settings
from tests import documents
from tests.http_client import b64, http_client

PNG = documents.picture("png")
FORM = {"content-type": "application/x-www-form-urlencoded"}


def multipart(*parts: tuple[str, bytes]) -> dict[str, Any]:
    """A request with parts as they stand: disposition, content."""
    lines = b"".join(
        b"--b\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + data + b"\r\n"
        for head, data in parts
    )
    headers = {"content-type": "multipart/form-data; boundary=b"}
    return {"content": lines + b"--b--\r\n", "headers": headers}


def message(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["message"])


async def test_a_file_without_a_name_in_a_form_is_a_file() -> None:
    big = PNG + b"\0" * 100_000  # more than a text field may have
    async with http_client() as client:
        for data in (PNG, big):
            answer = await client.post("/v1/parse", **multipart(('name="file"', data)))
            assert answer.status_code == 200, answer.text


async def test_the_name_of_a_file_in_place_of_the_file() -> None:
    async with http_client() as client:
        answer = await client.post("/v1/parse", **multipart(('name="file"', b"scan.pdf")))
        assert answer.status_code == 422
        assert "-F file=@NAME" in message(answer)


async def test_two_files() -> None:
    file = 'name="file"; filename="a.png"'
    async with http_client() as client:
        for parts in ([(file, PNG)] * 2, [('name="file"', PNG)] * 2):
            answer = await client.post("/v1/parse", **multipart(*parts))
            assert answer.status_code == 422
            assert "send a request, or a job, for each" in message(answer)


async def test_a_file_by_another_name_is_named() -> None:
    async with http_client() as client:
        answer = await client.post("/v1/parse", files={"document": ("a.png", PNG)})
    assert "no part named `file`, but a file named `document`" in message(answer)


@pytest.mark.parametrize("path", ["/ocr", "/layout-parsing"])
async def test_a_form_to_paddlex_routes_hears_where_forms_go(path: str) -> None:
    async with http_client() as client:
        answer = await client.post(path, files={"file": ("a.png", PNG)})
    assert answer.status_code == 422
    assert "/v1/parse" in answer.json()["errorMsg"]


async def test_json_is_read_where_files_are() -> None:
    async with http_client() as client:
        body = {"file": b64(PNG), "format": "text"}
        answer = await client.post("/v1/parse", json=body)
        assert (answer.status_code, answer.text) == (200, "Page 1\nHello 42\n")
        answer = await client.post("/v1/parse", json={"document": "x"})
        assert (answer.status_code, message(answer)) == (
            422,
            "Give one of `url`, `file` and `upload_id`, as a string",
        )


async def test_what_curl_has_stripped_is_not_taken_for_a_bad_file() -> None:
    document = documents.text_pdf(1)
    sent = document.translate(None, b"\0\r\n")
    async with http_client() as client:
        answer = await client.post("/v1/parse", content=sent + b"x" * 2000, headers=FORM)
        assert "--data-binary" in message(answer)
        # `--data-binary` has the same Content-Type, and is right.
        answer = await client.post("/v1/parse", content=document, headers=FORM)
        assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health"])
async def test_probes_may_ask_for_no_body(path: str) -> None:
    async with http_client() as client:
        answer = await client.head(path)
    assert answer.status_code == 200


async def test_a_body_in_gzip() -> None:
    packed = {"content-encoding": "gzip"}
    async with http_client() as client:
        answer = await client.post("/v1/parse", content=gzip.compress(PNG), headers=packed)
        assert answer.status_code == 200
        two = gzip.compress(PNG[:40]) + gzip.compress(PNG[40:])
        answer = await client.post("/v1/parse", content=two, headers=packed)
        assert answer.status_code == 200
        body = gzip.compress(json.dumps({"file": b64(PNG)}).encode())
        headers = {**packed, "content-type": "application/json"}
        assert (await client.post("/ocr", content=body, headers=headers)).status_code == 200


async def test_a_broken_or_unknown_encoding() -> None:
    whole = gzip.compress(PNG)
    async with http_client() as client:

        async def sent(content: bytes, encoding: str) -> httpx.Response:
            headers = {"content-encoding": encoding}
            return await client.post("/v1/parse", content=content, headers=headers)

        assert "not gzip" in message(await sent(PNG, "gzip"))
        assert "cut off" in message(await sent(whole[:-9], "gzip"))
        answer = await sent(PNG, "br")
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_encoding")


async def test_what_gzip_hides_is_within_the_limits() -> None:
    settings = fake_settings(limits={"max_request_bytes": 2_000_000})
    bomb = gzip.compress(b"\0" * 50_000_000)
    assert len(bomb) < 60_000
    async with http_client(settings=settings) as client:
        answer = await client.post("/v1/parse", content=bomb, headers={"content-encoding": "gzip"})
    assert answer.status_code == 413
    assert answer.json()["error"]["value"] < 3_000_000


async def test_open_webuis_external_loader() -> None:
    service = FakeDocumentService()
    async with http_client(service) as client:
        headers = {"content-type": "application/pdf", "x-filename": "my%20paper.pdf"}
        answer = await client.put(
            "/process", content=documents.tiff([(64, 48)] * 2), headers=headers
        )
    pages = answer.json()
    assert [page["page_content"] for page in pages] == [f"# Page {n}\n\nHello 42" for n in (1, 2)]
    assert pages[1]["metadata"] == {"page": 1, "page_label": "2", "source": "my paper.pdf"}


async def test_tikas_text() -> None:
    async with http_client() as client:
        answer = await client.put(
            "/tika/text", content=documents.tiff([(64, 48)] * 2), headers={"accept": "text/plain"}
        )
        assert answer.json() == {
            "Content-Type": "image/tiff",
            "xmpTPg:NPages": "2",
            "X-TIKA:content": "Page 1\nHello 42\n\nPage 2\nHello 42\n",
        }
        refused = await client.put("/tika/text", content=b"no document")
    assert refused.json()["error"]["code"] == "unsupported_file"


async def test_mistrals_and_doclings_errors_are_in_their_envelopes() -> None:
    async with http_client() as client:
        answer = await client.post("/v1/ocr", json={"model": "mistral-ocr-latest"})
        assert (answer.status_code, answer.json()["object"]) == (422, "error")
        assert answer.json()["detail"][0]["msg"].startswith("document: ")
        url = "data:image/png;base64," + base64.b64encode(PNG).decode()
        body = {"document": {"image_url": url}, "document_annotation_format": {"type": "text"}}
        answer = await client.post("/v1/ocr", json=body)
        assert answer.status_code == 200
        assert "no language model" in answer.headers["x-ocr-notice"]
        answer = await client.post("/v1/convert/file", content=PNG)
        assert answer.json()["detail"].startswith("Send a form")


URL = f"data:image/png;base64,{b64(PNG)}"
WAYS_IN: dict[str, dict[str, Any]] = {
    "/v1/parse": {"content": PNG},
    "/ocr": {"json": {"file": b64(PNG), "fileType": 1}},
    "/layout-parsing": {"json": {"file": b64(PNG), "fileType": 1}},
    "/v1/convert/file": {"files": {"files": ("a.png", PNG)}},
    "/v1/ocr": {"json": {"document": {"type": "image_url", "image_url": URL}}},
    "/process": {"content": PNG},
}


@pytest.mark.parametrize("priority", ["interactive", "batch"])
@pytest.mark.parametrize("path", WAYS_IN)
async def test_the_priority_goes_with_the_pages_by_every_way_in(path: str, priority: str) -> None:
    service = FakeDocumentService()
    headers = {"x-ocr-priority": priority}
    method = "PUT" if path == "/process" else "POST"
    async with http_client(service) as client:
        answer = await client.request(method, path, headers=headers, **WAYS_IN[path])
    assert answer.status_code == 200, answer.text
    assert [call.request.priority for call in service.calls] == [priority]
