"""Reading order: columns before rows, by recursive cuts along white space.

At each step the things on (a part of) the page are cut into columns, if white space runs down all
of it and what stands beside it is no table row; else into bands, one below the other, where bands
that share such a white space stay together: a heading above two columns is a band, the paragraphs
in the columns are not. What cannot be cut is read row by row.

The method is the recursive XY-cut (Nagy, Seth: Hierarchical representation of optically scanned
documents, 1984) with one change: bands are merged before they are cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from serve_app.document import Box
from serve_app.layout.boxes import covered, union
from serve_app.layout.columns import is_column_boundary, is_prose
from serve_app.layout.unit import Row, Unit, flat

# Cuts within cuts: newspapers need five or six. Bounds the time for spirals.
_MAX_DEPTH = 16
# More white spaces beside each other are no gutters.
_MOST_COLUMNS = 40
# In line heights: outlines of neighbouring columns overlap by no more, where the gutter is narrow.
_GUTTER = -0.3
# In line heights: white space between columns of short lines, and what may be left of it.
_WIDE, _NARROW = 1.5, 0.5
# In line heights. Rows that belong to a table or a form are nearer to each other.
_LARGE_GAP = 1.2
# In line heights, across all columns: something else begins.
_SECTION_GAP = 3.0
# Part of the widest gap from which another one is as good.
_HARDLY_LESS = 0.8
# Outlines of text are drawn somewhat wide: so much of each may overlap, in line heights.
_SLACK = 0.2
# In line heights.
_HEADLINE = 1.6
# Part of a thing that lies among the lines of a region to be in their way.
_INTRUDES = 0.25
# Of a lower box's height that has to lie beside another one to be in its row.
_SAME_ROW = 0.5

Interval = tuple[float, float]


def reading_order(units: Sequence[Unit], regions: Sequence[Box] = ()) -> list[list[Row]]:
    """The things of a page in order: columns of rows.

    Args:
        units: in any order.
        regions: boxes of the regions that the units name.
    """
    heights = [unit.height for unit in units if not unit.is_solid and unit.height > 0]
    size = median(heights) if heights else 1.0
    leaves = _Cutter(size).cut(_in_regions(units, regions), _MAX_DEPTH)
    return [rows(flat(leaf)) for leaf in leaves]


def _in_regions(units: Sequence[Unit], regions: Sequence[Box]) -> list[Unit]:
    """Lines of a region as one unit, if nothing else stands in it."""
    found: dict[int, list[Unit]] = {}
    for unit in units:
        if unit.region is not None and not unit.is_solid and unit.region < len(regions):
            found.setdefault(unit.region, []).append(unit)
    whole: dict[int, Unit] = {}
    for region, lines in found.items():
        # Outlines of lines reach into the gutter; the model's box does not.
        box = _overlap(union(line.box for line in lines), regions[region])
        strange = (unit for unit in units if unit.region != region)
        if len(lines) > 1 and not any(_is_in(unit.box, box) for unit in strange):
            whole[region] = Unit(box, region=region, members=tuple(lines))
    rest = [unit for unit in units if unit.is_solid or unit.region not in whole]
    return [*rest, *whole.values()]


def _overlap(one: Box, other: Box) -> Box:
    """What two boxes share, or the first of them, if that is nothing."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[2], other[2]), min(one[3], other[3])
    return (left, top, right, bottom) if left < right and top < bottom else one


def _is_in(inner: Box, outer: Box) -> bool:
    apart = inner[0] > outer[2] or inner[2] < outer[0] or inner[1] > outer[3] or inner[3] < outer[1]
    return not apart and covered(inner, outer) > _INTRUDES


class _Cutter:
    def __init__(self, size: float) -> None:
        self._size = size

    def cut(self, units: list[Unit], depth: int) -> list[list[Unit]]:
        if len(units) < 2 or depth == 0:
            return self._leaf(units, depth)
        columns = self._columns(units)
        if len(columns) == 1 or not all(map(self._is_running, columns)):
            # Parts of a form or an invoice are apart, and each has columns of its own.
            apart = self._split_at_gaps(units, self._size * _SECTION_GAP)
            if len(apart) > 1:
                return self._down(apart, depth)
        if len(columns) > 1:
            return [leaf for column in columns for leaf in self.cut(column, depth - 1)]
        parts = self._bands(units)
        if len(parts) == 1:
            parts = self._split_at_gaps(units, self._size * _LARGE_GAP)
        return self._down(parts, depth) if len(parts) > 1 else self._leaf(units, depth)

    def _leaf(self, units: list[Unit], depth: int) -> list[list[Unit]]:
        """What cannot be cut, but for regions that hold columns of their own."""
        leaves: list[list[Unit]] = []
        was_whole = False
        for part in self._split_down(units, 0.0):
            inner = list(part[0].members) if len(part) == 1 else []
            whole = depth == 0 or not inner or len(self._columns(inner)) == 1
            if whole and was_whole:
                leaves[-1] = leaves[-1] + part
            else:
                leaves += [part] if whole else self.cut(inner, depth - 1)
            was_whole = whole
        return leaves

    def _down(self, parts: list[list[Unit]], depth: int) -> list[list[Unit]]:
        """Parts one below the other."""
        leaves: list[list[Unit]] = []
        was_whole = False
        for part in parts:
            found = self.cut(part, depth - 1)
            if was_whole and len(found) == 1:  # one below the other: the same as one
                leaves[-1] = leaves[-1] + found[0]
            else:
                leaves += found
            was_whole = len(found) == 1
        return leaves

    def _columns(self, units: list[Unit]) -> list[list[Unit]]:
        """Cut where white space runs from top to bottom; one column if there is none."""
        strips = self._split_along(units)
        if not 1 < len(strips) <= _MOST_COLUMNS:
            return [units]
        columns = [strips[0]]
        for strip in strips[1:]:
            if is_column_boundary(columns[-1], strip, self._size, len(strips)):
                columns.append(strip)
            else:
                columns[-1] = columns[-1] + strip
        return columns

    def _split_along(self, units: list[Unit]) -> list[list[Unit]]:
        parts: list[list[Unit]] = []
        reach = 0.0
        for unit in sorted(units, key=lambda unit: unit.box[0]):
            if not parts or unit.box[0] - reach >= self._size * _GUTTER:
                parts.append([])
                reach = unit.box[2]
            parts[-1].append(unit)
            reach = max(reach, unit.box[2])
        return parts

    def _split_down(self, units: list[Unit], gap: float) -> list[list[Unit]]:
        """Cut where nothing stands for ``gap``; less than 0: overlaps of so much are none."""
        parts: list[list[Unit]] = []
        reach = 0.0
        for unit in sorted(units, key=lambda unit: unit.box[1]):
            slack = min(self._size, unit.height) * _SLACK
            if not parts or unit.box[1] + slack - reach >= gap:
                parts.append([])
                reach = unit.box[3] - slack
            parts[-1].append(unit)
            reach = max(reach, unit.box[3] - slack)
        return parts

    def _is_running(self, column: list[Unit]) -> bool:
        return any(unit.is_solid for unit in column) or is_prose(column, self._size)

    def _split_at_gaps(self, units: list[Unit], least: float) -> list[list[Unit]]:
        """Cut at the widest white space across all of it, and where it is hardly less wide."""
        bands = self._split_down(units, 0.0)
        bottoms = [max(unit.box[3] for unit in band) for band in bands]
        tops = [min(unit.box[1] for unit in band) for band in bands]
        widest = max(
            (top - bottom for bottom, top in zip(bottoms, tops[1:], strict=False)), default=0
        )
        if widest < least:
            return [units]
        return self._split_down(units, max(widest * _HARDLY_LESS, least))

    def _bands(self, units: list[Unit]) -> list[list[Unit]]:
        """Bands from top to bottom; those with the same gutter through them are one."""
        groups: list[_Group] = []
        for units_of_band in self._split_down(units, 0.0):
            band = _Band(units_of_band, self._split_along(units_of_band))
            headline = len(band.strips) == 1 and self._is_large(units_of_band)
            if groups and not headline and groups[-1].take(band):
                continue
            taken = groups[-1].give_up(band) if groups and not headline else []
            groups.append(_Group(self._size))
            for each in (*taken, band):
                groups[-1].add(each)
        return [group.units for group in groups]

    def _is_large(self, band: list[Unit]) -> bool:
        """Whether it is set in larger letters than the page: a headline is above its columns."""
        return all(unit.line is not None and unit.height > _HEADLINE * self._size for unit in band)


class _Band:
    """What stands beside each other, and where white space runs through it."""

    def __init__(self, units: list[Unit], strips: list[list[Unit]]) -> None:
        self.units = units
        self.top = min(unit.box[1] for unit in units)
        self.bottom = max(unit.box[3] for unit in units)
        self.strips: list[Interval] = [
            (min(unit.box[0] for unit in strip), max(unit.box[2] for unit in strip))
            for strip in (strips if len(strips) <= _MOST_COLUMNS else [units])
        ]

    @property
    def is_line(self) -> bool:
        """Whether it is a line of text by itself."""
        return len(self.units) == 1 and self.units[0].line is not None


class _Group:
    """Bands with the same gutters through them, or without any."""

    def __init__(self, size: float) -> None:
        self._size, self._gutter = size, size * _GUTTER
        self.bands: list[_Band] = []
        self._strips: list[Interval] = []
        self._in_columns = False

    @property
    def units(self) -> list[Unit]:
        return [unit for band in self.bands for unit in band.units]

    def add(self, band: _Band) -> None:
        self.bands.append(band)
        self._strips = _merged(self._strips, band.strips, self._gutter)
        self._in_columns |= len(band.strips) > 1

    def take(self, band: _Band) -> bool:
        """Add a band, if what has been common to all stays so."""
        merged = _merged(self._strips, band.strips, self._gutter)
        if len(band.strips) > 1 and self._in_columns and self._narrows(merged, band):
            return False
        if len(band.strips) > 1 and not self._in_columns:
            # A line above columns is of the first one, or it is above all of them.
            fits = len(merged) > 1 and self._strips[-1][1] <= merged[0][1]
        else:
            fits = len(merged) > 1 or not self._in_columns
        if fits:
            self.add(band)
        return fits

    def _narrows(self, merged: list[Interval], band: _Band) -> bool:
        """Whether wide white space would become a narrow gutter: then the columns are others."""
        least = min(_widest(self._strips), _widest(band.strips))
        return least > _WIDE * self._size and _widest(merged) < _NARROW * self._size

    def give_up(self, band: _Band) -> list[_Band]:
        """Last lines that are nearer to ``band``, which does not fit, than to the others.

        A heading below columns whose text goes across them stands at the left, as if it were the
        last line of the first column.
        """
        given: list[_Band] = []
        below = band
        while self._in_columns and len(self.bands) > 1 and self.bands[-1].is_line:
            last, before = self.bands[-1], self.bands[-2]
            if below.top - last.bottom >= last.top - before.bottom:
                break
            given.insert(0, self.bands.pop())
            below = last
        return given


def _widest(strips: Sequence[Interval]) -> float:
    """Of the white spaces between strips."""
    return max((right[0] - left[1] for left, right in pairwise(strips)), default=0.0)


def _merged(ours: list[Interval], theirs: list[Interval], gutter: float) -> list[Interval]:
    """What both cover, where less than a gutter between is no white space."""
    merged: list[Interval] = []
    for low, high in sorted([*ours, *theirs]):
        if merged and low - merged[-1][1] < gutter:
            merged[-1] = merged[-1][0], max(merged[-1][1], high)
        else:
            merged.append((low, high))
    return merged


def rows(units: Sequence[Unit]) -> list[Row]:
    """Things that stand beside each other, row by row."""
    found: list[list[Unit]] = []
    low = high = 0.0
    for unit in sorted(units, key=lambda unit: (unit.middle, unit.box[0])):
        top, bottom = unit.box[1], unit.box[3]
        least = min(bottom - top, high - low)
        beside = min(bottom, high) - max(top, low)
        joins = beside > _SAME_ROW * least or (beside == least == 0)
        if found and joins and not unit.is_solid and not found[-1][0].is_solid:
            found[-1].append(unit)
            low, high = _middle_span(found[-1], low, high, unit)
        else:
            found.append([unit])
            low, high = top, bottom
    return [Row.of(sorted(row, key=lambda unit: (unit.box[0], unit.box[2]))) for row in found]


def _middle_span(row: list[Unit], low: float, high: float, unit: Unit) -> Interval:
    """The row's height so far: a running mean, so that one tall cell does not draw in the next."""
    share = 1 / len(row)
    return (
        low + (unit.box[1] - low) * share,
        high + (unit.box[3] - high) * share,
    )
