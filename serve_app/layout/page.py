"""What the composer is given: recognised lines and the boxes of a layout model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from serve_app.document import Box, Line

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Region:
    """One box of the layout model, with what the models after it made of its content.

    Attributes:
        label: in PaddleX's words.
        box: left, top, right, bottom; pixels.
        text: of a table its HTML, of a formula its LaTeX, of a chart or seal what was read.
        image: the key of its picture, if it has one.
        score: the layout model's confidence, 0 to 1.
    """

    label: str
    box: Box
    text: str = ""
    image: str | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page, before it is composed.

    Attributes:
        width, height: of the picture, pixels.
        lines: recognised lines, in any order.
        corners: per line the corners of its outline (top left first, clockwise), if known: they
            say how far the page is turned. Empty, or as long as ``lines``.
        regions: boxes of the layout model, in any order; none for a pipeline without one.
    """

    width: int
    height: int
    lines: Sequence[Line]
    corners: Sequence[Sequence[Point]] = field(default=())
    regions: Sequence[Region] = field(default=())
