"""Cut lines that were detected across a gutter, and read their parts anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from serve_app.document import Box, Line
from serve_app.layout.boxes import shared, sound
from serve_app.layout.gutters import suspects
from serve_app.layout.page import Page, Point

Pixels: TypeAlias = npt.NDArray[np.uint8]
#: Text and score of what stands in a box.
Recognise: TypeAlias = Callable[[Box], tuple[str, float]]
Interval: TypeAlias = tuple[float, float]

# In line heights: white space is so wide (words of justified text are hardly farther apart), a
# line that may be two so long, and its ends do not count.
_GUTTER, _LONG, _ENDS = 0.42, 12, 3
# Lines that have the same white space, how many of all of them, and how near they are.
_LEAST, _MOST_OF, _NEAR = 5, 0.75, 1.5
# Part of the range between dark and light that a column of pixels may vary and be white.
_CLEAN = 0.18
# Not more lines are read anew: each costs two recognitions.
_MOST = 120


def cut_at_gutters(page: Page, image: Pixels, recognise: Recognise) -> Page:
    """``page`` with lines across a gutter cut in two.

    Args:
        page: not composed yet.
        image: height x width x 3, the picture that its boxes are in.
        recognise: reads a box of that picture.
    """
    halves: dict[int, tuple[Line, Line]] = {}
    for index, gap in _cuts(page, image):
        if len(halves) < _MOST and (parts := _read(page.lines[index], gap, recognise)):
            halves[index] = parts
    if not halves:
        return page
    lines: list[Line] = []
    corners: list[Sequence[Point]] = []
    for index, line in enumerate(page.lines):
        parts = halves.get(index)
        lines += parts or (line,)
        if page.corners:
            corners += [_corners(part.box) for part in parts] if parts else [page.corners[index]]
    return replace(page, lines=lines, corners=corners)


def _cuts(page: Page, image: Pixels) -> Iterator[tuple[int, Interval]]:
    """Lines, each once, with the white space that they are to be cut at."""
    gaps = {
        index: found
        for index, line in enumerate(page.lines)
        if line.source == "ocr" and (found := _gaps(image, sound(line.box)))
    }
    cut: set[int] = set()
    for suspect in suspects(page):
        for gap in gaps.get(suspect.line, ()):
            if gap[0] < suspect.high and gap[1] > suspect.low and suspect.line not in cut:
                cut.add(suspect.line)
                yield suspect.line, gap
    rest = {index: found for index, found in gaps.items() if index not in cut}
    for stack in _stacks(page, rest):
        yield from _common(stack, rest)


def _gaps(image: Pixels, box: Box) -> list[Interval]:
    """The wide white spaces in a long line, but for its ends."""
    height, width = image.shape[:2]
    top, bottom = max(0, int(box[1])), min(height, int(box[3]) + 1)
    left, right = max(0, int(box[0])), min(width, int(box[2]) + 1)
    high = bottom - top
    if high < 6 or right - left < _LONG * high:
        return []
    # The outline is wider than the letters: what is above and below must not count.
    inset = high // 6
    ink = image[top + inset : bottom - inset, left:right].mean(axis=2)
    dark = ink.max(axis=0) - ink.min(axis=0)
    blank = dark < max((ink.max() - ink.min()) * _CLEAN, 6)
    margin = _ENDS * high
    return [
        (float(left + begin), float(left + end))
        for begin, end in _runs(blank)
        if end - begin >= _GUTTER * high and begin >= margin and end <= right - left - margin
    ]


def _stacks(page: Page, gaps: Mapping[int, list[Interval]]) -> Iterator[list[int]]:
    """Long lines close below each other."""
    stack: list[int] = []
    for index in sorted(gaps, key=lambda index: page.lines[index].box[1]):
        box = page.lines[index].box
        if stack:
            above = page.lines[stack[-1]].box
            near = box[1] - above[3] < _NEAR * (box[3] - box[1])
            if not near or shared(above[0], above[2], box[0], box[2]) < 0.7 * (box[2] - box[0]):
                yield stack
                stack = []
        stack.append(index)
    yield stack


def _common(
    stack: Sequence[int], gaps: Mapping[int, list[Interval]]
) -> Iterator[tuple[int, Interval]]:
    """The white space that most lines of a stack have in the same place, if there is one."""
    if len(stack) < _LEAST:
        return
    middles = sorted((low + high) / 2 for index in stack for low, high in gaps[index])
    best = max(middles, key=lambda x: sum(_at(gaps[index], x) is not None for index in stack))
    found = [(index, gap) for index in stack if (gap := _at(gaps[index], best)) is not None]
    if len(found) >= max(_LEAST, _MOST_OF * len(stack)):
        yield from found


def _at(gaps: Sequence[Interval], x: float) -> Interval | None:
    return next((gap for gap in gaps if gap[0] <= x <= gap[1]), None)


def _runs(flags: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _read(line: Line, gap: tuple[float, float], recognise: Recognise) -> tuple[Line, Line] | None:
    """The two parts; None if one of them cannot be read: then the line stays as it is."""
    left, top, right, bottom = sound(line.box)
    margin = min(2.0, (gap[1] - gap[0]) / 2)
    boxes: tuple[Box, Box] = (
        (left, top, gap[0] + margin, bottom),
        (gap[1] - margin, top, right, bottom),
    )
    texts = [recognise(box) for box in boxes]
    if not all(text.strip() for text, _ in texts):
        return None
    (first, sure), (second, also) = texts
    return replace(line, text=first, box=boxes[0], score=sure), replace(
        line, text=second, box=boxes[1], score=also
    )


def _corners(box: Box) -> tuple[Point, ...]:
    left, top, right, bottom = box
    return (left, top), (right, top), (right, bottom), (left, bottom)
