"""A table whose first rows a model got right, and whose others are made of the lines.

Headers with cells over several rows and columns are what a table model is good at, and what cannot
be told from the places of lines alone; further down it may lose count of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from serve_app.layout.grid import grid_of
from serve_app.layout.table_check import agrees, squeezed
from serve_app.layout.tables import Cell, parse_table, table_of
from serve_app.layout.unit import Unit

# More rows are not tried one by one.
_MOST_ROWS = 60


def repaired(html: str, units: Sequence[Unit]) -> str | None:
    """The model's rows as far as they agree with the lines, then rows made of the lines.

    Returns:
        HTML, or None if not even the first rows agree or the columns are others.
    """
    rows = [row for section in parse_table(html) for row in section.rows]
    for count in range(min(len(rows) - 1, _MOST_ROWS), 0, -1):
        if not _is_closed(rows[:count]):
            continue
        above = _above(rows[:count], units)
        if not above or not agrees(table_of(rows[:count]), above, ()):
            continue
        lines = {unit.line for unit in above}
        below = [unit for unit in units if unit.line not in lines]
        end = max(unit.middle + unit.height / 4 for unit in above)
        if any(unit.middle <= end for unit in below):  # the cut goes through a row
            continue
        rest = grid_of(below)
        if rest.columns == _columns(rows[:count]) and rest.rows:
            return table_of(rows[:count], rest.body)
    return None


def _is_closed(rows: Sequence[Sequence[Cell]]) -> bool:
    """Whether no cell reaches beyond the last row."""
    return all(
        number + cell.row_span <= len(rows) for number, row in enumerate(rows) for cell in row
    )


def _columns(rows: Sequence[Sequence[Cell]]) -> int:
    return sum(cell.column_span for cell in rows[0])


def _above(rows: Sequence[Sequence[Cell]], units: Sequence[Unit]) -> list[Unit]:
    """The lines that fill these rows: from the top, as many as there are letters in the cells."""
    letters = sum(len(squeezed(cell.text)) for row in rows for cell in row)
    found: list[Unit] = []
    for unit in sorted(units, key=lambda unit: unit.middle):
        if letters <= 0:
            break
        letters -= len(squeezed(unit.text))
        found.append(unit)
    return found if letters == 0 else []
