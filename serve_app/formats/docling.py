"""A document as a DoclingDocument, which docling-core builds and checks, as JSON or as DocTags
(a string of JSON).

It runs in a child process (``assembly.py``): docling-core takes 90 MB when it is loaded, and a
document is a tree of its objects. Boxes are pixels of the page as it was read, like the sizes of
its pages. Running headers, footers and page numbers are in the layer ``furniture``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from docling_core.types.doc import (
    BoundingBox,
    ContentLayer,
    CoordOrigin,
    DocItemLabel,
    DoclingDocument,
    GroupLabel,
    ImageRef,
    ProvenanceItem,
    Size,
    TableCell,
    TableData,
)

from serve_app.document import Block, PageResult
from serve_app.formats.characters import one_line, visible
from serve_app.formats.pieces import Piece, Selection, pieces_of
from serve_app.formats.tables import Table
from serve_app.layout.labels import FURNITURE

DEFAULT_NAME = "document"
POINTS_PER_INCH = 72
_TITLE = "doc_title"
_LABELS = {
    "header": DocItemLabel.PAGE_HEADER,
    "footer": DocItemLabel.PAGE_FOOTER,
    "number": DocItemLabel.PAGE_FOOTER,
    "footnote": DocItemLabel.FOOTNOTE,
    "formula": DocItemLabel.FORMULA,
    "figure_title": DocItemLabel.CAPTION,
    "table_title": DocItemLabel.CAPTION,
    "chart_title": DocItemLabel.CAPTION,
}


class Docling:
    """One document, page after page.

    Args:
        name: what the client calls the file.
        selection: what is left out; furniture never is, it has a layer of its own.
        tags: whether the answer is DocTags.
    """

    def __init__(self, name: str, selection: Selection, *, tags: bool) -> None:
        self._document = DoclingDocument(name=visible(one_line(name)) or DEFAULT_NAME)
        self._selection = Selection(selection.omitted - FURNITURE, selection.picture_text)
        self._tags = tags

    def add(self, page: PageResult) -> None:
        """A page below what is there."""
        number = page.index + 1
        size = Size(width=page.width, height=page.height)
        self._document.add_page(page_no=number, size=size)
        for piece in pieces_of(page, self._selection):
            self._piece(piece, number)

    def failed(self, index: int, why: str) -> None:
        """Nothing: the answer beside the document says so."""

    def save(self, notices: Sequence[str]) -> bytes:
        """The answer; what is no valid document is an error."""
        if self._tags:
            return json.dumps(self._document.export_to_doctags()).encode()
        text: str = self._document.model_dump_json(by_alias=True, exclude_none=True)
        DoclingDocument.model_validate_json(text)
        return text.encode()

    def _piece(self, piece: Piece, page: int) -> None:
        document, text = self._document, visible(piece.text)
        prov = _where(piece.blocks[0], page, text)
        match piece.kind:
            case "heading" if piece.blocks[0].label == _TITLE:
                document.add_title(text, prov=prov)
            case "heading":
                document.add_heading(text, level=piece.level, prov=prov)
            case "list":
                self._list(piece, page)
            case "table":
                assert piece.table is not None, "what makes it one"
                document.add_table(_table(piece.table), prov=prov)
            case "picture":
                self._picture(piece, page)
            case "code":
                document.add_code(text, prov=prov)
            case "formula" | "text":
                self._text(piece.blocks[0], text, prov)

    def _text(self, block: Block, text: str, prov: ProvenanceItem) -> None:
        label = _LABELS.get(block.label, DocItemLabel.TEXT)
        layer = ContentLayer.FURNITURE if block.label in FURNITURE else ContentLayer.BODY
        self._document.add_text(label, text, prov=prov, content_layer=layer)

    def _list(self, piece: Piece, page: int) -> None:
        group = self._document.add_group(GroupLabel.LIST, name="list")
        for item in piece.items:
            text = visible(item.text)
            self._document.add_list_item(
                text,
                enumerated=bool(item.mark),
                marker=item.mark or None,
                parent=group,
                prov=_where(piece.blocks[0], page, text),
            )

    def _picture(self, piece: Piece, page: int) -> None:
        image = None
        if piece.picture is not None:
            left, top, right, bottom = piece.blocks[0].box
            image = ImageRef(
                mimetype="image/jpeg",
                dpi=POINTS_PER_INCH,
                size=Size(width=right - left, height=bottom - top),
                uri="data:image/jpeg;base64," + base64.b64encode(piece.picture).decode(),
            )
        text = visible(piece.text)
        prov = _where(piece.blocks[0], page, text)
        picture = self._document.add_picture(image=image, prov=prov)
        if text:  # what was read in it
            self._document.add_text(DocItemLabel.TEXT, text, prov=prov, parent=picture)


def warm_up() -> None:
    """Have docling-core load what it loads at its first use."""
    for tags in (False, True):
        document = Docling("", Selection(), tags=tags)
        block = Block("text", (0.0, 0.0, 1.0, 1.0), text="a")
        document.add(PageResult(0, 1, 1, b"{}", (), blocks=(block,)))
        document.save([])


def _where(block: Block, page: int, text: str) -> ProvenanceItem:
    left, top, right, bottom = block.box
    box = BoundingBox(l=left, t=top, r=right, b=bottom, coord_origin=CoordOrigin.TOPLEFT)
    return ProvenanceItem(page_no=page, bbox=box, charspan=(0, len(text)))


def _table(table: Table) -> TableData:
    cells: list[Any] = [
        TableCell(
            text=visible(cell.text),
            row_span=cell.rows,
            col_span=cell.columns,
            start_row_offset_idx=cell.row,
            end_row_offset_idx=cell.row + cell.rows,
            start_col_offset_idx=cell.column,
            end_col_offset_idx=cell.column + cell.columns,
            column_header=cell.is_header,
        )
        for row in table.rows
        for cell in row
    ]
    height = max([len(table.rows), *(cell.end_row_offset_idx for cell in cells)])
    return TableData(table_cells=cells, num_rows=height, num_cols=table.width)
