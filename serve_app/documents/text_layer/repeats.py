"""Text objects that PDFium leaves out of a page's characters, because they repeat another one.

A bold look is often made by drawing the same text again, a little beside. PDFium's text page has it
once; the page drawn without its text must not show it at all.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from serve_app.documents.text_layer.nearby import Nearby

# Page units; and of the text's height.
_STEP = 4.0
_NEAR = 0.6
_MAX_DEPTH = 8
_MAX_OBJECTS = 100_000

Bounds = tuple[float, float, float, float]
Style = tuple[int, float]


def repeats(page: pdfium.PdfPage, known: Iterable[Any]) -> list[Any]:
    """Text objects of ``page`` in the font, the size and nearly the place of one of ``known``."""
    addresses: set[int] = set()
    places: Nearby[Bounds] = Nearby(_STEP)
    for handle in known:
        addresses.add(ctypes.addressof(handle.contents))
        if (bounds := _bounds(handle)) is not None:
            places.add(_style(handle), bounds[0], bounds[1], bounds)
    return [
        handle
        for handle in _text_objects(page)
        if ctypes.addressof(handle.contents) not in addresses and _repeats_one(handle, places)
    ]


def _repeats_one(handle: Any, places: Nearby[Bounds]) -> bool:
    bounds = _bounds(handle)
    if bounds is None:
        return False
    near = places.around(_style(handle), bounds[0], bounds[1], _STEP)
    return any(_is_near(bounds, box) for box in near)


def _text_objects(page: pdfium.PdfPage) -> Iterator[Any]:
    """All of them, those in forms too."""
    seen = 0
    stack = [
        (pdfium_c.FPDFPage_GetObject(page, index), 0)
        for index in range(min(pdfium_c.FPDFPage_CountObjects(page), _MAX_OBJECTS))
    ]
    while stack and seen < _MAX_OBJECTS:
        handle, depth = stack.pop()
        seen += 1
        if not handle:
            continue
        kind = pdfium_c.FPDFPageObj_GetType(handle)
        if kind == pdfium_c.FPDF_PAGEOBJ_TEXT:
            yield handle
        elif kind == pdfium_c.FPDF_PAGEOBJ_FORM and depth < _MAX_DEPTH:
            count = min(pdfium_c.FPDFFormObj_CountObjects(handle), _MAX_OBJECTS)
            stack += [
                (pdfium_c.FPDFFormObj_GetObject(handle, index), depth + 1) for index in range(count)
            ]


def _bounds(handle: Any) -> Bounds | None:
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    if not pdfium_c.FPDFPageObj_GetBounds(handle, left, bottom, right, top):
        return None
    found = left.value, bottom.value, right.value, top.value
    return found if all(abs(edge) < 1e6 for edge in found) else None


def _is_near(one: Bounds, other: Bounds) -> bool:
    reach = _NEAR * min(one[3] - one[1], other[3] - other[1], _STEP)
    return all(abs(a - b) <= reach for a, b in zip(one, other, strict=True))


def _style(handle: Any) -> Style:
    """Font and size. PDFium does not tell the text of an object that it has left out."""
    font, size = pdfium_c.FPDFTextObj_GetFont(handle), ctypes.c_float()
    pdfium_c.FPDFTextObj_GetFontSize(handle, size)
    return ctypes.addressof(font.contents) if font else 0, round(size.value, 3)
