"""paddleocr_mcp, a client that we did not write, reads documents from our server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documents import encoded, page_text, text_pdf, text_picture
from tests.e2e import mcp
from tests.e2e.server import Server

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("model", "tool"), [("PP-StructureV3", "pp_structurev3"), ("PP-OCRv6", "ocr")]
)
def test_an_unmodified_client_reads_a_pdf_and_a_picture(
    server: Server, tmp_path: Path, model: str, tool: str
) -> None:
    pdf, png = tmp_path / "document.pdf", tmp_path / "picture.png"
    pdf.write_bytes(text_pdf(2))
    png.write_bytes(encoded(text_picture("Hello 42", width=640, height=160), "png"))
    with mcp.client(server.url, model) as client:
        assert client.tools() == [tool]
        expected = f"{page_text(1)} {page_text(2)}".split()
        assert client.read(tool, pdf).split()[: len(expected)] == expected
        # A picture's tool appends a line about its confidence.
        assert client.read(tool, png).split()[:2] == ["Hello", "42"]
