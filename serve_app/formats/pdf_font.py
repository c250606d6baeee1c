"""An invisible font for any text; its map to Unicode is made as it is used.

A glyph stands for a character as a reader sees it, marks included, so that these can neither be
lost nor change places. Widths are about those of Helvetica, and an em for square characters: a line
stretched to its box then has its words about where they are printed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from importlib.resources import files

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf, String

# As scripts/make_glyphless_font.py has them: thousandths of the size.
ASCENT, DESCENT = 800, -200
WIDTH_STEP = 100
MAX_GLYPHS = 65_000  # of two-byte codes
_DEFAULT_WIDTH, _SQUARE_WIDTH = 600, 1000
_WIDTHS = {
    char: width
    for width, chars in {
        200: "ijl'|",
        300: ' !",./:;I[\\]ft()-`r{}',
        400: "*",
        500: "Jcksvxyz^",
        700: "ABCDEHKNPRSUVXY&w",
        800: "GMOQm",
        900: "W%",
        1000: "@",
    }.items()
    for char in chars
}
_BFCHARS = 100  # in one section, as Adobe's technical note 5411 has it
_MAP_HEAD = b"""/CIDInit /ProcSet findresource begin
12 dict begin
begincmap
/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def
/CMapName /Adobe-Identity-UCS def
/CMapType 2 def
1 begincodespacerange
<0000> <FFFF>
endcodespacerange
"""
_MAP_TAIL = b"""endcmap
CMapName currentdict /CMap defineresource pop
end
end
"""


class InvisibleFont:
    """One font of a document, from code 1 on."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._object: pikepdf.Object | None = None

    def has_room(self, glyphs: Sequence[str]) -> bool:
        """Whether all of them have or can have a code."""
        return len(self._codes) + len(set(glyphs) - self._codes.keys()) <= MAX_GLYPHS

    def encode(self, glyphs: Sequence[str]) -> str:
        """The codes of a text, as the hexadecimal digits of a PDF string."""
        return "".join(f"{self._codes.setdefault(g, len(self._codes) + 1):04X}" for g in glyphs)

    def reference(self, pdf: Pdf) -> pikepdf.Object:
        """The font's object, empty until ``finish``."""
        if self._object is None:
            self._object = pdf.make_indirect(Dictionary(Type=Name.Font))
        return self._object

    def finish(self, pdf: Pdf) -> None:
        """Fill the object, when all text is written."""
        name = Name.GlyphLess
        descriptor = Dictionary(
            Type=Name.FontDescriptor,
            FontName=name,
            Flags=4,  # symbolic
            FontBBox=[0, DESCENT, _SQUARE_WIDTH, ASCENT],
            Ascent=ASCENT,
            Descent=DESCENT,
            CapHeight=ASCENT,
            ItalicAngle=0,
            StemV=0,
            FontFile2=pdf.make_stream(
                files("serve_app.formats").joinpath("glyphless.ttf").read_bytes()
            ),
        )
        widths = [width_of(glyph) for glyph in self._codes]
        system = Dictionary(Registry=String("Adobe"), Ordering=String("Identity"), Supplement=0)
        descendant = Dictionary(
            Type=Name.Font,
            Subtype=Name.CIDFontType2,
            BaseFont=name,
            CIDSystemInfo=system,
            CIDToGIDMap=pdf.make_stream(_glyph_ids(widths)),
            DW=_DEFAULT_WIDTH,
            W=[1, Array(widths)],
            FontDescriptor=pdf.make_indirect(descriptor),
        )
        font = self.reference(pdf)
        font.Subtype = Name.Type0
        font.BaseFont = name
        font.Encoding = Name("/Identity-H")
        font.DescendantFonts = [pdf.make_indirect(descendant)]
        font.ToUnicode = pdf.make_stream(b"".join(_unicode_map(self._codes)))


def width_of(glyph: str) -> int:
    """Thousandths of the size; a multiple of ``WIDTH_STEP``."""
    base = glyph[0] if not unicodedata.combining(glyph[0]) else glyph[-1]
    if base in _WIDTHS:
        return _WIDTHS[base]
    return _SQUARE_WIDTH if unicodedata.east_asian_width(base) in "WF" else _DEFAULT_WIDTH


def _glyph_ids(widths: Sequence[int]) -> bytes:
    ids = [0, *(1 + width // WIDTH_STEP for width in widths)]
    return b"".join(number.to_bytes(2, "big") for number in ids)


def _unicode_map(codes: dict[str, int]) -> Iterator[bytes]:
    yield _MAP_HEAD
    pairs = [(code, glyph.encode("utf-16-be").hex().upper()) for glyph, code in codes.items()]
    for start in range(0, len(pairs), _BFCHARS):
        part = pairs[start : start + _BFCHARS]
        yield f"{len(part)} beginbfchar\n".encode()
        yield "".join(f"<{code:04X}> <{text}>\n" for code, text in part).encode()
        yield b"endbfchar\n"
    yield _MAP_TAIL
