"""Coordinates in which text runs to the right and lines go down.

All of the package computes in them, so that vertical Japanese, Arabic and a tilted scan need no
code of their own: they are turned or mirrored once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from serve_app.document import Box
from serve_app.layout.boxes import sound
from serve_app.layout.page import Page, Point
from serve_app.layout.script import is_right_to_left, is_wide

Direction = Literal["left_to_right", "right_to_left", "vertical"]

# Degrees. Below, straightening changes nothing; above, it is no tilt of a scan.
_LEAST_TILT, _MOST_TILT = 0.15, 20.0
# A line that much taller than wide runs down the page, or was turned on its side.
_UPRIGHT_RATIO = 1.8


@dataclass(frozen=True, slots=True)
class Frame:
    """How a page's coordinates become those in which it is read.

    Attributes:
        direction: of the page's text.
        tilt: angle of its lines, radians, clockwise positive.
        pivot: about which the tilt is taken out.
    """

    direction: Direction
    tilt: float
    pivot: Point

    def of(self, box: Box) -> Box:
        """``box`` in this frame."""
        box = self._straight(sound(box))
        left, top, right, bottom = box
        if self.direction == "right_to_left":
            return -right, top, -left, bottom
        if self.direction == "vertical":
            return top, -right, bottom, -left
        return box

    def _straight(self, box: Box) -> Box:
        if not self.tilt:
            return box
        left, top, right, bottom = box
        x, y = (left + right) / 2 - self.pivot[0], (top + bottom) / 2 - self.pivot[1]
        sine, cosine = math.sin(-self.tilt), math.cos(self.tilt)
        mid_x = self.pivot[0] + x * cosine - y * sine
        mid_y = self.pivot[1] + x * sine + y * cosine
        wide, high = _untilted_size(right - left, bottom - top, abs(self.tilt))
        return mid_x - wide / 2, mid_y - high / 2, mid_x + wide / 2, mid_y + high / 2


def _untilted_size(wide: float, high: float, angle: float) -> tuple[float, float]:
    """Width and height of the rectangle whose tilted copy needs a box of ``wide`` x ``high``."""
    sine, cosine = math.sin(angle), math.cos(angle)
    scale = cosine * cosine - sine * sine
    inner_wide = (wide * cosine - high * sine) / scale
    inner_high = (high * cosine - wide * sine) / scale
    if inner_wide <= 0 or inner_high <= 0:  # a box that was straight in spite of the page's tilt
        return wide, high
    return inner_wide, inner_high


def frame_of(page: Page) -> Frame:
    """The frame of a page, by the majority of its lines."""
    boxes = [sound(line.box) for line in page.lines]
    direction: Direction = "left_to_right"
    if _is_vertical(page, boxes):
        direction = "vertical"
    elif is_right_to_left(line.text for line in page.lines):
        direction = "right_to_left"
    return Frame(direction, _tilt(page.corners), (page.width / 2, page.height / 2))


def is_on_its_side(box: Box, text: str) -> bool:
    """Whether a line, seen in its frame, runs across the reading direction."""
    high, wide = box[3] - box[1], box[2] - box[0]
    return len(text) >= 3 and high > _UPRIGHT_RATIO * wide


def _is_vertical(page: Page, boxes: Sequence[Box]) -> bool:
    """Most characters stand in tall lines of square characters."""
    tall = other = 0
    for line, (left, top, right, bottom) in zip(page.lines, boxes, strict=True):
        text = line.text
        upright = len(text) >= 2 and bottom - top > _UPRIGHT_RATIO * (right - left)
        if upright and sum(map(is_wide, text)) * 2 > len(text):
            tall += len(text)
        else:
            other += len(text)
    return tall > other


def _tilt(corners: Sequence[Sequence[Point]]) -> float:
    angles = [angle for points in corners if (angle := _angle(points)) is not None]
    if len(angles) < 3:
        return 0.0
    middle = median(angles)
    near = _count(angles, lambda angle: abs(angle - middle) < math.radians(1.5))
    tilted = math.radians(_LEAST_TILT) < abs(middle) < math.radians(_MOST_TILT)
    return middle if tilted and near * 2 > len(angles) else 0.0


def _angle(points: Sequence[Point]) -> float | None:
    """Of the upper edge of a long line; None for a short one, whose outline says little."""
    if len(points) != 4:
        return None
    (x0, y0), (x1, y1), _, (x3, y3) = points
    along, aside = math.hypot(x1 - x0, y1 - y0), math.hypot(x3 - x0, y3 - y0)
    if not math.isfinite(along + aside) or along < 5 * aside or along == 0:
        return None
    return math.atan2(y1 - y0, x1 - x0)


def _count(values: Sequence[float], wanted: Callable[[float], bool]) -> int:
    return sum(map(wanted, values))
