"""The blocks of a page as Markdown."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from serve_app.document import Block, Line
from serve_app.layout.boxes import shared
from serve_app.layout.escaping import escape, escape_formula, escape_heading, fenced
from serve_app.layout.joining import join_two
from serve_app.layout.labels import LISTING, PICTURES, RUNNING, TITLES
from serve_app.layout.paragraphs import begins_item, item_parts
from serve_app.layout.script import is_spaceless
from serve_app.layout.tables import clean_table

_EMPTY_LINE = "\n\n"
# A line that ends within a paragraph: two spaces, as PaddleX writes it.
_BREAK = "  \n"
_ENDS = re.compile(r"[.!?:;。！？：；…][\"'”’»)）\]\d]*$")


@dataclass(frozen=True, slots=True)
class Written:
    """A page as Markdown.

    Attributes:
        text: the Markdown.
        is_start, is_end: whether it begins and ends with a paragraph's beginning and end.
    """

    text: str
    is_start: bool = True
    is_end: bool = True


@dataclass(frozen=True, slots=True)
class Style:
    """How to write.

    Attributes:
        pretty: centre pictures and draw the lines of tables, by HTML.
        picture_text: write what was read in a picture below it.
        omitted: labels of blocks that are left out.
    """

    pretty: bool = True
    picture_text: bool = True
    omitted: Collection[str] = ()


def write(
    blocks: Sequence[Block], lines: Sequence[Line], width: int, style: Style = Style()
) -> Written:
    """Write a page.

    Args:
        blocks: in reading order.
        lines: of the page.
        width: of the page, pixels.
        style: what to write, and how.
    """
    shown = [block for block in blocks if block.label not in style.omitted]
    pieces: list[str] = []
    before: Block | None = None
    for block in shown:
        piece = _piece(block, width, style)
        if not piece:
            continue
        if before is not None and runs_on(before, block, lines):
            pieces[-1] = join_two(pieces[-1], piece)
        else:
            pieces.append(piece)
        before = block
    written = [block for block in shown if _piece(block, width, style)]
    if not written:
        return Written("")
    return Written(
        _EMPTY_LINE.join(pieces),
        not _goes_on_from_before(written[0], lines),
        not _goes_on_after(written[-1]),
    )


def runs_on(above: Block, below: Block, lines: Sequence[Line]) -> bool:
    """Whether a paragraph goes on from one block to the next, in another column.

    Below each other they were set apart for a reason: a header that is no furniture, for instance.
    """
    if _is_below(below, above):
        return False
    return _goes_on_after(above) and _goes_on_from_before(below, lines)


def _is_below(block: Block, above: Block) -> bool:
    return block.box[1] >= above.box[3] and bool(
        shared(above.box[0], above.box[2], block.box[0], block.box[2])
    )


def _goes_on_after(block: Block) -> bool:
    text = block.text.rstrip()
    return (
        block.label in RUNNING
        and len(block.lines) > 1
        and "\n" not in text
        and not _ENDS.search(text)
    )


def _goes_on_from_before(block: Block, lines: Sequence[Line]) -> bool:
    text = block.text.lstrip()
    if block.label not in RUNNING or not text or begins_item(text):
        return False
    if is_spaceless(text[0]):
        return len(block.lines) > 1 and not _is_indented(block, lines)
    return text[0].islower()


def _is_indented(block: Block, lines: Sequence[Line]) -> bool:
    first, *rest = (lines[index].box for index in block.lines)
    if first[3] - first[1] > first[2] - first[0]:  # written downwards
        return first[1] - min(box[1] for box in rest) > (first[2] - first[0]) * 0.6
    return first[0] - min(box[0] for box in rest) > (first[3] - first[1]) * 0.6


def _piece(block: Block, width: int, style: Style) -> str:
    """A block as Markdown; empty if it has nothing to show."""
    label = block.label
    if label in PICTURES or label == "seal" or (label == "formula" and block.image):
        return _picture(block, width, style)
    if label == "table":
        return clean_table(block.text, pretty=style.pretty)
    if label == "formula":
        formula = escape_formula(block.text.strip().strip("$"))
        return f"$${formula}$$" if formula else ""
    if label == LISTING:
        return fenced(block.text)
    if label in TITLES and block.text:
        return "#" * max(1, block.level) + " " + escape_heading(block.text.replace("\n", " "))
    return _text(block.text)


def _text(text: str) -> str:
    lines = text.split("\n")
    if sum(map(begins_item, lines)) * 2 > len(lines):
        return "\n".join(_items(lines))
    return escape(text).replace("\n", _BREAK)


def _items(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        mark, rest = item_parts(line)
        yield f"{mark} {escape(rest)}" if mark else escape(line)


def _picture(block: Block, width: int, style: Style) -> str:
    parts = []
    if block.image:
        parts.append(_reference(block, width, style.pretty))
    if block.text and style.picture_text:
        parts.append(_text(block.text))
    return _EMPTY_LINE.join(parts)


def _reference(block: Block, width: int, pretty: bool) -> str:
    assert block.image, "checked by the caller"
    if not pretty or block.label in ("header_image", "footer_image"):
        return f"![]({block.image})"
    share = int((block.box[2] - block.box[0]) / max(width, 1) * 100)
    image = f'<img src="{block.image}" alt="Image" width="{share}%" />'
    return f'<div style="text-align: center;">{image}</div>\n'
