"""A document as one Word file, with headings, lists, tables with their spans, and pictures.

python-docx holds the whole document as a tree, about ten times its text, and all pictures: this
runs in a child process (``assembly.py``), which has a limit of memory, and ends with the answer.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import docx
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Emu, Mm, Pt

from serve_app.document import PageResult
from serve_app.formats.characters import one_line, visible
from serve_app.formats.pieces import Piece, Selection, pieces_of
from serve_app.formats.tables import Cell, Table
from serve_app.layout.joining import join_two

MAX_COLUMNS = 63  # Word opens no table with more
_TITLE_CHARS = 255  # of a core property
_A4 = Mm(210), Mm(297)
_MARGIN = Mm(25)
_MARKED_INDENT = Pt(18)
_CODE = "Code"
_NOTE = "Intense Quote"
_FIRST_STRONG = re.compile(
    "[A-Za-z\u00c0-\u024f\u0370-\u058f\u0900-\ufb1c]|(?P<right_to_left>[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff])"
)


class WordDocument:
    """One document, page after page."""

    def __init__(self, name: str, selection: Selection) -> None:
        self._document = docx.Document()
        self._document.core_properties.title = visible(one_line(name))[:_TITLE_CHARS]
        self._document.core_properties.author = ""
        self._document.core_properties.comments = ""
        code = self._document.styles.add_style(_CODE, WD_STYLE_TYPE.PARAGRAPH)
        code.font.name = "Courier New"
        code.font.size = Pt(9)
        section = self._document.sections[0]
        section.page_width, section.page_height = _A4
        section.left_margin = section.right_margin = _MARGIN
        section.top_margin = section.bottom_margin = _MARGIN
        self._text_width, self._text_height = (side - 2 * _MARGIN for side in _A4)
        self._selection = selection
        self._open: Any = None  # the paragraph that may run on to the next page
        self._runs_on = False

    def add(self, page: PageResult) -> None:
        """A page below what is there; a paragraph that runs over the page's end is one."""
        width = page.width
        markdown = page.markdown
        goes_on = self._runs_on and markdown is not None and not markdown.is_start
        for piece in pieces_of(page, self._selection):
            if goes_on and piece.kind == "text" and self._open is not None:
                text = join_two(self._open.text, visible(piece.text))
                self._open.text = text
            else:
                self._open = None
                self._piece(piece, width)
            goes_on = False
        self._runs_on = markdown is not None and not markdown.is_end

    def failed(self, index: int, why: str) -> None:
        """A paragraph that says so."""
        self._open, self._runs_on = None, False
        self._paragraph(f"Page {index + 1} failed: {why}", _NOTE)

    def save(self, notices: Sequence[str]) -> bytes:
        """The file."""
        for notice in notices:
            self._paragraph(notice, _NOTE)
        out = io.BytesIO()
        self._document.save(out)
        return out.getvalue()

    def _piece(self, piece: Piece, width: int) -> None:
        match piece.kind:
            case "heading":
                self._paragraph(piece.text, f"Heading {piece.level}")
            case "table":
                assert piece.table is not None, "what makes it one"
                self._table(piece.table)
            case "list":
                for item in piece.items:
                    self._item(item.mark, item.text)
            case "picture":
                self._picture(piece, width)
            case "code":
                self._paragraph(piece.text, _CODE)
            case "formula" | "text":
                self._open = self._paragraph(piece.text)

    def _paragraph(self, text: str, style: str | None = None) -> Any:
        paragraph = self._document.add_paragraph(visible(text), style)
        found = _FIRST_STRONG.search(text)
        if found is not None and found["right_to_left"]:
            _direct_right_to_left(paragraph)
        return paragraph

    def _item(self, mark: str, text: str) -> None:
        if mark:  # as it was printed, not counted anew
            paragraph = self._paragraph(f"{mark} {text}")
            paragraph.paragraph_format.left_indent = _MARKED_INDENT
        else:
            self._paragraph(text, "List Bullet")

    def _picture(self, piece: Piece, width: int) -> None:
        left, _, right, _ = piece.blocks[0].box
        if piece.picture is not None:
            share = min(1.0, max(0.05, (right - left) / max(1, width)))
            shape = self._document.add_picture(
                io.BytesIO(piece.picture), width=Emu(int(share * self._text_width))
            )
            if shape.height > self._text_height:
                shape.width = Emu(int(shape.width * self._text_height / shape.height))
                shape.height = self._text_height
        if piece.text:
            self._paragraph(piece.text)

    def _table(self, table: Table) -> None:
        if table.width > MAX_COLUMNS:
            for line in table.lines():
                self._paragraph(line)
            return
        made = self._document.add_table(0, table.width)
        made.style = "Table Grid"
        above: dict[int, Cell] = {}  # by their first column
        for number, row in enumerate(table.rows):
            above = {c.column: c for c in above.values() if c.row + c.rows > number}
            above |= {cell.column: cell for cell in row}
            made._tbl.append(_row(above, number, table.width, number < table.header_rows))
        self._document.add_paragraph()  # or Word would join it with a table that follows


def _row(cells: dict[int, Cell], number: int, width: int, is_header: bool) -> Any:
    row = OxmlElement("w:tr")
    if is_header:
        row.get_or_add_trPr().append(OxmlElement("w:tblHeader"))
    column = 0
    while column < width:
        cell = cells.get(column)
        row.append(_cell(cell, number))
        column += cell.columns if cell is not None else 1
    return row


def _cell(cell: Cell | None, row: int) -> Any:
    made = OxmlElement("w:tc")
    properties = made.get_or_add_tcPr()
    if cell is not None and cell.columns > 1:
        span = OxmlElement("w:gridSpan")
        span.set(qn("w:val"), str(cell.columns))
        properties.append(span)
    if cell is not None and cell.rows > 1:
        merge = OxmlElement("w:vMerge")
        if cell.row == row:
            merge.set(qn("w:val"), "restart")
        properties.append(merge)
    paragraph = OxmlElement("w:p")
    if cell is not None and cell.row == row and cell.text:
        run = OxmlElement("w:r")
        run.text = visible(cell.text)
        if cell.is_header:
            run.get_or_add_rPr().append(OxmlElement("w:b"))
        paragraph.append(run)
    made.append(paragraph)
    return made


def _direct_right_to_left(paragraph: Any) -> None:
    paragraph._p.get_or_add_pPr().append(OxmlElement("w:bidi"))
    for run in paragraph.runs:
        run.font.rtl = True
