from __future__ import annotations

import pytest

from serve_app.documents.sniff import sniff
from serve_app.errors import EmptyFile, UnsupportedFile
from tests import documents

PICTURES = ["png", "jpeg", "webp", "bmp", "gif", "tiff"]


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_are_known_by_their_first_bytes(kind: str) -> None:
    assert sniff(documents.picture(kind)) == kind


def test_pdf_is_known_by_its_header() -> None:
    assert sniff(documents.text_pdf()) == "pdf"


@pytest.mark.parametrize(
    ("junk_bytes", "known"), [(1, True), (500, True), (1024, True), (1025, False)]
)
def test_pdf_header_may_stand_behind_1024_bytes_of_junk(junk_bytes: int, known: bool) -> None:
    data = b"#" * junk_bytes + documents.text_pdf()
    if known:
        assert sniff(data) == "pdf"
    else:
        with pytest.raises(UnsupportedFile):
            sniff(data)


def test_picture_that_mentions_pdf_is_a_picture() -> None:
    data = documents.picture("png")
    assert sniff(data[:8] + b"%PDF-1.7" + data[8:]) == "png"


def test_both_byte_orders_and_bigtiff_are_tiff() -> None:
    assert sniff(documents.big_endian_tiff()) == "tiff"
    assert sniff(documents.tiff(big_tiff=True)) == "tiff"
    assert sniff(b"MM\x00\x2b\x00\x08\x00\x00") == "tiff"


def test_memoryview_is_read() -> None:
    assert sniff(memoryview(documents.picture("webp"))) == "webp"


def test_no_bytes() -> None:
    with pytest.raises(EmptyFile):
        sniff(b"")


@pytest.mark.parametrize(
    "data", [b"x", b"PK\x03\x04", b"BM is how this text begins", b"RIFF\0\0\0\0WAVEfmt ", b"<html>"]
)
def test_unknown_format_names_what_is_read(data: bytes) -> None:
    with pytest.raises(UnsupportedFile, match="PDF, PNG, JPEG, WebP, BMP, GIF and TIFF"):
        sniff(data)
