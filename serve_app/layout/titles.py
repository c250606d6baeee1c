"""Boxes of titles that hold several: headlines below each other, or side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence

from serve_app.layout import headings
from serve_app.layout.order import rows
from serve_app.layout.unit import Row, Unit

# White space in line heights: wider than between the lines of one title, and between its words or
# its number and its words.
_BELOW, _BESIDE = 1.2, 6.0
_PAGE = re.compile(r"\d{1,4}|[ivxl]{1,6}")


def apart(units: Sequence[Unit]) -> list[list[Unit]]:
    """The lines of each title, in the order of the first lines.

    Args:
        units: the lines in one title's box.
    """
    titles: list[list[Row]] = []
    for row in rows(units):
        for part in beside(row):
            above = next((title for title in titles if _goes_on(title[-1], part)), None)
            if above is None:
                titles.append([part])
            else:
                above.append(part)
    return [[cell for part in title for cell in part.cells] for title in titles]


def beside(row: Row) -> list[Row]:
    """A row of titles cut where the next cell is far away."""
    return [Row.of(part) for part in row.apart(_BESIDE)]


def is_in_contents(parts: Sequence[Row]) -> bool:
    """Whether a row cut by ``beside`` is of a table of contents: a numbered title, its page."""
    return (
        len(parts) > 1
        and bool(_PAGE.fullmatch(parts[-1].text.strip()))
        and headings.has_number(parts[0].text)
    )


def _goes_on(above: Row, below: Row) -> bool:
    """Whether ``below`` may be the next line of the title that ``above`` is the last line of."""
    gap = below.box[1] - above.box[3]
    apart_sideways = below.box[0] > above.box[2] or below.box[2] < above.box[0]
    return gap <= _BELOW * max(above.height, below.height) and not apart_sideways
