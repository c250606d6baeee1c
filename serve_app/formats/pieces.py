"""A page's blocks as what documents are made of: headings, paragraphs, lists, tables, pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from serve_app.document import Block, Box, Line, PageResult
from serve_app.formats.tables import Table, read_table

Kind = Literal["heading", "text", "list", "table", "picture", "formula", "code"]

MAX_HEADING_LEVEL = 6

_FORMULAS = frozenset({"formula", "display_formula", "inline_formula"})
_HEADINGS = {"doc_title": 1, "paragraph_title": 2}
# A bullet, or a number or letter with its full stop or bracket, then text.
_ITEM = re.compile(
    r"\s*(?:(?P<bullet>[•‣⁃▪▫◦●○■□·∙*\-–—])|(?P<number>\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})[.)]))\s+"
    r"(?P<text>\S.*)"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """One block, as writers see it.

    Attributes:
        kind: what it is.
        block: where it came from.
        text: of the whole; paragraphs and items are lines of it. Of a table: of its rows.
        level: of a heading, 1 to 6; else 0.
        items: of a list, with their marks.
        table: of a table.
        picture: JPEG of a picture.
    """

    kind: Kind
    block: Block
    text: str
    level: int = 0
    items: tuple[Item, ...] = ()
    table: Table | None = None
    picture: bytes | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One of a list: ``mark`` is its number as printed, "" for a bullet."""

    mark: str
    text: str


def pieces_of(page: PageResult) -> Iterator[Piece]:
    """The page's blocks in reading order; one without any gives its lines, one by one."""
    for block in page.blocks or _lines_as_blocks(page):
        yield _piece(block, page)


def lines_of(block: Block, page: PageResult) -> list[Line]:
    """The block's lines, in reading order."""
    return [page.lines[index] for index in block.lines]


def union(boxes: list[Box]) -> Box:
    """The smallest box around all of at least one."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _lines_as_blocks(page: PageResult) -> Iterator[Block]:
    for index, line in enumerate(page.lines):
        yield Block("text", line.box, (index,), line.text)


def _piece(block: Block, page: PageResult) -> Piece:
    text = block.text
    level = block.level or _HEADINGS.get(block.label, 0)
    if level and text:
        return Piece("heading", block, text, level=min(level, MAX_HEADING_LEVEL))
    if block.label == "table":
        table = read_table(text) if "<" in text else None
        if table is not None:
            return Piece("table", block, "\n".join(table.lines()), table=table)
    if block.image is not None:
        pictures = page.markdown.images if page.markdown is not None else {}
        return Piece("picture", block, text, picture=pictures.get(block.image))
    if block.label in _FORMULAS:
        return Piece("formula", block, text)
    if block.label == "algorithm":
        return Piece("code", block, text)
    if items := _items(text):
        return Piece("list", block, text, items=items)
    return Piece("text", block, text)


def _items(text: str) -> tuple[Item, ...]:
    """The items, if every line is one; a single line that looks like one is a paragraph."""
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) < 2:
        return ()
    items = []
    for line in lines:
        match = _ITEM.fullmatch(line)
        if match is None:
            return ()
        items.append(Item(match["number"] or "", match["text"]))
    return tuple(items)
