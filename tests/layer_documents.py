"""PDFs of one page with text of every kind, written by hand, for tests of the text layer."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pypdfium2 as pdfium

from serve_app.documents.text_layer.page_layer import read_layer
from serve_app.documents.text_layer.values import PageLayer, Pixels
from tests.documents import _assemble_pdf, _escape, _stream

SCALE = 2.0
A4_PT = (0.0, 0.0, 595.0, 842.0)
HELVETICA = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"


def page_pdf(
    content: bytes,
    *,
    media: tuple[float, float, float, float] = A4_PT,
    crop: tuple[float, float, float, float] | None = None,
    rotate: int = 0,
    extra: bytes = b"",
    fonts: Mapping[str, bytes] | None = None,
    maps: Mapping[str, Mapping[str, str]] | None = None,
    resources: bytes = b"",
    objects: tuple[bytes, ...] = (),
) -> bytes:
    """A page with this content.

    Args:
        content: operators; ``F1`` is Helvetica.
        media, crop: left, bottom, right, top in points.
        rotate: /Rotate.
        extra: entries of the page's dictionary.
        fonts: further fonts by name: their dictionaries.
        maps: further fonts by name, Helvetica with a ToUnicode map: letter by letter.
        resources: further entries of /Resources, that name ``objects``: 20 0 R, 21 0 R, …
        objects: these.
    """
    bodies: dict[int, bytes] = {
        1: b"<</Type/Catalog/Pages 2 0 R>>",
        2: b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
        4: _stream(content),
        5: HELVETICA,
    }
    names = {"F1": 5}
    number = 6
    for name, body in (fonts or {}).items():
        bodies[number], names[name] = body, number
        number += 1
    for name, mapping in (maps or {}).items():
        bodies[number] = HELVETICA[:-2] + b"/ToUnicode %d 0 R>>" % (number + 1)
        bodies[number + 1] = to_unicode(mapping)
        names[name] = number
        number += 2
    assert number <= 20, "too many fonts"
    bodies |= {20 + i: body for i, body in enumerate(objects)}
    listed = b" ".join(b"/%s %d 0 R" % (name.encode(), at) for name, at in names.items())
    box = b"/MediaBox[%g %g %g %g]" % media
    if crop is not None:
        box += b"/CropBox[%g %g %g %g]" % crop
    bodies[3] = (
        b"<</Type/Page/Parent 2 0 R%s/Rotate %d/Contents 4 0 R%s"
        b"/Resources<</Font<<%s>>%s>>>>" % (box, rotate, extra, listed, resources)
    )
    last = max(bodies)
    return _assemble_pdf([bodies.get(i, b"null") for i in range(1, last + 1)])


def text(words: str, x: float, y: float, *, size: float = 12, font: str = "F1") -> bytes:
    """Operators that write ``words`` (Latin-1) at a point."""
    return b"BT /%s %g Tf %g %g Td (%s) Tj ET\n" % (font.encode(), size, x, y, _escape(words))


def to_unicode(mapping: Mapping[str, str]) -> bytes:
    """A CMap stream from one-byte codes (given as characters) to text."""
    lines = b"\n".join(
        b"<%02x> <%s>" % (ord(code), said.encode("utf-16-be").hex().encode())
        for code, said in mapping.items()
    )
    return _stream(
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n"
        b"/CMapName /T def /CMapType 2 def\n"
        b"1 begincodespacerange <00> <ff> endcodespacerange\n"
        b"%d beginbfchar\n%s\nendbfchar\nendcmap end end" % (len(mapping), lines)
    )


def grey_picture(width: int = 8, height: int = 8, level: int = 200) -> bytes:
    """An image object of one grey."""
    return _stream(
        zlib.compress(bytes([level]) * (width * height)),
        b"/Type/XObject/Subtype/Image/Width %d/Height %d/BitsPerComponent 8"
        b"/ColorSpace/DeviceGray/Filter/FlateDecode" % (width, height),
    )


def rendered(data: bytes) -> Pixels:
    """The first page."""
    document = pdfium.PdfDocument(data)
    try:
        return np.array(document[0].render(scale=SCALE).to_numpy(), copy=True)
    finally:
        document.close()


def layer_of(data: bytes, *, index: int = 0, max_characters: int = 50_000) -> PageLayer:
    """What the first page's layer is, after the checks that need no recogniser."""
    document = pdfium.PdfDocument(data)
    try:
        page: Any = document[index]
        pixels = np.ascontiguousarray(page.render(scale=SCALE).to_numpy())
        return read_layer(page, pixels, SCALE, max_characters)
    finally:
        document.close()


def texts_of(data: bytes) -> list[str]:
    """The lines of `layer_of`."""
    return [line.text for line in layer_of(data).lines]
