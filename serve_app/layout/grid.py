"""A table from nothing but the places of its lines: what stands in which row and column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from serve_app.layout.boxes import shared
from serve_app.layout.joining import join
from serve_app.layout.order import rows
from serve_app.layout.unit import Unit

# Of a cell's height: what it shares with the rows above and below to be in both.
_BETWEEN = 0.3
# Of the narrower one's width: what a cell shares with a column to be in it.
_IN_COLUMN = 0.2
# Part of the rows that have more than one cell.
_FILLED = 0.6
# Columns from which a grid with so small a part of its cells filled is no table.
_MANY, _SPARSE = 8, 0.3
# White space between cells, in line heights.
_CELL_GAP = 0.25


@dataclass(slots=True)
class _Cell:
    """Lines in a cell, the first column and row that it is in, and how far it reaches."""

    units: list[Unit]
    column: int
    column_span: int = 1
    row_span: int = 1

    @property
    def text(self) -> str:
        return join(unit.text for unit in self.units)


@dataclass(slots=True)
class Grid:
    """Rows of cells from left to right; columns without a cell are empty there."""

    columns: int
    rows: list[list[_Cell]] = field(default_factory=list)

    @property
    def is_table(self) -> bool:
        """Whether there are columns and rows, and most rows have several cells."""
        if self.columns < 2 or len(self.rows) < 2 or self._is_scattered:
            return False
        return sum(len(row) > 1 for row in self.rows) >= _FILLED * len(self.rows)

    @property
    def _is_scattered(self) -> bool:
        """Whether hardly any line stands below another one: formulas and text, in a frame."""
        taken = sum(cell.column_span * cell.row_span for row in self.rows for cell in row)
        return self.columns >= _MANY and taken < _SPARSE * self.columns * len(self.rows)

    @property
    def html(self) -> str:
        """As PaddleX's table models write it."""
        return f"<html><body><table>{self.body}</table></body></html>"

    @property
    def body(self) -> str:
        """The rows alone."""
        return "".join(f"<tr>{''.join(self._row(number))}</tr>" for number in range(len(self.rows)))

    def _row(self, number: int) -> list[str]:
        """The cells of a row, with empty ones where nothing reaches down from above."""
        taken = {
            cell.column + offset
            for above in range(number)
            for cell in self.rows[above]
            if above + cell.row_span > number
            for offset in range(cell.column_span)
        }
        cells: list[str] = []
        at = 0
        for cell in self.rows[number]:
            cells += ["<td></td>" for column in range(at, cell.column) if column not in taken]
            cells.append(_html(cell))
            at = cell.column + cell.column_span
        return cells + ["<td></td>" for column in range(at, self.columns) if column not in taken]


def grid_of(units: Sequence[Unit]) -> Grid:
    """The grid that lines of a table stand in."""
    found = [row.apart(_CELL_GAP) for row in rows(units)]
    columns = _columns(found)
    grid = Grid(len(columns))
    placed = [[_place(cell, columns) for cell in row] for row in found]
    for number, row in enumerate(placed):
        below = found[number + 1] if number + 1 < len(found) else []
        if number and grid.rows and _is_between(found[number], found[number - 1], below):
            _reach_down(grid.rows[-1], row)
        else:
            grid.rows.append(_merged(row))
    return grid


def _span(cell: Sequence[Unit]) -> tuple[float, float]:
    return min(unit.box[0] for unit in cell), max(unit.box[2] for unit in cell)


def _columns(found: Sequence[Sequence[Sequence[Unit]]]) -> list[tuple[float, float]]:
    """Where the columns are: those of the fullest row, and what stands beside all of them."""
    if not found:
        return []
    columns = [_span(cell) for cell in max(found, key=len)]
    for cell in sorted((cell for row in found for cell in row), key=lambda cell: _width(cell)):
        low, high = _span(cell)
        inside = [index for index, column in enumerate(columns) if _is_in((low, high), column)]
        if not inside:
            columns.append((low, high))
            columns.sort()
        elif len(inside) == 1:
            index = inside[0]
            left = columns[index - 1][1] if index else float("-inf")
            right = columns[index + 1][0] if index + 1 < len(columns) else float("inf")
            old = columns[index]
            columns[index] = (
                max(min(low, old[0]), min(left, old[0])),
                min(max(high, old[1]), max(right, old[1])),
            )
    return columns


def _width(cell: Sequence[Unit]) -> float:
    low, high = _span(cell)
    return high - low


def _is_in(cell: tuple[float, float], column: tuple[float, float]) -> bool:
    least = min(cell[1] - cell[0], column[1] - column[0])
    both = shared(*cell, *column)
    return both > _IN_COLUMN * least or (
        least <= 0 and cell[0] <= column[1] and cell[1] >= column[0]
    )


def _place(cell: list[Unit], columns: Sequence[tuple[float, float]]) -> _Cell:
    span = _span(cell)
    inside = [index for index, column in enumerate(columns) if _is_in(span, column)]
    if not inside:
        middle = sum(span) / 2
        near = min(range(len(columns)), key=lambda i: abs(sum(columns[i]) / 2 - middle))
        return _Cell(cell, near)
    return _Cell(cell, inside[0], len(inside))


def _is_between(
    row: Sequence[Sequence[Unit]], above: Sequence[Sequence[Unit]], below: Sequence[Sequence[Unit]]
) -> bool:
    """Whether cells stand half beside the row above: they belong to both, or only to that one."""
    if not above or not below or len(row) >= len(above):
        return False
    top = min(unit.box[1] for cell in row for unit in cell)
    bottom = max(unit.box[3] for cell in row for unit in cell)
    reach = max(unit.box[3] for cell in above for unit in cell)
    begin = min(unit.box[1] for cell in below for unit in cell)
    least = _BETWEEN * (bottom - top)
    if reach - top > least and bottom - begin > least:
        return True
    # What touches both and stands in columns that are empty in both.
    others = [_span(cell) for cell in (*above, *below)]
    alone = not any(_is_in(_span(cell), other) for cell in row for other in others)
    return alone and reach > top and bottom > begin


def _reach_down(row: list[_Cell], more: Sequence[_Cell]) -> None:
    for cell in more:
        same = next((old for old in row if old.column == cell.column), None)
        if same is not None:
            same.units += cell.units
        else:
            cell.row_span = 2
            row.append(cell)
    row.sort(key=lambda cell: cell.column)


def _merged(row: Sequence[_Cell]) -> list[_Cell]:
    """Cells of which none overlaps another one."""
    merged: list[_Cell] = []
    for cell in sorted(row, key=lambda cell: cell.column):
        if merged and cell.column < merged[-1].column + merged[-1].column_span:
            last = merged[-1]
            end = max(last.column + last.column_span, cell.column + cell.column_span)
            last.units += cell.units
            last.column_span = end - last.column
        else:
            merged.append(cell)
    return merged


def _html(cell: _Cell) -> str:
    spans = f' rowspan="{cell.row_span}"' if cell.row_span > 1 else ""
    spans += f' colspan="{cell.column_span}"' if cell.column_span > 1 else ""
    return f"<td{spans}>{escape(cell.text, quote=False)}</td>"
