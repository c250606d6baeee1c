"""Write serve_app/formats/glyphless.ttf: a font whose glyphs have no area, one for each width.

Text in it cannot be seen, but is found and selected. Glyph 0 is .notdef, glyph 1 + n is n tenths of
an em wide. Each is one line from corner to corner of its box: PDFium takes the height of a letter
from the outline, and marks nothing where that is empty. Run it with the development environment
(fonttools comes with matplotlib):

    .venv/bin/python scripts/make_glyphless_font.py
"""

from __future__ import annotations

import io
from pathlib import Path

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib.tables._g_l_y_f import Glyph

TARGET = Path(__file__).resolve().parents[1] / "serve_app" / "formats" / "glyphless.ttf"
UNITS_PER_EM, ASCENT, DESCENT = 1000, 800, -200
WIDTHS = range(0, 1001, 100)
NAME = "GlyphLess"


def build() -> bytes:
    """The font file; the same bytes each time."""
    glyphs = [".notdef", *(f"w{width}" for width in WIDTHS)]
    font = FontBuilder(UNITS_PER_EM, isTTF=True)
    font.setupGlyphOrder(glyphs)
    font.setupCharacterMap({0x20: glyphs[1 + 3]})
    outlines = map(_diagonal, WIDTHS)
    font.setupGlyf({".notdef": Glyph(), **dict(zip(glyphs[1:], outlines, strict=True))})
    metrics = zip(glyphs, [0, *WIDTHS], strict=True)
    font.setupHorizontalMetrics({name: (width, 0) for name, width in metrics})
    font.setupHorizontalHeader(ascent=ASCENT, descent=DESCENT)
    font.setupNameTable({"familyName": NAME, "styleName": "Regular", "psName": NAME})
    font.setupOS2(sTypoAscender=ASCENT, sTypoDescender=DESCENT, usWinAscent=ASCENT)
    font.setupPost(keepGlyphNames=False)
    font.font["head"].created = font.font["head"].modified = 0
    font.font.recalcTimestamp = False
    out = io.BytesIO()
    font.save(out)
    return out.getvalue()


def _diagonal(width: int) -> Glyph:
    pen = TTGlyphPen(None)
    pen.moveTo((0, DESCENT))
    pen.lineTo((width, ASCENT))
    pen.closePath()
    return pen.glyph()


if __name__ == "__main__":
    TARGET.write_bytes(build())
