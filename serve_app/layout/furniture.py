"""Running headers, footers and page numbers: what the pages of a document say over and over.

A line is such furniture only where that is shown: nearly the same text stands in the same place on
other pages near by, or it is a lone page number at the edge. One page alone has no running header,
whatever a layout model calls its first line. Nothing is lost: who leaves the furniture out says so.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import groupby

from serve_app.document import Block, Line, PageResult
from serve_app.layout.boxes import union
from serve_app.layout.joining import join
from serve_app.layout.labels import FURNITURE, SOLID, TITLES

# Parts of the page's height: where furniture is; with wide margins, where it is in the first row
# that stands apart; where a page number may be by itself; how far apart a line is on two pages.
_EDGE, _WIDE_EDGE, _NUMBER_EDGE, _SAME_PLACE = 0.15, 0.25, 0.1, 0.012
_MOST_ROWS = 6
# How far a page is looked around, and how alike texts are that differ by what was misread.
_NEAR, _ALIKE, _SAME_HEIGHT = 4, 0.85, 1.4
# A page with more lines that are numbers has them on an axis or in a table.
_MOST_NUMBERS = 3
# In line heights: what a page number keeps from the text.
_APART = 0.8
_DIGITS = re.compile(r"\d+")
_NUMBER = re.compile(
    r"\W*(?:(?:page|pag|p|seite|s|str|página|第)\W{0,2})?(?:\d{1,4}|[ivxlc]{1,7})"
    r"(?:\s*(?:/|of|von|de|sur|di|из|-|–)\s*\d{1,4})?\s*(?:页|頁|ページ)?\W*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class EdgeLine:
    """A line at the upper or lower edge of a page.

    Attributes:
        line: its index.
        key: its text, so far as it is the same on other pages: letters, and numbers as `#`.
        middle, height: fractions of the page's height.
        is_number: whether it may be a page number.
    """

    line: int
    key: str
    middle: float
    height: float
    is_number: bool


@dataclass(frozen=True, slots=True)
class Edges:
    """What of a page is compared with others: small, so that a document's can all be kept.

    Attributes:
        top, bottom: rows from the edge inwards.
        lines, numbers: how many lines the page has, and how many that might be its number.
    """

    top: Sequence[Sequence[EdgeLine]]
    bottom: Sequence[Sequence[EdgeLine]]
    lines: int
    numbers: int


NO_EDGES = Edges((), (), 0, 0)


def is_number(text: str) -> bool:
    """Whether a line may be the number of a page."""
    return bool(_NUMBER.fullmatch(unicodedata.normalize("NFKC", text).strip()))


def edges_of(page: PageResult) -> Edges:
    """The lines at the edges of a page, but for those of tables and pictures."""
    found = [
        _edge_line(index, page.lines[index], page.height)
        for block in page.blocks
        if block.label not in SOLID
        for index in block.lines
    ]
    top = sorted((edge for edge in found if edge.middle < _WIDE_EDGE), key=lambda edge: edge.middle)
    bottom = sorted(
        (edge for edge in found if edge.middle > 1 - _WIDE_EDGE), key=lambda e: -e.middle
    )
    numbers = sum(is_number(line.text) for line in page.lines)
    return Edges(_rows(top), _rows(bottom), len(page.lines), numbers)


def _edge_line(index: int, line: Line, page_height: int) -> EdgeLine:
    high = max(page_height, 1)
    text = unicodedata.normalize("NFKC", line.text).casefold()
    letters = "".join(char for char in _DIGITS.sub("#", text) if char.isalnum() or char == "#")
    middle = (line.box[1] + line.box[3]) / 2 / high
    may_be = is_number(line.text)
    key = "#" if may_be else letters
    return EdgeLine(index, key, middle, (line.box[3] - line.box[1]) / high, may_be)


def _rows(edges: Sequence[EdgeLine]) -> list[list[EdgeLine]]:
    rows: list[list[EdgeLine]] = []
    for edge in edges:
        if rows and abs(edge.middle - rows[-1][0].middle) < 0.5 * rows[-1][0].height:
            rows[-1].append(edge)
        elif len(rows) == _MOST_ROWS:
            break
        else:
            rows.append([edge])
    return rows


def decide(pages: Sequence[Edges]) -> list[frozenset[int]]:
    """Which lines of each page are furniture.

    Args:
        pages: of one document, in order; ``NO_EDGES`` for one that failed.
    """
    return [_of_page(pages, number) for number in range(len(pages))]


def _of_page(pages: Sequence[Edges], number: int) -> frozenset[int]:
    page = pages[number]
    near = [
        pages[other]
        for other in range(max(0, number - _NEAR), min(len(pages), number + _NEAR + 1))
        if other != number
    ]
    wanted = 1 if len(pages) < 4 else 2
    chosen: set[int] = set()
    for rows, others in (
        (page.top, [other.top for other in near]),
        (page.bottom, [other.bottom for other in near]),
    ):
        chosen.update(_from_edge(rows, others, wanted, numbers=page.numbers <= _MOST_NUMBERS))
    # Pages that are all alike, as forms or slides of one line are, are no furniture.
    return frozenset(chosen) if len(chosen) * 2 <= page.lines else frozenset()


def _from_edge(
    rows: Sequence[Sequence[EdgeLine]],
    others: Sequence[Sequence[Sequence[EdgeLine]]],
    wanted: int,
    *,
    numbers: bool,
) -> Iterator[int]:
    """Row by row inwards, as long as there is furniture in them."""
    for place, row in enumerate(rows):
        found = [edge.line for edge in row if _repeats(edge, others) >= wanted]
        inner = rows[place + 1][0] if place + 1 < len(rows) else None
        if _EDGE <= row[0].middle <= 1 - _EDGE and (place or not _is_apart(row[0], inner)):
            return
        lone = [edge.line for edge in row if numbers and _is_lone_number(edge, inner)]
        if len(found) + len(lone) > 0 and {*found, *lone} >= {edge.line for edge in row}:
            found += lone
        if not found:
            return
        yield from found


def _repeats(edge: EdgeLine, others: Sequence[Sequence[Sequence[EdgeLine]]]) -> int:
    """On how many other pages it stands in the same place."""
    return sum(any(_is_same(edge, other) for row in rows for other in row) for rows in others)


def _is_same(one: EdgeLine, other: EdgeLine) -> bool:
    if abs(one.middle - other.middle) > _SAME_PLACE:
        return False
    low, high = sorted((one.height, other.height))
    if high > _SAME_HEIGHT * low:
        return False
    if one.key == other.key:
        return bool(one.key)
    matcher = SequenceMatcher(None, one.key, other.key, autojunk=False)
    return matcher.quick_ratio() >= _ALIKE and matcher.ratio() >= _ALIKE


def _is_lone_number(edge: EdgeLine, inner: EdgeLine | None) -> bool:
    if not edge.is_number or _NUMBER_EDGE < edge.middle < 1 - _NUMBER_EDGE:
        return False
    return _is_apart(edge, inner)


def _is_apart(edge: EdgeLine, inner: EdgeLine | None) -> bool:
    return inner is None or abs(inner.middle - edge.middle) > edge.height * (1 + _APART)


def settle(page: PageResult, lines: Collection[int]) -> PageResult:
    """``page`` with what is furniture, and nothing else, in blocks with a label of ``FURNITURE``.

    Args:
        page: composed.
        lines: indexes of the lines that are furniture.
    """
    blocks = [part for block in page.blocks for part in _settled(block, page, lines)]
    return replace(page, blocks=tuple(blocks))


def _settled(block: Block, page: PageResult, lines: Collection[int]) -> Iterator[Block]:
    if block.label in SOLID or not block.lines:
        yield block
        return
    if not any(line in lines for line in block.lines):
        yield _as_text(block)
        return
    for out, group in groupby(block.lines, key=lambda line: line in lines):
        part = tuple(group)
        whole = len(part) == len(block.lines)
        texts = [page.lines[line] for line in part]
        text = block.text if whole else join(line.text for line in texts)
        box = block.box if whole else union(line.box for line in texts)
        cut = replace(block, lines=part, text=text, box=box)
        yield replace(cut, label=_label(texts, page.height), level=0) if out else _as_text(cut)


def _as_text(block: Block) -> Block:
    """A header that is none is a heading, if it is set like one, or text."""
    if block.label in FURNITURE:
        return replace(block, label="paragraph_title" if block.level else "text")
    return block if block.label in TITLES else replace(block, level=0)


def _label(lines: Sequence[Line], page_height: int) -> str:
    if all(is_number(line.text) for line in lines):
        return "number"
    middle = sum(line.box[1] + line.box[3] for line in lines) / 2 / len(lines)
    return "header" if middle < page_height / 2 else "footer"
