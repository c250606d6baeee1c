"""Whether two stacks of text beside each other are columns, or cells of the same rows.

Columns are read one after the other. Rows of a form, an invoice or a list of prices are not: there
the white space between label and value, article and price, runs down the page as well.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from serve_app.layout.boxes import union
from serve_app.layout.unit import Unit, columns_of, flat

# Lines of running text are at least so long, in letters, and fill so much of their column.
_PROSE_LETTERS, _PROSE_FILL, _PROSE_LINES = 18, 0.6, 3
# Letters of a bullet or a number before an item.
_MARKER_LETTERS = 3
# In line heights: a gutter between what is no running text; words of a line are nearer.
_WIDE = 0.6
# In line heights: how far the middles of cells of a row are apart at most.
_SAME_ROW = 0.3
# Part of the lines of the smaller stack that have something of the other one beside them.
_BESIDE = 0.3
# In line heights, from one middle to the next: lines of a block of text.
_TIGHT = 1.9
# How much larger one distance from line to line is than another one.
_OTHER_STEP = 1.1
# Rows from which two short columns with line beside line are a table.
_TABLE_ROWS = 6
_NUMERIC = re.compile(r"^[\W\d]*(?:[A-Za-z€$£¥%]{0,4})[\W\d]*$")


def is_column_boundary(
    left: Sequence[Unit], right: Sequence[Unit], size: float, strips: int
) -> bool:
    """Whether all of ``left`` is read before ``right``.

    Args:
        left, right: what stands on either side of white space.
        size: height of a line.
        strips: how many of such stacks there are in all.
    """
    left, right = flat(left), flat(right)
    if _is_marker(left) or not _beside(left, right):
        return False
    gap = min(unit.box[0] for unit in right) - max(unit.box[2] for unit in left)
    if any(unit.is_solid for unit in (*left, *right)):
        return True
    first, second = _Stack(left, size), _Stack(right, size)
    if first.is_prose and second.is_prose:
        return True
    if gap < _WIDE * size:
        return False
    if _aligned(first, second, size) < 0.5:
        return True
    if first.are_labels or second.is_numeric:
        return False
    if _have_own_steps(first, second):
        return True
    if first.is_prose or second.is_prose:
        short = second if first.is_prose else first
        return short.is_tight and len(short.units) > 3
    return _are_blocks(first, second, strips)


def is_prose(units: Sequence[Unit], size: float) -> bool:
    """Whether lines below each other are running text: long, and filling their column."""
    return _Stack(flat(units), size).is_prose


class _Stack:
    """Lines one below the other, and what they look like."""

    def __init__(self, units: Sequence[Unit], size: float) -> None:
        self.units = sorted((unit for unit in units), key=lambda unit: unit.middle)
        self._size = size
        self._box = union(unit.box for unit in units)

    @property
    def is_prose(self) -> bool:
        """Running text: long lines that fill the column."""
        if len(self.units) < _PROSE_LINES:
            return False
        letters = sum(columns_of(unit.text) for unit in self.units) / len(self.units)
        wide = self._box[2] - self._box[0]
        filled = sum(unit.width >= _PROSE_FILL * wide for unit in self.units)
        return letters >= _PROSE_LETTERS and filled * 2 > len(self.units)

    @property
    def is_tight(self) -> bool:
        """Most lines follow each other as those of a paragraph or an address do."""
        steps = [below.middle - above.middle for above, below in pairwise(self.units)]
        return sum(step < _TIGHT * self._size for step in steps) * 3 >= 2 * len(steps)

    @property
    def step(self) -> float:
        """From one line to the next."""
        return median(below.middle - above.middle for above, below in pairwise(self.units))

    @property
    def is_numeric(self) -> bool:
        """Amounts, dates, counts."""
        numbers = sum(bool(_NUMERIC.match(unit.text)) for unit in self.units)
        return numbers * 2 >= len(self.units)

    @property
    def are_labels(self) -> bool:
        """Most end with a colon."""
        labels = sum(unit.text.rstrip().endswith((":", "：")) for unit in self.units)
        return labels * 2 >= len(self.units)

    @property
    def is_centred(self) -> bool:
        """The middles of the lines are nearer to each other than their beginnings."""
        lefts = [unit.box[0] for unit in self.units]
        middles = [(unit.box[0] + unit.box[2]) / 2 for unit in self.units]
        spread = max(lefts) - min(lefts)
        return spread > self._size and (max(middles) - min(middles)) * 2 < spread


def _is_marker(units: Sequence[Unit]) -> bool:
    """Bullets or numbers that stand apart from their items."""
    if any(unit.is_solid for unit in units):
        return False
    letters = sum(len(unit.text.strip()) for unit in units)
    return letters <= _MARKER_LETTERS * len(units)


def _beside(left: Sequence[Unit], right: Sequence[Unit]) -> bool:
    """Whether the stacks stand beside each other, and not one after the other in steps."""
    few, many = sorted((left, right), key=len)
    tops = sorted((unit.box[1], unit.box[3]) for unit in many)
    reach: list[float] = []
    for _, bottom in tops:
        reach.append(max(bottom, reach[-1]) if reach else bottom)
    count = 0
    for unit in few:
        before = bisect_left(tops, (unit.box[3], unit.box[3]))
        count += before > 0 and reach[before - 1] > unit.box[1]
    return count >= _BESIDE * len(few)


def _aligned(first: _Stack, second: _Stack, size: float) -> float:
    """Which part of the smaller stack's lines has a line of the other one beside it."""
    few, many = sorted((first.units, second.units), key=len)
    middles = [unit.middle for unit in many]
    beside = 0
    for unit in few:
        at = bisect_left(middles, unit.middle)
        near = middles[max(0, at - 1) : at + 1]
        beside += any(abs(middle - unit.middle) < _SAME_ROW * size for middle in near)
    return beside / len(few)


def _have_own_steps(first: _Stack, second: _Stack) -> bool:
    """Whether both are blocks of text with different distances from line to line."""
    if min(len(first.units), len(second.units)) < 4 or not (first.is_tight and second.is_tight):
        return False
    low, high = sorted((first.step, second.step))
    return high > _OTHER_STEP * low > 0


def _are_blocks(first: _Stack, second: _Stack, strips: int) -> bool:
    """Short lines beside short lines: two addresses, or rows of a table?"""
    if first.is_centred and second.is_centred:
        return True
    if strips > 2 or not (first.is_tight and second.is_tight):
        return False
    fewer = min(len(first.units), len(second.units))
    return fewer >= 2 and not len(first.units) == len(second.units) >= _TABLE_ROWS
