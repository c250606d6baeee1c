"""The text layers that a reading is compared with, and why some are not to be trusted."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from tests.word_f1 import text_layer

# By eye: these look like text and say something else than the page shows.
LIARS: Mapping[str, str] = {
    "truetype_font_nomapping.pdf": "the font has no Unicode map",
    "type3_font_nomapping.pdf": "the font has no Unicode map",
    "libreoffice-form.pdf": "the fields' text is not part of it",
}
# Beyond these shares of its characters, a layer is not what people see.
MAX_INVISIBLE = MAX_UNMAPPED = 0.05


@dataclass(frozen=True, slots=True)
class Layer:
    """A file's text layer.

    Attributes:
        pages: the text of each page; empty if there is none to compare with.
        why_not: why there is none; empty if there is.
    """

    pages: tuple[str, ...] = ()
    why_not: str = ""


def read_layer(path: Path) -> Layer:
    """The layer of any file."""
    if path.suffix.lower() != ".pdf":
        return Layer(why_not="a picture")
    data = path.read_bytes()
    try:
        pages = tuple(text_layer(data))
        invisible = invisible_share(data)
    except pdfium.PdfiumError as error:
        return Layer(why_not=f"cannot be opened: {error}")
    if why_not := LIARS.get(path.name) or objection(pages, invisible):
        return Layer(why_not=why_not)
    return Layer(pages)


def objection(pages: tuple[str, ...], invisible: float) -> str:
    """What is wrong with the text of a layer; empty if nothing is."""
    text = "".join(pages)
    if not any(character.isalnum() for character in text):
        return "no text"
    if invisible > MAX_INVISIBLE:
        return f"{invisible:.0%} of it is invisible"
    unmapped = sum(_is_unmapped(character) for character in text) / len(text)
    return f"{unmapped:.0%} of it is unmapped" if unmapped > MAX_UNMAPPED else ""


def invisible_share(data: bytes) -> float:
    """Share of the characters that are drawn in text render mode 3: somebody's OCR, mostly."""
    invisible = drawn = 0
    document = pdfium.PdfDocument(data)
    try:
        for page in document:
            text = page.get_textpage()
            for index in range(text.count_chars()):
                if thing := pdfium_c.FPDFText_GetTextObject(text, index):
                    mode = pdfium_c.FPDFTextObj_GetTextRenderMode(thing)
                    drawn += 1
                    invisible += mode == pdfium_c.FPDF_TEXTRENDERMODE_INVISIBLE
    finally:
        document.close()
    return invisible / drawn if drawn else 0.0


def _is_unmapped(character: str) -> bool:
    return character == "\ufffd" or unicodedata.category(character) == "Co"
