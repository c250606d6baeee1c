"""The values of a text layer. Lengths are pixels of the rendered page, x to the right, y down."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from serve_app.document import Box, DistrustedText

Pixels = npt.NDArray[np.uint8]


class Char(NamedTuple):
    """One character of the layer, in the order in which PDFium reads the page.

    Attributes:
        text: a code point, seldom several (a ligature's letters).
        ink: the box around the glyph's outline.
        cell: the box of the glyph's advance and the font's height.
        font: index into ``PageText.fonts``.
        angle: direction of reading, degrees clockwise from "to the right".
        size: of the font.
        breaks: what PDFium has made up behind it: "", a space, or a line end.
        mapped: whether the font says what the glyph means.
        drawn: whether the page's program paints it at all.
    """

    text: str
    ink: Box
    cell: Box
    font: int
    angle: float
    size: float
    breaks: str = ""
    mapped: bool = True
    drawn: bool = True


@dataclass(frozen=True, slots=True)
class PageText:
    """All characters of a page, unchecked. ``fonts``: the names of its fonts."""

    chars: tuple[Char, ...]
    fonts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LayerLine:
    """A line of the layer.

    Attributes:
        text: in logical order.
        box: around its cells.
        chars: as in ``text``, without spaces.
        angle: direction of reading, degrees clockwise from "to the right", 0 to 360.
        vertical: characters stand upright below each other.
    """

    text: str
    box: Box
    chars: tuple[Char, ...]
    angle: float = 0.0
    vertical: bool = False

    @property
    def fonts(self) -> frozenset[int]:
        """Indexes of the fonts in it."""
        return frozenset(char.font for char in self.chars)

    @property
    def upright(self) -> bool:
        """Whether it reads from left to right (or right to left) on the picture as it is."""
        return not self.vertical and (self.angle < 5 or self.angle > 355)


@dataclass(frozen=True, slots=True)
class Rest:
    """The part of a page that shows more than its layer's text.

    Attributes:
        left, top: where the picture is on the page.
        picture: the page without the text of the layer, BGR.
    """

    left: int
    top: int
    picture: Pixels


@dataclass(frozen=True, slots=True)
class PageLayer:
    """What is left of a page's layer after the checks that need no recogniser.

    Attributes:
        lines: to be believed, in PDFium's order of reading.
        fonts: names, for ``Char.font``.
        total: lines of the layer, before any check.
        distrusted: what was left out, and why.
        rest: what else may be text; None if nothing may.
    """

    lines: tuple[LayerLine, ...]
    fonts: tuple[str, ...] = ()
    total: int = 0
    distrusted: tuple[DistrustedText, ...] = ()
    rest: Rest | None = field(default=None, compare=False)


def around(boxes: npt.ArrayLike) -> Box:
    """The smallest box that holds all of ``boxes`` (n x 4, n at least 1)."""
    array = np.asarray(boxes, dtype=float)
    left, top = array[:, :2].min(axis=0)
    right, bottom = array[:, 2:].max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def strongest(picture: npt.NDArray[Any]) -> Pixels:
    """The largest of a pixel's three channels."""
    blue, green, red = cv2.split(picture)
    return np.asarray(cv2.max(cv2.max(blue, green), red), dtype=np.uint8)


def banded(height: int, rows: int = 1024, overlap: int = 0) -> Iterator[tuple[slice, slice]]:
    """Bands of a picture, so that what is computed of it needs not much memory at once.

    Yields:
        The rows to read, with ``overlap`` more above and below; and which of them are the band's.
    """
    for start in range(0, height, rows):
        end = min(start + rows, height)
        first, last = max(start - overlap, 0), min(end + overlap, height)
        yield slice(first, last), slice(start - first, end - first)


def area(box: Box) -> float:
    """Of a box; 0 of one that is inside out."""
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def common(one: Box, other: Box) -> float:
    """The area that two boxes share."""
    return max(min(one[2], other[2]) - max(one[0], other[0]), 0.0) * max(
        min(one[3], other[3]) - max(one[1], other[1]), 0.0
    )


def is_finite(box: Box) -> bool:
    """Whether it is a place at all."""
    return all(map(math.isfinite, box))
