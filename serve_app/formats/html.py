"""A document as one HTML file: nothing outside of it is loaded, and nothing in it runs.

Every text is escaped and every tag is written here, so markup of a page cannot get in; the
Content-Security-Policy is the second lock. A page is a ``section``; a bidirectional override in a
text ends with its block, as each is a block of its own with ``dir="auto"``.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence

from serve_app.document import FailedPage, PageResult
from serve_app.formats.characters import escaped, language_of
from serve_app.formats.pieces import EVERYTHING, Piece, Selection, pieces_of
from serve_app.formats.tables import Cell, Table
from serve_app.formats.writer import SYSTEM, Document, utf8, why_failed

STYLE = """
body { margin: 0 auto; max-width: 48rem; padding: 1rem; font: 1rem/1.5 sans-serif; }
section { border-bottom: 1px solid #bbb; padding: 1rem 0; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { border: 1px solid #999; padding: .2rem .5rem; text-align: start; vertical-align: top; }
img { display: block; max-width: 100%; }
figure { margin: 1rem 0; }
pre { overflow-x: auto; }
ul.marked { list-style: none; padding-inline-start: 1.5rem; }
.failed, .notices { background: #fff3d6; padding: .5rem 1rem; }
""".strip()

_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; img-src data:; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'"
)


class HtmlWriter:
    """See ``writer.py``. Pictures are put in as data URIs, where the page has them."""

    media_type = "text/html; charset=utf-8"

    def __init__(self, selection: Selection = EVERYTHING) -> None:
        self._selection = selection

    def head(self, document: Document) -> Iterator[bytes]:
        """All up to the first page."""
        yield utf8(
            '<!DOCTYPE html>\n<html lang="">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_SECURITY_POLICY}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<meta name="generator" content="{SYSTEM}">\n'
            f"<title>{escaped(document.name) or 'Document'}</title>\n"
            f"<style>{STYLE}</style>\n</head>\n<body>\n"
        )

    def page(self, page: PageResult) -> Iterator[bytes]:
        """One section, block after block."""
        yield utf8(_section(page.index, language_of("".join(page.text))))
        for piece in pieces_of(page, self._selection):
            yield utf8(_piece(piece) + "\n")
        yield b"</section>\n"

    def failed(self, page: FailedPage) -> Iterator[bytes]:
        """A section that says so."""
        why = f"<strong>Page {page.index + 1} failed</strong>: {escaped(why_failed(page))}"
        yield utf8(f'{_section(page.index)}<p class="failed" dir="auto">{why}</p>\n</section>\n')

    def tail(self, document: Document, notices: Sequence[str]) -> Iterator[bytes]:
        """What was left out, if anything was."""
        if notices:
            items = "".join(f'<li dir="auto">{escaped(notice)}</li>\n' for notice in notices)
            yield utf8(f'<footer class="notices">\n<ul>\n{items}</ul>\n</footer>\n')
        yield b"</body>\n</html>\n"


def _piece(piece: Piece) -> str:
    match piece.kind:
        case "heading":
            return f'<h{piece.level} dir="auto">{_lines(piece.text)}</h{piece.level}>'
        case "table":
            assert piece.table is not None, "what makes it one"
            return table_html(piece.table)
        case "list":
            return _list(piece)
        case "picture":
            return _picture(piece)
        case "formula":
            return f'<p class="formula"><code>{_lines(piece.text)}</code></p>'
        case "code":
            # The parser drops a newline right behind the tag; so this one is dropped.
            return f'<pre dir="auto">\n{escaped(piece.text)}</pre>'
        case "text":
            return f'<p dir="auto">{_lines(piece.text)}</p>'


def _picture(piece: Piece) -> str:
    image = ""
    if piece.picture is not None:
        data = base64.b64encode(piece.picture).decode()
        image = f'<img alt="" src="data:image/jpeg;base64,{data}">'
    below = f'<figcaption dir="auto">{_lines(piece.text)}</figcaption>' if piece.text else ""
    return f"<figure>{image}{below}</figure>"


def _section(index: int, language: str = "") -> str:
    lang = f' lang="{language}"' if language else ""
    number = index + 1
    return f'<section id="page-{number}" aria-label="Page {number}"{lang}>\n'


def _lines(text: str) -> str:
    return "<br>\n".join(escaped(line) for line in text.split("\n"))


def _list(piece: Piece) -> str:
    marked = any(item.mark for item in piece.items)
    items = "".join(
        f'<li dir="auto">{escaped(f"{item.mark} {item.text}".strip())}</li>\n'
        for item in piece.items
    )
    opening = '<ul class="marked">' if marked else "<ul>"
    return f"{opening}\n{items}</ul>"


def table_html(table: Table) -> str:
    """The grid as a table of our own; also what a chunk says of it."""
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in table.rows)
    return f"<table>\n{rows}</table>"


def _cell(cell: Cell) -> str:
    tag = "th" if cell.is_header else "td"
    rows = f' rowspan="{cell.rows}"' if cell.rows > 1 else ""
    columns = f' colspan="{cell.columns}"' if cell.columns > 1 else ""
    return f'<{tag}{rows}{columns} dir="auto">{_lines(cell.text)}</{tag}>'
