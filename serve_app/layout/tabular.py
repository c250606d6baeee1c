"""Tables that no model has found: rows of three cells and more, one below the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from serve_app.layout.grid import grid_of
from serve_app.layout.unit import Row

# Cells of a row that makes a table, and of one that may go on with it; such rows in all.
_WIDE, _NARROW, _LEAST_ROWS = 3, 2, 3
# Part of a table's cells with a digit: names and addresses beside each other are none.
_NUMBERS = 0.2
# In line heights: white space between cells, and between rows of a table.
_CELL_GAP, _ROW_GAP = 0.8, 2.5


def tabular_runs(column: Sequence[Row], size: float) -> Iterator[tuple[Sequence[Row], bool]]:
    """``column`` cut into runs of rows, each with whether it is a table.

    Args:
        column: rows without solid things.
        size: height of a line.
    """
    text: list[Row] = []
    index = 0
    while index < len(column):
        end = _end_of_run(column, index, size)
        run = column[index:end]
        if len(run) >= _LEAST_ROWS and _is_table(run):
            if text:
                yield text, False
            yield run, True
            text, index = [], end
        else:
            # Not only the first row: what is no table from here is none from the next row either.
            text += column[index : max(end, index + 1)]
            index = max(end, index + 1)
    if text:
        yield text, False


def _end_of_run(column: Sequence[Row], start: int, size: float) -> int:
    if _cells(column[start], size) < _WIDE:
        return start
    end = start + 1
    while end < len(column):
        gap = column[end].box[1] - column[end - 1].box[3]
        if gap > _ROW_GAP * size or _cells(column[end], size) < _NARROW:
            break
        end += 1
    return end


def _cells(row: Row, size: float) -> int:
    gaps = (right.box[0] - left.box[2] for left, right in pairwise(row.cells))
    return 1 + sum(gap > _CELL_GAP * size for gap in gaps)


def _is_table(run: Sequence[Row]) -> bool:
    grid = grid_of([cell for row in run for cell in row.cells])
    wide = sum(len(row) >= _WIDE for row in grid.rows)
    merged = sum(cell.column_span > 1 for row in grid.rows for cell in row)
    cells = [cell.text for row in grid.rows for cell in row]
    numbers = sum(any(map(str.isdigit, text)) for text in cells)
    if not grid.is_table or grid.columns < _WIDE or merged * 2 > len(grid.rows):
        return False
    return wide >= 2 and numbers >= _NUMBERS * len(cells)
