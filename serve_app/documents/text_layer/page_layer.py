"""The text layer of one page, with all checks that need no recogniser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from serve_app.document import DistrustedText
from serve_app.documents.pdf import new_bitmap
from serve_app.documents.text_layer.characters import TooManyCharacters, read_characters
from serve_app.documents.text_layer.geometry import page_to_pixels
from serve_app.documents.text_layer.lines import build_lines
from serve_app.documents.text_layer.rest import rest_of, show
from serve_app.documents.text_layer.suspicion import (
    MOST_IN_FONT,
    broken,
    marked,
    suspicious_fonts,
    without,
)
from serve_app.documents.text_layer.values import PageLayer, PageText, Pixels
from serve_app.documents.text_layer.visible import by_visibility

HIDDEN = "it is not to be seen on the page"


def read_layer(
    page: pdfium.PdfPage, pixels: Pixels, scale: float, max_characters: int
) -> PageLayer:
    """The layer of ``page``, which ``scale`` has rendered as ``pixels`` (BGR).

    The page is of no use for rendering afterwards: its text is switched off.
    """
    height, width = pixels.shape[:2]
    affine = page_to_pixels(page, width, height)
    try:
        read = read_characters(page, affine, max_characters)
    except TooManyCharacters as error:
        many = f"it has {error.args[0]} characters, more than {max_characters}"
        return PageLayer((), distrusted=(DistrustedText(None, many),))
    if not read.text.chars:
        return PageLayer(())
    bare = _without(page, read.objects, scale)
    return checked_text(read.text, pixels, bare)


def checked_text(text: PageText, pixels: Pixels, bare: Pixels) -> PageLayer:
    """Lines of what can be seen and believed, given the page with and without its text."""
    height, width = pixels.shape[:2]
    seen, hidden = by_visibility(text.chars, pixels, bare)
    lines, hidden_lines = build_lines(seen, width, height), build_lines(hidden, width, height)
    distrusted: list[DistrustedText] = []
    if hidden_lines:
        distrusted.append(DistrustedText(None, f"{len(hidden_lines)} lines: {HIDDEN}"))
    suspects = suspicious_fonts(lines, text.fonts, MOST_IN_FONT)
    sound = without(lines, suspects, spared=range(len(text.fonts)))
    distrusted += suspects.values()
    if sound.left_out and not suspects:
        distrusted.append(broken(len(sound.left_out)))
    show(bare, pixels, sound.left_out)
    total = len(lines) + len(hidden_lines)
    kept = tuple(map(marked, sound.kept))
    return PageLayer(kept, text.fonts, total, tuple(distrusted), rest_of(bare))


def _without(page: pdfium.PdfPage, objects: Sequence[Any], scale: float) -> Pixels:
    """The page without these text objects."""
    for handle in objects:
        pdfium_c.FPDFPageObj_SetIsActive(handle, False)
    bitmap = page.render(scale=scale, rotation=0, bitmap_maker=new_bitmap)
    bare: Pixels = np.ascontiguousarray(bitmap.to_numpy())
    bitmap.close()
    return bare
