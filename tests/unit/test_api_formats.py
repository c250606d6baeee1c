from __future__ import annotations

import io
import json

import docx
import httpx
import pikepdf
import pypdfium2 as pdfium
import pytest

from serve_app.document import PageInfo, PageResult
from serve_app.errors import EngineCrashed
from serve_app.testing.service import FakeDocumentService, canned_page, fake_settings
from tests import documents
from tests.http_client import http_client

PDF = documents.text_pdf(2)
FORMATS = {
    "html": ("text/html; charset=utf-8", "html"),
    "pdf": ("application/pdf", "pdf"),
    "docx": (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "docx",
    ),
    "hocr": ("text/vnd.hocr+html; charset=utf-8", "hocr"),
    "alto": ("application/xml", "alto.xml"),
    "chunks": ("application/json", "chunks.json"),
}


async def parse(
    service: FakeDocumentService | None = None, name: str = "paper.pdf", **params: str
) -> httpx.Response:
    async with http_client(service, fake_settings()) as client:
        files = {"file": (name, PDF)}
        return await client.post("/v1/parse", files=files, params=params)


def shown(response: httpx.Response, name: str) -> str:
    """What a reader of the answer sees, notes on pages included."""
    if name == "docx":
        document = docx.Document(io.BytesIO(response.content))
        return "\n".join(paragraph.text for paragraph in document.paragraphs)
    if name == "pdf":
        with (
            pdfium.PdfDocument(response.content) as pdf,
            pikepdf.open(io.BytesIO(response.content)) as raw,
        ):
            texts = [page.get_textpage().get_text_range() for page in pdf]
            notes = [str(note.Contents) for page in raw.pages for note in page.get("/Annots", [])]
        return "\n".join(texts + notes)
    return response.text


@pytest.mark.parametrize("name", FORMATS)
async def test_each_format_is_a_file_with_a_type_and_a_name(name: str) -> None:
    response = await parse(format=name)
    media_type, extension = FORMATS[name]
    assert response.status_code == 200
    assert response.headers["content-type"] == media_type
    assert response.headers["content-disposition"] == f'attachment; filename="paper.{extension}"'
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert shown(response, name).count("Hello 42") >= 1


@pytest.mark.parametrize("name", FORMATS)
async def test_a_failed_page_is_visible_in_each_format(name: str) -> None:
    service = FakeDocumentService(errors={1: EngineCrashed("signal 11")})
    response = await parse(service, format=name, on_page_error="partial")
    assert response.status_code == 200
    assert response.headers["x-ocr-failed-pages"] == "2"
    assert "engine_crashed" in shown(response, name)
    assert "signal 11" in shown(response, name)


@pytest.mark.parametrize("name", FORMATS)
async def test_notices_are_in_each_format_and_in_the_header(name: str) -> None:
    def page(info: PageInfo) -> PageResult:
        return canned_page(info, notices=["charts are left out"])

    response = await parse(FakeDocumentService(page=page), format=name)
    if name != "pdf":  # which has no place for them
        assert shown(response, name).count("charts are left out") == 1
    assert response.headers["x-ocr-notice"] == "charts are left out"


@pytest.mark.parametrize("name", ["json", "text"])
async def test_what_is_read_in_the_terminal_is_no_attachment(name: str) -> None:
    assert "content-disposition" not in (await parse(format=name)).headers


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("", 'attachment; filename="document.html"'),
        ("a.b.pdf", 'attachment; filename="a.b.html"'),
        ("../../etc/passwd", 'attachment; filename="passwd.html"'),
        ("C:\\folder\\scan.PDF", 'attachment; filename="scan.html"'),
        ("...", 'attachment; filename="document.html"'),
        ("a b\u202e.pdf", "attachment; filename=\"a_b.html\"; filename*=UTF-8''a%20b.html"),
        ("Füße.pdf", "attachment; filename=\"F__e.html\"; filename*=UTF-8''F%C3%BC%C3%9Fe.html"),
        ('a";x=y\r\nset-cookie: b', None),
        ("x" * 500, f'attachment; filename="{"x" * 100}.html"'),
    ],
)
async def test_the_name_is_derived_safely(name: str, disposition: str | None) -> None:
    response = await parse(name=name, format="html")
    if response.status_code == 422:  # httpx or the form's parser has no such names
        assert name == ""
        return
    told = response.headers["content-disposition"]
    assert disposition in (told, None)
    assert told.isascii()
    assert told.count('"') == 2
    assert "set-cookie" not in response.headers


async def test_a_raw_body_has_no_name() -> None:
    async with http_client() as client:
        response = await client.post("/v1/parse", content=PDF, params={"format": "html"})
    assert response.headers["content-disposition"] == 'attachment; filename="document.html"'
    assert "<title>Document</title>" in response.text


async def test_the_size_of_chunks_is_asked_for() -> None:
    def page(info: PageInfo) -> PageResult:
        return canned_page(info, lines=["A sentence of 32 characters, so. " * 20])

    response = await parse(FakeDocumentService(page=page), format="chunks", chunk_chars="150")
    found = json.loads(response.text)["chunks"]
    assert len(found) == 10
    assert all(len(chunk["text"]) <= 150 for chunk in found)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"chunk_chars": "99"}, "`chunk_chars` must be a whole number from 100 to 20000"),
        ({"chunk_chars": "20001"}, "from 100 to 20000"),
        ({"chunk_chars": "1e3"}, "from 100 to 20000"),
        ({"chunk_chars": "9" * 5000}, "from 100 to 20000"),
        ({"chunk_chars": "١٢٠٠"}, "from 100 to 20000"),
        (
            {"chunk_overlap_chars": "601"},
            "`chunk_overlap_chars` must be a whole number from 0 to 600",
        ),
    ],
)
async def test_sizes_of_chunks_have_bounds(params: dict[str, str], words: str) -> None:
    response = await parse(None, "a.pdf", format="chunks", **params)
    assert response.status_code == 422
    assert words in response.json()["error"]["message"]


async def test_pictures_are_asked_of_the_engine_only_where_they_are_shown() -> None:
    for name, asked in {
        "html": True,
        "hocr": False,
        "alto": False,
        "pdf": False,
        "docx": True,
    }.items():
        service = FakeDocumentService()
        await parse(service, format=name)
        assert service.calls[0].request.options.markdown_images is asked
