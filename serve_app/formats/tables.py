"""The HTML of a table, as a model wrote it, read into a grid of cells.

Only rows, cells, their spans and their text are taken over: what a format writes is made anew from
the grid, so that no markup of an untrusted page goes through. Cells are placed as browsers do
(HTML standard, "forming a table"): each in the next free slot of its row.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

# Beyond this many slots spans are taken for 1: a row of 1000 x 1000 cells is no table. Text stays.
MAX_SLOTS = 100_000
MAX_SPAN = 1000  # of columns in the HTML standard, where rows may have 65534
# The tags that models write in tables. Anything else that begins like one ("a<b and b>c") is text
# that was not escaped, and stays text. Bounded, so that no text takes quadratic time.
_TAG = re.compile(
    r"<(?P<end>/?)(?P<name>html|body|table|tbody|thead|tfoot|tr|td|th|caption|colgroup|col|span|font"
    r"|b|strong|i|em|u|sup|sub|img|center|br|p|div|li|ul|ol)(?P<attributes>[\s/][^<>]{0,1000})?>",
    re.IGNORECASE,
)
_SPAN = re.compile(r"""\b(rowspan|colspan)\s{0,9}=\s{0,9}["']?\s{0,9}([0-9]{1,9})""", re.IGNORECASE)
_BREAKS = frozenset({"br", "p", "div", "li"})


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
    reader = _Reader()
    at = 0
    for tag in _TAG.finditer(markup):
        attributes = (tag["attributes"] or "").strip(" \t\r\n/")
        if attributes and "=" not in attributes:
            continue  # "a<b and c>d"
        reader.text(html.unescape(markup[at : tag.start()]))
        reader.tag(tag["name"].lower(), attributes, is_end=bool(tag["end"]))
        at = tag.end()
    reader.text(html.unescape(markup[at:]))
    reader.end_cell()
    return _placed(reader.rows) if reader.has_cells else None


@dataclass(slots=True)
class _RawCell:
    text: str
    rows: int = 1
    columns: int = 1
    is_header: bool = False


class _Reader:
    """Rows of cells in order; of whatever else is there the text is kept."""

    def __init__(self) -> None:
        self.rows: list[list[_RawCell]] = []
        self.has_cells = False
        self._cell: _RawCell | None = None
        self._text: list[str] = []
        self._in_head = False

    def tag(self, name: str, attributes: str, *, is_end: bool) -> None:
        """A cell ends with its tag, with the next cell or row, or with the table."""
        if name in ("td", "th", "tr", "table"):
            self.end_cell()
        if name == "thead":
            self._in_head = not is_end
        elif name in _BREAKS:
            self.text("\n")
        elif name == "tr" and not is_end:
            self.rows.append([])
        elif name in ("td", "th") and not is_end:
            self._begin_cell(attributes, is_header=name == "th" or self._in_head)

    def text(self, text: str) -> None:
        """Of the cell; text between cells becomes a row of its own."""
        if self._cell is not None:
            self._text.append(text)
        elif text.strip():
            self.rows.append([_RawCell(text.strip())])

    def end_cell(self) -> None:
        """Keep the cell that is open."""
        if self._cell is not None:
            self._cell.text = "".join(self._text).strip()
            self.rows[-1].append(self._cell)
        self._cell = None
        self._text.clear()

    def _begin_cell(self, attributes: str, *, is_header: bool) -> None:
        if not self.rows:
            self.rows.append([])
        self.has_cells = True
        spans = {name.lower(): int(number) for name, number in _SPAN.findall(attributes)}
        rows, columns = spans.get("rowspan", 1), spans.get("colspan", 1)
        self._cell = _RawCell(
            "", max(1, min(rows, MAX_SPAN)), max(1, min(columns, MAX_SPAN)), is_header
        )


def _placed(raw: list[list[_RawCell]]) -> Table:
    area = sum(cell.rows * cell.columns for row in raw for cell in row)
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
    row: list[_RawCell], number: int, count: int, taken: dict[int, int], *, spans: bool
) -> list[Cell]:
    cells = []
    column = 0
    for cell in row:
        while column in taken:
            column += 1
        columns = _free(column, cell.columns if spans else 1, taken)
        rows = min(cell.rows if spans else 1, count - number)
        cells.append(Cell(cell.text, number, column, rows, columns, cell.is_header))
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
