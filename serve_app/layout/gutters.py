"""Lines that were detected across a narrow gutter, so that two columns became one line.

Here they are only suspected, from where the other lines begin and end. Whether there is white
space in a line at that place, and what stands on either side of it, is for those who have the
picture (``engines/gutter_cuts.py``).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from serve_app.document import Box
from serve_app.layout.boxes import sound
from serve_app.layout.page import Page

# Lines on either side that a gutter is known by.
_LEAST = 4
# In line heights: how exactly the lines of a column begin, how far before it those of the column
# before end at most, and how far a line reaches into both to be across.
_BEGINS, _ENDS, _ACROSS = 0.5, 4.0, 3.0
# In line heights: how far away the next line of a column may be.
_NEIGHBOUR = 3.0


@dataclass(frozen=True, slots=True)
class Suspect:
    """A line that may be two.

    Attributes:
        line: its index.
        low, high: between which x there would be white space, pixels.
    """

    line: int
    low: float
    high: float


def suspects(page: Page) -> list[Suspect]:
    """The lines of ``page`` that may reach across a gutter; each at most once."""
    boxes = [sound(line.box) for line in page.lines]
    flat = [
        index
        for index, (left, top, right, bottom) in enumerate(boxes)
        if right - left > bottom - top
    ]
    if len(flat) < 3 * _LEAST:
        return []
    size = median([boxes[index][3] - boxes[index][1] for index in flat])
    if size <= 0:
        return []
    found: dict[int, Suspect] = {}
    for begin in _beginnings(sorted(boxes[index][0] for index in flat), size):
        for suspect in _across(begin, flat, boxes, size):
            found.setdefault(suspect.line, suspect)
    return list(found.values())


def _beginnings(lefts: Sequence[float], size: float) -> list[float]:
    """Where several lines begin, from left to right, but for the first such place."""
    found: list[float] = []
    index = 0
    while index < len(lefts):
        end = bisect_right(lefts, lefts[index] + _BEGINS * size)
        if end - index >= _LEAST:
            found.append(lefts[index])
            index = end
        else:
            index += 1
    return found[1:]


def _across(begin: float, flat: Sequence[int], boxes: Sequence[Box], size: float) -> list[Suspect]:
    right = [boxes[i] for i in flat if abs(boxes[i][0] - begin) <= _BEGINS * size]
    low = begin - _ENDS * size
    left = [boxes[i] for i in flat if boxes[i][0] < low and low < boxes[i][2] < begin]
    if len(left) < _LEAST or len(right) < _LEAST:
        return []
    # The gutter begins where most of the lines before it end.
    ends = sorted(box[2] for box in left)
    edge = ends[len(ends) * 3 // 4]
    middles = sorted((box[1] + box[3]) / 2 for box in (*left, *right))
    across = [
        i
        for i in flat
        if boxes[i][0] < begin - _ACROSS * size and boxes[i][2] > begin + _ACROSS * size
    ]
    if len(across) > 2 * (len(left) + len(right)):
        return []
    across.sort(key=lambda i: boxes[i][1])
    near: set[int] = set()
    for i in (*across, *reversed(across)):  # a line beside one that is near is near, too
        if i not in near and _has_neighbour(boxes[i], middles, size):
            near.add(i)
            insort(middles, (boxes[i][1] + boxes[i][3]) / 2)
    return [Suspect(i, min(edge, begin - _BEGINS * size), begin) for i in across if i in near]


def _has_neighbour(box: Box, middles: Sequence[float], size: float) -> bool:
    middle = (box[1] + box[3]) / 2
    at = bisect_left(middles, middle)
    near = middles[max(0, at - 1) : at + 1]
    return any(abs(other - middle) <= _NEIGHBOUR * size for other in near)
