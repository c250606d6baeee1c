"""Tables as HTML, the way PaddleX's models write it: read into rows of cells, and written clean.

The models write a few tags, and what they read between them as it stands. So whatever else looks
like a tag ("a<b and b>c", "<script>") is text of the document, and stays text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape, unescape

MAX_SPAN = 1000  # of columns in the HTML standard, where rows may have 65534
_SECTIONS = frozenset({"thead", "tbody", "tfoot"})
_STRUCTURE = _SECTIONS | {"html", "body", "table", "tr", "td", "th"}
# Bounded, so that no text takes quadratic time.
_TAG = re.compile(
    r"<(?P<end>/?)(?P<name>html|body|table|thead|tbody|tfoot|tr|td|th|b|i|sup|sub|br|div|img)"
    r"(?P<attributes>[\s/][^<>]{0,1000})?>",
    re.IGNORECASE,
)
_SPAN = re.compile(r"""\b(rowspan|colspan)\s{0,9}=\s{0,9}["']?\s{0,9}([0-9]{1,9})""", re.IGNORECASE)
_PICTURE = re.compile(r"""\ssrc\s{0,9}=\s{0,9}["']?(imgs/[^\s"'<>]{1,200})""", re.IGNORECASE)


@dataclass(slots=True)
class Cell:
    """A cell: its content as safe HTML, its text (lines apart by newlines), how far it reaches."""

    html: str = ""
    text: str = ""
    is_head: bool = False
    row_span: int = 1
    column_span: int = 1


@dataclass(slots=True)
class Section:
    """Rows in a head or a body; ``tag`` is empty where the table has no sections."""

    tag: str
    rows: list[list[Cell]] = field(default_factory=list)


def parse_table(html: str, *, keep_outside: bool = False) -> list[Section]:
    """The rows of the table in ``html``; none if it has no cell.

    Args:
        keep_outside: whether text outside of all cells becomes a row of its own, or is dropped.
    """
    reader = _Reader(keep_outside=keep_outside)
    at = 0
    for tag in _TAG.finditer(html):
        attributes = (tag["attributes"] or "").strip(" \t\r\n/")
        if attributes and "=" not in attributes:
            continue  # "a<b and c>d"
        reader.text(unescape(html[at : tag.start()]))
        reader.tag(tag)
        at = tag.end()
    reader.text(unescape(html[at:]))
    reader.close_cell()
    return reader.sections if reader.has_cells else []


def clean_table(html: str, *, pretty: bool) -> str:
    """Only a table: what a document wrote into its cells stays text."""
    sections = parse_table(html)
    if not sections:
        return ""
    body = "".join(_section(section) for section in sections)
    opening = '<table border="1">' if pretty else "<table>"
    table = f"<html><body>{opening}{body}</table></body></html>"
    if pretty:
        return f'<div style="text-align: center;">{table}</div>\n'
    return f"{opening}{body}</table>"


def table_of(rows: Sequence[Sequence[Cell]], more: str = "") -> str:
    """HTML of rows without sections, as PaddleX's table models write it; ``more``: rows as HTML."""
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<html><body><table>{body}{more}</table></body></html>"


def _section(section: Section) -> str:
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in section.rows)
    return f"<{section.tag}>{rows}</{section.tag}>" if section.tag else rows


def _cell(cell: Cell) -> str:
    tag = "th" if cell.is_head else "td"
    spans = f' rowspan="{cell.row_span}"' if cell.row_span > 1 else ""
    spans += f' colspan="{cell.column_span}"' if cell.column_span > 1 else ""
    return f"<{tag}{spans}>{cell.html}</{tag}>"


class _Reader:
    """Takes tags and text in their order; knows which cell is open."""

    def __init__(self, *, keep_outside: bool) -> None:
        self.sections: list[Section] = []
        self.has_cells = False
        self._keep_outside = keep_outside
        self._cell: Cell | None = None
        self._open: list[str] = []

    def tag(self, tag: re.Match[str]) -> None:
        """A cell ends with its tag, with the next cell, row or section, or with the table."""
        name, is_end = tag["name"].lower(), bool(tag["end"])
        if name in _STRUCTURE:
            self.close_cell()
        if name in _SECTIONS:
            self.sections.append(Section("" if is_end else name))
        elif name == "tr" and not is_end:
            self._section().rows.append([])
        elif name in ("td", "th") and not is_end:
            self._begin_cell(tag, is_head=name == "th")
        elif name not in _STRUCTURE:
            self._inside(tag, name, is_end=is_end)

    def text(self, text: str) -> None:
        """Of the cell that is open; else outside of all."""
        if self._cell is not None:
            self._cell.text += text
            self._cell.html += escape(text, quote=False)
        elif self._keep_outside and (stripped := text.strip()):
            self._section().rows.append([Cell(escape(stripped, quote=False), stripped)])

    def close_cell(self) -> None:
        """No cell is open any more."""
        if self._cell is not None:
            for tag in reversed(self._open):
                self._cell.html += f"</{tag}>"
        self._open.clear()
        self._cell = None

    def _begin_cell(self, tag: re.Match[str], *, is_head: bool) -> None:
        told = {
            name.lower(): int(number) for name, number in _SPAN.findall(tag["attributes"] or "")
        }
        rows, columns = (
            max(1, min(told.get(name, 1), MAX_SPAN)) for name in ("rowspan", "colspan")
        )
        self._cell = Cell(is_head=is_head, row_span=rows, column_span=columns)
        self._row().append(self._cell)
        self.has_cells = True

    def _inside(self, tag: re.Match[str], name: str, *, is_end: bool) -> None:
        """What stands in a cell, or is text of the document after all."""
        cell = self._cell
        if name == "img":
            if (picture := _PICTURE.search(tag["attributes"] or "")) is None:
                self.text(tag[0])
            elif cell is not None:
                cell.html += f'<img src="{escape(picture[1])}" alt="Image" />'
        elif cell is None:
            return
        elif name in ("br", "div"):
            cell.text += "\n"
            cell.html += "<br>" if name == "br" and not is_end else ""
        elif not is_end:
            self._open.append(name)
            cell.html += f"<{name}>"
        elif self._open and self._open[-1] == name:
            self._open.pop()
            cell.html += f"</{name}>"

    def _section(self) -> Section:
        if not self.sections:
            self.sections.append(Section(""))
        return self.sections[-1]

    def _row(self) -> list[Cell]:
        rows = self._section().rows
        if not rows:
            rows.append([])
        return rows[-1]
