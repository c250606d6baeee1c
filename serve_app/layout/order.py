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
from statistics import median

from serve_app.layout.columns import is_column_boundary
from serve_app.layout.unit import Row, Unit

# Cuts within cuts: newspapers need five or six. Bounds the time for spirals.
_MAX_DEPTH = 16
# In line heights. A gutter is at least that wide; words of a line are nearer.
_GUTTER = 0.6
# In line heights. Rows that belong to a table or a form are nearer to each other.
_LARGE_GAP = 1.2
# Outlines of text are drawn somewhat wide: so much of each may overlap, in line heights.
_SLACK = 0.2
# In line heights.
_HEADLINE = 1.6
# Of a lower box's height that has to lie beside another one to be in its row.
_SAME_ROW = 0.5

Interval = tuple[float, float]


def reading_order(units: Sequence[Unit]) -> list[list[Row]]:
    """The things of a page in order: columns of rows."""
    heights = [unit.height for unit in units if not unit.is_solid and unit.height > 0]
    size = median(heights) if heights else 1.0
    return [rows(leaf) for leaf in _Cutter(size).cut(list(units), _MAX_DEPTH)]


class _Cutter:
    def __init__(self, size: float) -> None:
        self._size = size

    def cut(self, units: list[Unit], depth: int) -> list[list[Unit]]:
        if len(units) < 2 or depth == 0:
            return [units]
        columns = self._columns(units)
        if len(columns) > 1:
            return [leaf for column in columns for leaf in self.cut(column, depth - 1)]
        parts = self._bands(units)
        if len(parts) == 1:
            parts = self._split_down(units, self._size * _LARGE_GAP)
        if len(parts) == 1:
            return [units]
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
        if len(strips) < 2:
            return strips
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

    def _bands(self, units: list[Unit]) -> list[list[Unit]]:
        """Bands from top to bottom; those with the same gutter through them are one."""
        gutter = self._size * _GUTTER
        groups: list[_Group] = []
        for units_of_band in self._split_down(units, 0.0):
            band = _Band(units_of_band, self._split_along(units_of_band))
            headline = len(band.strips) == 1 and self._is_large(units_of_band)
            if groups and not headline and groups[-1].take(band, gutter):
                continue
            taken = groups[-1].give_up(band) if groups and not headline else []
            groups.append(_Group())
            for each in (*taken, band):
                groups[-1].add(each, gutter)
        return [group.units for group in groups]

    def _is_large(self, band: list[Unit]) -> bool:
        """Whether it is set in larger letters than the page: a headline is above its columns."""
        return all(not unit.is_solid and unit.height > _HEADLINE * self._size for unit in band)


class _Band:
    """What stands beside each other, and where white space runs through it."""

    def __init__(self, units: list[Unit], strips: list[list[Unit]]) -> None:
        self.units = units
        self.top = min(unit.box[1] for unit in units)
        self.bottom = max(unit.box[3] for unit in units)
        self.strips: list[Interval] = [
            (min(unit.box[0] for unit in strip), max(unit.box[2] for unit in strip))
            for strip in strips
        ]

    @property
    def is_line(self) -> bool:
        """Whether it is a line of text by itself."""
        return len(self.units) == 1 and not self.units[0].is_solid


class _Group:
    """Bands with the same gutters through them, or without any."""

    def __init__(self) -> None:
        self.bands: list[_Band] = []
        self._strips: list[Interval] = []
        self._in_columns = False

    @property
    def units(self) -> list[Unit]:
        return [unit for band in self.bands for unit in band.units]

    def add(self, band: _Band, gutter: float) -> None:
        self.bands.append(band)
        self._strips = _merged(self._strips, band.strips, gutter)
        self._in_columns |= len(band.strips) > 1

    def take(self, band: _Band, gutter: float) -> bool:
        """Add a band, if what has been common to all stays so."""
        merged = _merged(self._strips, band.strips, gutter)
        if len(band.strips) > 1 and not self._in_columns:
            # A line above columns is of the first one, or it is above all of them.
            fits = len(merged) > 1 and self._strips[-1][1] <= merged[0][1]
        else:
            fits = len(merged) > 1 or not self._in_columns
        if fits:
            self.add(band, gutter)
        return fits

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
