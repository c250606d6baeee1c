"""Accents that old fonts draw over their letters: Helvetica's own glyphs, set by hand."""

from __future__ import annotations

import pytest

from tests.layer_documents import page_pdf, text, texts_of

# From Adobe's metrics of Helvetica, thousandths of its size.
F, U, ACCENT = 278, 556, 333
OVER = (U - ACCENT) // 2
SIZE = 12


def shown(*parts: bytes | int) -> bytes:
    """Operators: strings, and by how much to go back between them."""
    inner = b"".join(b"%d " % part if isinstance(part, int) else part for part in parts)
    return b"BT /F1 %d Tf 60 700 Td [%s] TJ ET\n" % (SIZE, inner)


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_an_umlaut_written_before_its_letter(rotate: int) -> None:
    content = shown(b"(f)", -OVER, rb"(\250)", OVER + ACCENT, b"(ur uns)")
    assert texts_of(page_pdf(content, rotate=rotate)) == ["für uns"]


def test_an_umlaut_written_behind_its_letter() -> None:
    content = shown(b"(fu)", U - OVER, rb"(\250)", -(U - OVER - ACCENT), b"(r uns)")
    assert texts_of(page_pdf(content)) == ["für uns"]


def test_umlauts_written_after_the_whole_line() -> None:
    """One of them far behind its place tears no word."""
    line = text("fur alle fur uns", 60, 700)
    first = text("\xa8", 60 + (F + OVER) * SIZE / 1000, 700)
    assert texts_of(page_pdf(line + first)) == ["für alle fur uns"]
    content = shown(b"(f)", b"(u)", b"(r a)", rb"(\250)", b"(lle)")
    assert "\xa8" in "".join(texts_of(page_pdf(content)))  # beside a letter, not over it


@pytest.mark.parametrize(
    ("letter", "width", "accent", "read"),
    [
        (b"e", 556, rb"\264", "é"),
        (b"e", 556, b"`", "è"),
        (b"c", 500, rb"\270", "ç"),
        (b"n", 556, rb"\230", "ñ"),
        (b"o", 556, rb"\210", "ô"),
    ],
)
def test_other_accents(letter: bytes, width: int, accent: bytes, read: str) -> None:
    over = (width - ACCENT) // 2
    content = shown(b"(a)", -over, b"(%s)" % accent, over + ACCENT, b"(%sa)" % letter)
    assert texts_of(page_pdf(content)) == [f"a{read}a"]


@pytest.mark.parametrize("words", ["5\xa8 wide", "a \xb4 b", "x\xa8y", "\xa8 alone"])
def test_an_accent_over_no_letter_stays(words: str) -> None:
    assert "\xa8" in texts_of(page_pdf(text(words, 60, 700)))[0].replace("\xb4", "\xa8")
