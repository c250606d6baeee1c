"""Tables as HTML: cleaned of what is no table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape, unescape
from html.parser import HTMLParser

# Tags inside a cell that mean something there. PaddleX writes them; attributes are dropped.
_INLINE = frozenset({"b", "i", "sup", "sub", "br"})
_MOST_SPAN = 1000
# What opens no tag. html.parser looks for the end of each such sign through all of the rest.
_NO_TAG = re.compile(r"<(?!/?[A-Za-z][^<>]{0,1000}>)")


@dataclass(slots=True)
class Cell:
    """A cell: its content as safe HTML, its text, and how far it reaches."""

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


def parse_table(html: str) -> list[Section]:
    """The rows of the first table in ``html``; any text outside of its cells is dropped."""
    parser = _Parser()
    parser.feed(_NO_TAG.sub("&lt;", html))
    parser.close()
    return parser.sections


def clean_table(html: str, *, pretty: bool) -> str:
    """Only a table: what a document wrote into its cells stays text."""
    sections = parse_table(html)
    if not any(section.rows for section in sections):
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


class _Parser(HTMLParser):
    """Reads structure and cells; any other tag is text of the document."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.sections: list[Section] = []
        self._cell: Cell | None = None
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("html", "body", "table"):
            return
        if tag in ("thead", "tbody", "tfoot"):
            self._close_cell()
            self.sections.append(Section(tag))
        elif tag == "tr":
            self._close_cell()
            self._section().rows.append([])
        elif tag in ("td", "th"):
            self._close_cell()
            told = dict(attrs)
            self._cell = Cell(
                is_head=tag == "th",
                row_span=_span(told.get("rowspan")),
                column_span=_span(told.get("colspan")),
            )
            self._row().append(self._cell)
        elif self._cell is not None:
            self._inside(tag, dict(attrs))

    def _inside(self, tag: str, attrs: dict[str, str | None]) -> None:
        assert self._cell is not None, "checked by the caller"
        source = attrs.get("src") or ""
        if tag == "img" and source.startswith("imgs/") and '"' not in source:
            self._cell.html += f'<img src="{escape(source)}" alt="Image" />'
        elif tag == "br":
            self._cell.html += "<br>"
            self._cell.text += " "
        elif tag in _INLINE:
            self._open.append(tag)
            self._cell.html += f"<{tag}>"
        elif tag != "div":
            self._text(self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "tr", "thead", "tbody", "tfoot", "table", "body", "html"):
            self._close_cell()
            if tag in ("thead", "tbody", "tfoot"):
                self.sections.append(Section(""))
        elif self._open and self._open[-1] == tag and self._cell is not None:
            self._open.pop()
            self._cell.html += f"</{tag}>"
        elif self._cell is not None and tag not in ("div", "img", *_INLINE):
            self._text(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self._text(data)

    def handle_entityref(self, name: str) -> None:
        self._text(unescape(f"&{name};"))

    def handle_charref(self, name: str) -> None:
        self._text(unescape(f"&#{name};"))

    def handle_comment(self, data: str) -> None:
        self._text(f"<!--{data}-->")

    def handle_decl(self, decl: str) -> None:
        self._text(f"<!{decl}>")

    def unknown_decl(self, data: str) -> None:
        self._text(f"<![{data}]>")

    def handle_pi(self, data: str) -> None:
        self._text(f"<?{data}>")

    def _text(self, text: str) -> None:
        if self._cell is not None:
            self._cell.text += text
            self._cell.html += escape(text, quote=False)

    def _close_cell(self) -> None:
        if self._cell is not None:
            for tag in reversed(self._open):
                self._cell.html += f"</{tag}>"
        self._open.clear()
        self._cell = None

    def _section(self) -> Section:
        if not self.sections:
            self.sections.append(Section(""))
        return self.sections[-1]

    def _row(self) -> list[Cell]:
        rows = self._section().rows
        if not rows:
            rows.append([])
        return rows[-1]


def _span(told: str | None) -> int:
    return min(int(told), _MOST_SPAN) if told and told.isdecimal() and int(told) > 0 else 1
