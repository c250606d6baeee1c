"""What PDFium says of each character of a page.

Characters come in PDFium's order of reading, with spaces and line ends that it has made up from
the gaps. Everything that is the same for a text object (font, direction, whether it is painted) is
asked once per object: a page of 2,400 characters takes 20 ms.
"""

from __future__ import annotations

import ctypes
import math
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from serve_app.document import Box
from serve_app.documents.text_layer.geometry import Affine
from serve_app.documents.text_layer.repeats import repeats
from serve_app.documents.text_layer.values import Char, PageText

# Text rendering modes of ISO 32000-1, table 106, that paint nothing.
_PAINTS_NOTHING = frozenset(
    {pdfium_c.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium_c.FPDF_TEXTRENDERMODE_CLIP}
)
_NAME_BYTES = 256
# PDFium's mark for a hyphen at the end of a line, beside FPDFText_IsHyphen.
_LINE_END_HYPHENS = frozenset({0x02, 0xFFFE})
_NO_PLACE: Box = (math.nan, math.nan, math.nan, math.nan)
# Letters that are drawn as one, and Arabic letters by their form in a word: text has plain letters.
_PRESENTATION_FORMS = ((0xFB00, 0xFB4F), (0xFB50, 0xFDFF), (0xFE70, 0xFEFC))


class TooManyCharacters(Exception):
    """Args: how many there are."""


class _Object(NamedTuple):
    font: int
    angle: float
    size: float
    drawn: bool


@dataclass(slots=True)
class _Reader:
    page: Any
    affine: Affine
    objects: dict[int, _Object] = field(default_factory=dict)
    handles: list[Any] = field(default_factory=list)
    fonts: dict[int, int] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    def chars(self, count: int) -> Iterator[Char]:
        breaks = ""
        last: Char | None = None
        index = 0
        while index < count:
            code = pdfium_c.FPDFText_GetUnicode(self.page, index)
            used = 1
            if 0xD800 <= code < 0xDC00 and index + 1 < count:
                low = pdfium_c.FPDFText_GetUnicode(self.page, index + 1)
                if 0xDC00 <= low < 0xE000:
                    code, used = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00), 2
            if pdfium_c.FPDFText_IsGenerated(self.page, index) == 1:
                breaks = "\n" if code in (0x0A, 0x0D) or breaks == "\n" else " "
            else:
                if last is not None:
                    yield last._replace(breaks=breaks)
                last, breaks = self._char(index, code), ""
            index += used
        if last is not None:
            yield last

    def _char(self, index: int, code: int) -> Char:
        about = self._object(index)
        if code in _LINE_END_HYPHENS and pdfium_c.FPDFText_IsHyphen(self.page, index) == 1:
            code = ord("-")
        return Char(
            _plain(code),
            self._ink(index),
            self._cell(index),
            about.font,
            about.angle,
            about.size,
            mapped=pdfium_c.FPDFText_HasUnicodeMapError(self.page, index) != 1,
            drawn=about.drawn,
        )

    def _ink(self, index: int) -> Box:
        left, right, bottom, top = (ctypes.c_double() for _ in range(4))
        if not pdfium_c.FPDFText_GetCharBox(self.page, index, left, right, bottom, top):
            return _NO_PLACE
        return self.affine.box(left.value, bottom.value, right.value, top.value)

    def _cell(self, index: int) -> Box:
        rect = pdfium_c.FS_RECTF()
        if not pdfium_c.FPDFText_GetLooseCharBox(self.page, index, rect):
            return _NO_PLACE
        return self.affine.box(rect.left, rect.bottom, rect.right, rect.top)

    def _object(self, index: int) -> _Object:
        handle = pdfium_c.FPDFText_GetTextObject(self.page, index)
        address = ctypes.addressof(handle.contents) if handle else 0
        if address not in self.objects:
            if handle:
                self.handles.append(handle)
            self.objects[address] = self._new_object(index, handle)
        return self.objects[address]

    def _new_object(self, index: int, handle: Any) -> _Object:
        size, angle = self._size_and_angle(index)
        if not handle:
            return _Object(self._font(0, None), angle, size, drawn=False)
        font = pdfium_c.FPDFTextObj_GetFont(handle)
        address = ctypes.addressof(font.contents) if font else 0
        return _Object(self._font(address, font), angle, size, _is_painted(handle))

    def _size_and_angle(self, index: int) -> tuple[float, float]:
        """From the text's matrix: writers scale and turn there as well as by the font's size."""
        size = pdfium_c.FPDFText_GetFontSize(self.page, index)
        matrix = pdfium_c.FS_MATRIX()
        if not pdfium_c.FPDFText_GetMatrix(self.page, index, matrix):
            return abs(size) * self.affine.scale, 0.0
        sign = -1.0 if size < 0 else 1.0
        x, y = self.affine.vector(sign * matrix.a, sign * matrix.b)
        height = math.hypot(matrix.c, matrix.d)
        return abs(size) * height * self.affine.scale, math.degrees(math.atan2(y, x)) % 360.0

    def _font(self, address: int, font: Any) -> int:
        if address not in self.fonts:
            self.fonts[address] = len(self.names)
            self.names.append(_font_name(font) if font else "")
        return self.fonts[address]


@dataclass(frozen=True, slots=True)
class ReadText:
    """The characters, and the text objects that paint them (handles, as long as the page lives)."""

    text: PageText
    objects: tuple[Any, ...]


def read_characters(page: pdfium.PdfPage, affine: Affine, max_characters: int) -> ReadText:
    """All characters of a page, forms in it included, annotations not.

    Raises:
        TooManyCharacters: more than ``max_characters``; not one was looked at.
    """
    text_page = pdfium_c.FPDFText_LoadPage(page)
    if not text_page:
        return ReadText(PageText((), ()), ())
    try:
        count = max(pdfium_c.FPDFText_CountChars(text_page), 0)
        if count > max_characters:
            raise TooManyCharacters(count)
        reader = _Reader(text_page, affine)
        chars = tuple(reader.chars(count))
        objects = (*reader.handles, *repeats(page, reader.handles))
        return ReadText(PageText(chars, tuple(reader.names)), objects)
    finally:
        pdfium_c.FPDFText_ClosePage(text_page)


def _plain(code: int) -> str:
    if not 0 <= code <= 0x10FFFF:
        return "\ufffd"
    char = chr(code)
    if any(first <= code <= last for first, last in _PRESENTATION_FORMS):
        return unicodedata.normalize("NFKC", char)
    return char


def _is_painted(handle: Any) -> bool:
    mode = pdfium_c.FPDFTextObj_GetTextRenderMode(handle)
    if mode != pdfium_c.FPDF_TEXTRENDERMODE_FILL:
        return mode not in _PAINTS_NOTHING
    red, green, blue, opacity = (ctypes.c_uint() for _ in range(4))
    told = pdfium_c.FPDFPageObj_GetFillColor(handle, red, green, blue, opacity)
    return not told or opacity.value > 0


def _font_name(font: Any) -> str:
    """Without the tag of a subset (ISO 32000-1, 9.6.4)."""
    buffer = ctypes.create_string_buffer(_NAME_BYTES)
    pdfium_c.FPDFFont_GetBaseFontName(font, buffer, _NAME_BYTES)
    name = buffer.value.decode("utf-8", "replace")
    tag, plus, rest = name.partition("+")
    return rest if plus and len(tag) == 6 and tag.isalpha() and tag.isupper() else name
