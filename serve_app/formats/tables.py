"""The HTML of a table, as a model wrote it, as a grid of cells.

Only rows, cells, their spans and their text are taken over (``layout/tables.py`` reads them): what
a format writes is made anew from the grid, so that no markup of an untrusted page goes through.
Cells are placed as browsers do (HTML standard, "forming a table"): each in the next free slot of
its row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from serve_app.layout import tables

# Beyond this many slots spans are taken for 1: a row of 1000 x 1000 cells is no table. Text stays.
MAX_SLOTS = 100_000


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        text: without markup; may hold newlines.
        row, column: its first slot, from 0.
        rows, columns: how many slots it spans, at least 1.
        is_header: whether it was a ``th`` or in a ``thead``.
    """

    text: str
    row: int
    column: int
    rows: int = 1
    columns: int = 1
    is_header: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Cells by row; no slot is in two of them.

    Attributes:
        rows: the cells that begin in each row, from left to right.
        width: columns of the widest row.
    """

    rows: tuple[tuple[Cell, ...], ...]
    width: int

    @property
    def header_rows(self) -> int:
        """Rows at the top that have headers only."""
        count = 0
        for row in self.rows:
            if not row or not all(cell.is_header for cell in row):
                break
            count += 1
        return count

    def lines(self) -> Iterator[str]:
        """Each row as text, cells set apart by a bar."""
        for row in self.rows:
            yield " | ".join(" ".join(cell.text.split()) for cell in row)


def read_table(markup: str) -> Table | None:
    """The table in ``markup``; None if it has no cell."""
    sections = tables.parse_table(markup, keep_outside=True)
    rows = [
        [_RawCell(cell, cell.is_head or section.tag == "thead") for cell in row]
        for section in sections
        for row in section.rows
    ]
    return _placed(rows) if rows else None


@dataclass(frozen=True, slots=True)
class _RawCell:
    """A cell that is not placed yet."""

    cell: tables.Cell
    is_header: bool


def _placed(raw: Sequence[Sequence[_RawCell]]) -> Table:
    area = sum(one.cell.row_span * one.cell.column_span for row in raw for one in row)
    spans = area <= MAX_SLOTS
    taken: dict[int, int] = {}  # column -> rows of it that a cell from above still covers
    rows = []
    width = 0
    for number, row in enumerate(raw):
        cells = _place_row(row, number, len(raw), taken, spans=spans)
        rows.append(tuple(cells))
        width = max([width, *(cell.column + cell.columns for cell in cells)])
        # Only what covers the next row, too, is still of interest.
        taken = {column: left - 1 for column, left in taken.items() if left > 1}
    return Table(tuple(rows), width)


def _place_row(
    row: Sequence[_RawCell], number: int, count: int, taken: dict[int, int], *, spans: bool
) -> list[Cell]:
    cells = []
    column = 0
    for raw in row:
        while column in taken:
            column += 1
        columns = _free(column, raw.cell.column_span if spans else 1, taken)
        rows = min(raw.cell.row_span if spans else 1, count - number)
        text = raw.cell.text.strip()
        cells.append(Cell(text, number, column, rows, columns, raw.is_header))
        # 1 stands for this row only, and is dropped when it ends.
        taken.update(dict.fromkeys(range(column, column + columns), rows))
        column += columns
    return cells


def _free(column: int, wanted: int, taken: dict[int, int]) -> int:
    """How many of the slots from ``column`` on are free; overlapping cells are cut."""
    for count in range(1, wanted):
        if column + count in taken:
            return count
    return wanted
