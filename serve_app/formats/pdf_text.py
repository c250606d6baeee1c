"""A page's lines as a PDF content stream of invisible text, each stretched to its box.

Readers expect glyphs from left to right as they are printed, and put right-to-left text into
logical order themselves; so it is written in visual order here (Unicode's bidirectional algorithm).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bidi import get_display

from serve_app.document import Box, Line
from serve_app.formats.characters import clusters, one_line, visible
from serve_app.formats.pdf_font import DESCENT, InvisibleFont, width_of
from serve_app.formats.upright import Turn

# A run longer than this is written in parts; so the glyphs of one always fit into a new font.
MAX_RUN = 2000
# A line this much higher than wide has its text from top to bottom.
_UPRIGHT_RATIO = 1.5
_MAX_CLUSTER = 100  # characters: a string in a font's map to Unicode has at most 512 bytes

_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_DIRECTIONS = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")

Matrix = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the picture that was read lies on the page.

    Attributes:
        width, height: of the picture as it was read, pixels.
        turn: degrees counterclockwise from the page as it is shown to that picture.
        box: the visible part of the page in its own coordinates, points: left, bottom, right, top.
        rotate: the page's /Rotate: 0, 90, 180 or 270, clockwise.
    """

    width: int
    height: int
    turn: Turn
    box: Box
    rotate: int

    def matrix(self) -> Matrix:
        """From the picture's pixels (y downwards) to the page's points (y upwards)."""
        to_unit = (1 / self.width, 0.0, 0.0, 1 / self.height, 0.0, 0.0)
        left, bottom, right, top = self.box
        to_page = (right - left, 0.0, 0.0, top - bottom, left, bottom)
        shown = _times(to_unit, _TURNED_BACK[self.turn])
        return _times(_times(shown, _SHOWN_TO_PAGE[self.rotate]), to_page)

    def on_page(self, box: Box) -> Box:
        """A box of the picture on the page: left, bottom, right, top, points."""
        a, b, c, d, e, f = self.matrix()
        across = [a * x + c * y + e for x, y in (box[:2], box[2:])]
        along = [b * x + d * y + f for x, y in (box[:2], box[2:])]
        return min(across), min(along), max(across), max(along)


# Within the unit square, y downwards: the picture as it was read to the page as it is shown.
_TURNED_BACK: dict[int, Matrix] = {
    0: (1, 0, 0, 1, 0, 0),
    90: (0, 1, -1, 0, 1, 0),
    180: (-1, 0, 0, -1, 1, 1),
    270: (0, -1, 1, 0, 0, 1),
}
# From the page as it is shown, y downwards, to its own coordinates, y upwards.
_SHOWN_TO_PAGE: dict[int, Matrix] = {
    0: (1, 0, 0, -1, 0, 1),
    90: (0, 1, 1, 0, 0, 0),
    180: (-1, 0, 0, 1, 1, 0),
    270: (0, -1, -1, 0, 1, 1),
}


def _times(first: Matrix, then: Matrix) -> Matrix:
    a, b, c, d, e, f = first
    p, q, r, s, t, u = then
    return (
        a * p + b * r,
        a * q + b * s,
        c * p + d * r,
        c * q + d * s,
        e * p + f * r + t,
        e * q + f * s + u,
    )


class TextWriter:
    """Content streams for the pages of one document, and the fonts that they use."""

    def __init__(self) -> None:
        self.fonts: list[InvisibleFont] = []

    def content(self, lines: Sequence[Line], frame: Frame) -> tuple[bytes, set[int]]:
        """The stream, which leaves the graphics state as it was; numbers of the fonts in it."""
        matrix = frame.matrix()
        used: set[int] = set()
        parts = ["q\n"]
        for line in lines:
            for glyphs, place in _runs(line, matrix):
                number = self._font_for(glyphs)
                used.add(number)
                size, stretch, at = place
                numbers = " ".join(f"{value:.6g}" for value in at)
                code = self.fonts[number].encode(glyphs)
                parts.append(
                    f"BT 3 Tr /{font_name(number)} {size:.6g} Tf {stretch:.6g} Tz {numbers} Tm "
                    f"<{code}> Tj ET\n"
                )
        parts.append("Q\n")
        return "".join(parts).encode("ascii"), used

    def _font_for(self, glyphs: Sequence[str]) -> int:
        if not self.fonts or not self.fonts[-1].has_room(glyphs):
            self.fonts.append(InvisibleFont())
        return len(self.fonts) - 1


def font_name(number: int) -> str:
    """In the resources of pages; no other producer's."""
    return f"OcrServe{number}"


Place = tuple[float, float, Matrix]  # size, horizontal scaling in percent, text matrix


def _runs(line: Line, matrix: Matrix) -> Iterator[tuple[list[str], Place]]:
    """The glyphs of a line and where they go, in parts of at most ``MAX_RUN``."""
    glyphs = list(_visual(one_line(_DIRECTIONS.sub("", visible(line.text)))))
    left, top, right, bottom = line.box
    width, height = max(right - left, 1.0), max(bottom - top, 1.0)
    if not glyphs:
        return
    downwards = len(glyphs) > 1 and height > _UPRIGHT_RATIO * width
    length, size = (height, width) if downwards else (width, height)
    whole = sum(map(width_of, glyphs))
    before = 0
    for start in range(0, len(glyphs), MAX_RUN):
        part = glyphs[start : start + MAX_RUN]
        at = length * before / whole
        before += sum(map(width_of, part))
        rise = -size * DESCENT / 1000
        # x along the text and y up from it, in pixels of the picture.
        run: Matrix = (1, 0, 0, -1, left + at, bottom - rise)
        if downwards:
            run = (0, 1, 1, 0, left + rise, top + at)
        stretch = 100 * length / (whole / 1000 * size)
        a, b, c, d, e, f = _times(run, matrix)
        # The size goes into the matrix's scale, so that readers see letters of that height.
        scale = (c * c + d * d) ** 0.5
        along = (a * a + b * b) ** 0.5
        text = (a / along, b / along, c / scale, d / scale, e, f)
        yield part, (size * scale, stretch * along / scale, text)


def _visual(text: str) -> Iterator[str]:
    """The glyphs from left to right; of right-to-left text, marks stand before their letter."""
    if not _RIGHT_TO_LEFT.search(text):
        for cluster in clusters(text):
            yield from (
                cluster[at : at + _MAX_CLUSTER] for at in range(0, len(cluster), _MAX_CLUSTER)
            )
        return
    yield from _visual_glyphs(get_display(text))


def _visual_glyphs(text: str) -> list[str]:
    glyphs: list[str] = []
    before = ""
    for char in text:
        if unicodedata.combining(char) and _RIGHT_TO_LEFT.match(char):
            before += char
        elif unicodedata.combining(char) and glyphs and len(glyphs[-1]) < _MAX_CLUSTER:
            glyphs[-1] += char
        else:
            glyphs.append(before[:_MAX_CLUSTER] + char)
            before = ""
    return [*glyphs, before] if before else glyphs
