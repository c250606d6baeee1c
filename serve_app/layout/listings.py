"""Listings of programs: lines stay lines, and keep their indentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from serve_app.layout.unit import Row

# One line alone may be an address in the middle of a paragraph.
_LEAST_ROWS = 2


def listings(text: Sequence[Row]) -> Iterator[tuple[list[Row], bool]]:
    """``text`` in runs of rows; whether each is a listing. Neighbours that are none are one run."""
    prose: list[Row] = []
    for is_code, group in groupby(text, key=lambda row: row.is_code):
        run = list(group)
        if not is_code or len(run) < _LEAST_ROWS:
            prose += run
            continue
        if prose:
            yield prose, False
        yield run, True
        prose = []
    if prose:
        yield prose, False


def indented(run: Sequence[Row]) -> str:
    """The text of a listing, with the spaces before and between its words."""
    cells = [cell for row in run for cell in row.cells]
    left = min(cell.box[0] for cell in cells)
    # A grid may be wider than its letters, which shows least in the longest word.
    longest = max(cells, key=lambda cell: len(cell.text))
    pitch = longest.width / max(len(longest.text), 1)
    return "\n".join(_line(row, left, pitch) for row in run)


def _line(row: Row, left: float, pitch: float) -> str:
    text = ""
    for cell in row.cells:
        columns = round((cell.box[0] - left) / pitch) if pitch > 0 else 0
        text += " " * max(columns, 1 if text else 0) + cell.text.strip()
        left = cell.box[2]
    return text
