"""A page's blocks as what documents are made of: headings, paragraphs, lists, tables, pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from serve_app.document import Block, Line, PageResult
from serve_app.formats.tables import Table, read_table
from serve_app.layout.joining import join_two
from serve_app.layout.labels import PICTURES, TITLES
from serve_app.layout.markdown import runs_on
from serve_app.layout.paragraphs import begins_item, item_parts

Kind = Literal["heading", "text", "list", "table", "picture", "formula", "code"]

MAX_HEADING_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a page is written.

    Attributes:
        omitted: labels of blocks that are left out.
        picture_text: whether what was read in pictures is written below them.
    """

    omitted: frozenset[str] = frozenset()
    picture_text: bool = True


@dataclass(frozen=True, slots=True)
class Item:
    """One of a list: ``mark`` is its number as printed, "" for a bullet."""

    mark: str
    text: str


@dataclass(frozen=True, slots=True)
class Piece:
    """One block, or those that a paragraph runs through from column to column.

    Attributes:
        kind: what it is.
        blocks: where it came from, at least one.
        text: of the whole; lines of a paragraph, items and rows are set apart by newlines.
        level: of a heading, 1 to 6; else 0.
        items: of a list.
        table: of a table.
        picture: JPEG of a picture, if it was asked for.
    """

    kind: Kind
    blocks: tuple[Block, ...]
    text: str
    level: int = 0
    items: tuple[Item, ...] = ()
    table: Table | None = None
    picture: bytes | None = field(default=None, repr=False)


EVERYTHING = Selection()


def pieces_of(page: PageResult, selection: Selection = EVERYTHING) -> Iterator[Piece]:
    """What is selected of the page, in reading order; nothing that is empty."""
    waiting: Piece | None = None
    for block in blocks_of(page):
        if block.label in selection.omitted:
            continue
        piece = _piece(block, page, selection)
        if not piece.text and piece.picture is None:
            continue
        if waiting is None:
            waiting = piece
        elif runs_on(waiting.blocks[-1], block, page.lines):
            text = join_two(waiting.text, piece.text)
            waiting = replace(waiting, blocks=(*waiting.blocks, block), text=text)
        else:
            yield waiting
            waiting = piece
    if waiting is not None:
        yield waiting


def blocks_of(page: PageResult) -> Iterator[Block]:
    """Its blocks; a page without any (``keep_all_text: false``) gives its lines, one by one."""
    if page.blocks:
        yield from page.blocks
    else:
        for index, line in enumerate(page.lines):
            yield Block("text", line.box, (index,), line.text)


def lines_of(block: Block, page: PageResult) -> list[Line]:
    """The block's lines, in reading order."""
    return [page.lines[index] for index in block.lines]


def is_picture(block: Block) -> bool:
    """Whether it is shown as one; a seal, too, and a formula that was not read."""
    return block.label in PICTURES or block.label == "seal" or block.image is not None


def _piece(block: Block, page: PageResult, selection: Selection) -> Piece:
    text = block.text
    if is_picture(block):
        pictures = page.markdown.images if page.markdown is not None else {}
        shown = text if selection.picture_text or block.label not in PICTURES else ""
        return Piece("picture", (block,), shown, picture=pictures.get(block.image or ""))
    if block.label == "table" and (table := read_table(text)) is not None:
        return Piece("table", (block,), "\n".join(table.lines()), table=table)
    if block.label in TITLES and text:
        level = min(max(block.level, 1), MAX_HEADING_LEVEL)
        return Piece("heading", (block,), " ".join(text.split("\n")), level=level)
    if block.label == "formula":
        return Piece("formula", (block,), text.strip())
    if block.label == "algorithm":
        return Piece("code", (block,), text)
    if items := _items(text):
        return Piece("list", (block,), text, items=items)
    return Piece("text", (block,), text)


def _items(text: str) -> tuple[Item, ...]:
    """The lines of ``text`` if most of them begin as items do; as the Markdown has it."""
    lines = text.split("\n")
    if sum(map(begins_item, lines)) * 2 <= len(lines):
        return ()
    parts = map(item_parts, lines)
    return tuple(Item("" if mark == "-" else mark, rest) for mark, rest in parts)
