from __future__ import annotations

import io

from fontTools.ttLib import TTFont

from make_glyphless_font import TARGET, build
from serve_app.formats.pdf_font import ASCENT, DESCENT, WIDTH_STEP


def test_the_file_is_what_its_script_makes() -> None:
    assert TARGET.read_bytes() == build()


def test_its_glyphs_are_as_wide_as_the_pdf_says() -> None:
    font = TTFont(io.BytesIO(TARGET.read_bytes()))
    widths = [font["hmtx"][name][0] for name in font.getGlyphOrder()[1:]]
    assert widths == [WIDTH_STEP * number for number in range(11)]
    assert (font["hhea"].ascent, font["hhea"].descent) == (ASCENT, DESCENT)
