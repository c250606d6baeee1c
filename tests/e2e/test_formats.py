"""The formats of /v1/parse on a real server: one document in all of them."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import docx
import pypdfium2 as pdfium
import pytest
from lxml import etree

from tests.corpus import corpus_file
from tests.documents import encoded, text_picture
from tests.e2e.server import Server

pytestmark = pytest.mark.e2e

WORDS = "Searchable invoices are found again"


def scan() -> bytes:
    """A picture of a page with one line on it."""
    return encoded(text_picture(WORDS, width=1200, height=1600, font_px=40), "jpeg", quality=95)


def answer(server: Server, name: str) -> bytes:
    response = server.parse(scan(), format=name)
    assert response.status_code == 200, response.text
    assert response.headers["content-disposition"].startswith("attachment")
    return response.content


def squeezed(text: str) -> str:
    """Without spaces: the recogniser may lose one."""
    return "".join(text.split())


@pytest.mark.parametrize("name", ["html", "hocr", "alto", "chunks"])
def test_texts_hold_what_was_read(server: Server, name: str) -> None:
    data = answer(server, name)
    assert squeezed(WORDS) in squeezed(data.decode())
    if name in ("hocr", "alto"):
        etree.fromstring(data, etree.XMLParser(no_network=True, resolve_entities=False))


def test_a_word_document_holds_it(server: Server) -> None:
    document = docx.Document(io.BytesIO(answer(server, "docx")))
    assert squeezed(WORDS) in squeezed("".join(p.text for p in document.paragraphs))


def test_a_page_that_lies_on_its_side_has_its_text_where_it_is_printed(server: Server) -> None:
    data = corpus_file("ocr_test_rotated_90.pdf")
    response = server.parse(data, format="pdf", orientation="true")
    assert response.status_code == 200
    with pdfium.PdfDocument(response.content) as document:
        page = document[0]
        textpage = page.get_textpage()
        assert textpage.get_text_range().startswith("Docling")
        shown = page.render(scale=1, grayscale=True)
        place = pdfium.PdfPosConv(page, (0, 0, shown.width, shown.height, 0))
        corners = [_shown(place, textpage.get_charbox(at)) for at in range(len("Docling"))]
        ink = shown.to_numpy().reshape(shown.height, shown.width) < 128
    for left, top, right, bottom in corners:
        assert ink[top:bottom, left:right].any()
    # The page is shown on its side: the first word runs upwards or downwards.
    assert abs(corners[-1][1] - corners[0][1]) > 5 * abs(corners[-1][0] - corners[0][0])


def _shown(place: pdfium.PdfPosConv, box: tuple[float, ...]) -> tuple[int, int, int, int]:
    (x1, y1), (x2, y2) = place.to_bitmap(box[0], box[1]), place.to_bitmap(box[2], box[3])
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def test_a_picture_becomes_a_pdf_that_pdfium_and_poppler_find_it_in(
    server: Server, tmp_path: Path
) -> None:
    data = answer(server, "pdf")
    assert len(data) < 1.5 * len(scan())
    with pdfium.PdfDocument(data) as document:
        assert squeezed(WORDS) in squeezed(document[0].get_textpage().get_text_range())
    if shutil.which("pdftotext") is None:
        pytest.skip("poppler-utils is not installed; PDFium has found it")
    file = tmp_path / "made.pdf"
    file.write_bytes(data)
    command = ["pdftotext", str(file), "-"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert squeezed(WORDS) in squeezed(told)
