"""Rows of one column to paragraphs: by gap, indentation, size of letters, and where lines end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from serve_app.layout.boxes import shared
from serve_app.layout.joining import SOFT_HYPHEN, goes_on
from serve_app.layout.labels import TITLES
from serve_app.layout.script import is_spaceless
from serve_app.layout.unit import Row, columns_of

# In line heights.
_GAP, _RUN_ON_GAP, _NEAR, _LARGE_GAP, _LIST_GAP = 0.4, 0.6, 0.25, 1.6, 1.2
_INDENT, _MOST_INDENT = 0.8, 8.0
_SLACK = 0.5
# How much higher, and wider, letters are that are set apart by their size.
_SIZES, _WIDER = 1.3, 1.12
# Letters of a line of an address, at most.
_SHORT = 42
# Ends of lines that a sentence, or a part of it, ends with.
_ENDS = ".!?:;。！？：；…”»)）"
_BULLET = re.compile(r"^\s*(?:[•●○◦▪■□◆◇➢➤►▶✓✔❖·‣⁃∙*]|[-–—](?=\s))\s*(?=\S)")
_NUMBER = re.compile(
    r"^\s*(?:\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]|[（(][一二三四五六七八九十]+[)）])\s+\S"
)
_NUMBER_ALONE = re.compile(r"^\s*(?:\d{1,3}[.)])(?=[^\d\s])")
# Numbers that Markdown's own lists have.
_COUNTED = re.compile(r"^\s*(\d{1,9})([.)])\s*(?=\S)")
# Dots up to a page number, or between a word and what it means.
_LEADERS = re.compile(r"(?:\.\s?){4,}\s*\S{0,8}\s*$|…\s*\d{1,4}\s*$|(?:\.\s?){12}")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Rows that belong together.

    Attributes:
        rows: in order.
        breaks: indexes of rows that begin on a line of their own: items of a list, lines of an
            address, entries of a table of contents. Never 0.
        is_list: whether the rows that begin a line begin an item with a bullet or a number.
    """

    rows: Sequence[Row]
    breaks: frozenset[int] = frozenset()
    is_list: bool = False


def paragraphs(column: Sequence[Row], kinds: Mapping[int, str]) -> Iterator[Paragraph]:
    """The paragraphs of a column, which holds no solid things.

    Args:
        column: rows from top to bottom.
        kinds: labels of the regions that lines lie in.
    """
    for stack in _stacks(column, kinds):
        yield from _of_stack(stack, kinds)


def begins_item(text: str) -> bool:
    """Whether it begins with a bullet, or with a number as items do."""
    return bool(_BULLET.match(text) or _NUMBER.match(text) or _NUMBER_ALONE.match(text))


def item_parts(text: str) -> tuple[str, str]:
    """An item's mark as Markdown writes it, and its text; no mark for what is no item."""
    if found := _BULLET.match(text):
        return "-", text[found.end() :]
    if found := _COUNTED.match(text):
        return found[1] + found[2], text[found.end() :]
    return "", text


def _stacks(column: Sequence[Row], kinds: Mapping[int, str]) -> Iterator[list[Row]]:
    """Cut at gaps, at other sizes of letters, and where the layout model says so."""
    gaps = [below.box[1] - above.box[3] for above, below in pairwise(column)]
    usual = max(median(gaps), 0.0) if gaps else 0.0
    stack: list[Row] = []
    for row in column:
        if stack and _is_apart(stack[-1], row, usual, kinds):
            yield stack
            stack = []
        stack.append(row)
    if stack:
        yield stack


def _is_apart(above: Row, below: Row, usual: float, kinds: Mapping[int, str]) -> bool:
    low, high = sorted((above.height, below.height))
    size = max(low, high / 2)
    gap = below.box[1] - above.box[3]
    runs_on = _runs_on(above, below)
    titles = [_kind(row, kinds) in TITLES for row in (above, below)]
    # Typescripts with double spacing have long lines; short ones as far apart are a list, and
    # titles are headlines.
    are_long = min(columns_of(above.text), columns_of(below.text)) > _SHORT and not any(titles)
    are_cells = len(above.cells) > 1 and len(below.cells) > 1 and not any(titles)
    most = _LARGE_GAP if runs_on or are_long or are_cells else _LIST_GAP
    if gap > min(usual + (_RUN_ON_GAP if runs_on else _GAP) * size, most * size):
        return True
    if not shared(above.box[0], above.box[2], below.box[0], below.box[2]) and gap > 0:
        return True
    larger = _is_larger(above, below) or _is_larger(below, above)
    if runs_on and not any(titles):
        return False  # in the middle of a sentence, whatever the boxes say
    # Rows of cells are those of a receipt.
    if above.region != below.region and None not in (above.region, below.region) and not are_cells:
        # A model takes lines of an address for titles; a title stands apart, or is larger.
        return larger or gap > usual + _NEAR * size or all(titles) or not any(titles)
    return larger


def _kind(row: Row, kinds: Mapping[int, str]) -> str | None:
    return None if row.region is None else kinds.get(row.region)


def _is_larger(one: Row, other: Row) -> bool:
    """Whether its letters are larger: both higher and wider. One alone is often the outline's."""
    if min(len(one.text), len(other.text)) < 3 or one.height <= _SIZES * other.height:
        return False
    return _pitch(one) > _WIDER * _pitch(other)


def _pitch(row: Row) -> float:
    """Width of a letter."""
    return sum(cell.width for cell in row.cells) / max(1, columns_of(row.text))


def _runs_on(above: Row, below: Row) -> bool:
    """Whether a sentence goes on: the first line ends without a stop, the next begins small."""
    end, begin = above.text.rstrip()[-1:], below.text.lstrip()[:1]
    if goes_on(above.text.rstrip(), begin):
        return True
    if begin and end and (is_spaceless(end) or is_spaceless(begin)):
        # Scripts without small letters: both lines fill the column, and no sentence has ended.
        ends_together = above.box[2] > below.box[2] - below.height
        begin_together = abs(above.box[0] - below.box[0]) < 0.5 * below.height
        return ends_together and begin_together and end not in _ENDS
    return begin.islower() and (end.isalnum() or end in ",-\u00ad\u2010")


def _of_stack(stack: list[Row], kinds: Mapping[int, str]) -> Iterator[Paragraph]:
    lines = _Lines(stack)
    kind = _kind(stack[0], kinds)
    if kind in TITLES:
        end = _end_of_title(stack, lines)
        yield Paragraph(stack[:end])
        if end < len(stack):
            yield from _of_stack(stack[end:], kinds)
        return
    if lines.in_cells:
        yield Paragraph(stack, frozenset(range(1, len(stack))))
        return
    starts = [index for index in range(len(stack)) if index and lines.begins(index)]
    items = [index for index in range(len(stack)) if lines.begins_item(index)]
    if items and (len(items) > 1 or items == [0]) and kind != "algorithm":
        yield from _list(stack, items, starts)
    elif lines.are_apart or kind in ("algorithm", "content"):
        yield Paragraph(stack, frozenset(range(1, len(stack))))
    else:
        for first, last in pairwise([0, *starts, len(stack)]):
            yield Paragraph(stack[first:last])


def _end_of_title(stack: Sequence[Row], lines: _Lines) -> int:
    """Where running text begins below a title that stands no farther apart than lines do.

    Short lines below it may as well be an address, whose first line was taken for a title.
    """
    for index in range(1, len(stack)):
        other = stack[index].region != stack[index - 1].region
        if other and lines.ends_early(index - 1) and columns_of(stack[index].text) > _SHORT:
            return index
    return len(stack)


def _list(stack: list[Row], items: list[int], starts: list[int]) -> Iterator[Paragraph]:
    first = items[0]
    before = [0, *(start for start in starts if start < first)] if first else []
    for begin, end in pairwise([*before, first]):
        yield Paragraph(stack[begin:end])
    # A line that ended before its time ends the item, and what is no item ends the list.
    after = next((start for start in starts if start > first and start not in items), len(stack))
    breaks = frozenset(item - first for item in items if first < item < after)
    yield Paragraph(stack[first:after], breaks, is_list=True)
    if after < len(stack):
        rest = [item for item in items if item > after]
        ends = [start for start in starts if start > after]
        moved = [start - after for start in ends], [item - after for item in rest]
        if rest:
            yield from _list(stack[after:], moved[1], moved[0])
        else:
            for begin, end in pairwise([0, *moved[0], len(stack) - after]):
                yield Paragraph(stack[after + begin : after + end])


def _is_short(text: str) -> bool:
    if columns_of(text) > _SHORT or is_spaceless(text[:1] or " "):
        return False
    return not text[:1].islower() or "@" in text or "www." in text


class _Lines:
    """The rows of a stack, and where their lines begin and end."""

    def __init__(self, stack: Sequence[Row]) -> None:
        self._rows = stack
        self._left = min(row.box[0] for row in stack)
        # Of many lines one or two may reach too far: they were detected so.
        rights = sorted(row.box[2] for row in stack)
        self._right = rights[len(rights) - 1 - len(rights) // 8]
        self._size = median([row.height for row in stack]) or 1.0
        lefts = sorted(row.box[0] for row in stack)
        self._usual_left = lefts[(len(lefts) - 1) // 2]

    @property
    def in_cells(self) -> bool:
        """Whether most rows are rows of a table: parts with wide white space between."""
        apart = sum(self._is_in_cells(row) for row in self._rows)
        return apart * 2 > len(self._rows)

    def _is_in_cells(self, row: Row) -> bool:
        gaps = (right.box[0] - left.box[2] for left, right in pairwise(row.cells))
        return any(gap > 1.5 * self._size for gap in gaps)

    @property
    def are_apart(self) -> bool:
        """Whether each stands for itself: lines of an address, of a poem, of a list of contents."""
        small = sum(row.text.lstrip()[:1].islower() for row in self._rows)
        small += sum(goes_on(row.text, below.text) for row, below in pairwise(self._rows))
        if small * 2 > len(self._rows) and not self.have_leaders:
            return False  # sentences that run on, in a narrow column
        return self.have_leaders or self.break_early or self.are_short or self.are_centred

    @property
    def are_centred(self) -> bool:
        """Whether they are short and have the same middle, but not the same beginning."""
        lefts = [row.box[0] for row in self._rows]
        middles = [(row.box[0] + row.box[2]) / 2 for row in self._rows]
        if max(lefts) - min(lefts) < 2 * self._size or max(middles) - min(middles) > self._size:
            return False
        return all(columns_of(row.text) <= _SHORT for row in self._rows)

    @property
    def have_leaders(self) -> bool:
        """Whether they are lines of a table of contents."""
        leaders = sum(bool(_LEADERS.search(row.text)) for row in self._rows)
        return len(self._rows) > 1 and leaders * 2 >= len(self._rows)

    @property
    def break_early(self) -> bool:
        """Whether most lines end though the next word had found room."""
        if len(self._rows) < 2:
            return False
        early = sum(self.ends_early(index) for index in range(len(self._rows) - 1))
        return early * 2 > len(self._rows) - 1

    @property
    def are_short(self) -> bool:
        """Whether they are short and each begins like something of its own, as in an address."""
        return all(_is_short(row.text.strip()) for row in self._rows)

    def ends_early(self, index: int) -> bool:
        """Whether the first word of the next row had found room in this one."""
        row, below = self._rows[index], self._rows[index + 1]
        if row.text.rstrip().endswith(("-", "\u2010", "\u00ad")):
            return False
        text = below.text
        letters = max(1, columns_of(text))
        word = columns_of(text.split(maxsplit=1)[0]) if text.split() else 0
        # Scripts without spaces may break anywhere; a word of 30 letters is a row of those.
        word = min(word, 2) if word > 24 else word
        need = below.box[2] - below.box[0]
        return self._right - row.box[2] > need * (word + 1) / letters + _SLACK * self._size

    def begins(self, index: int) -> bool:
        """Whether a paragraph begins with this row, which is not the first one."""
        if self.ends_early(index - 1):
            return True
        if self._is_centred(index):
            return False
        here, above = self._indent(index), self._indent(index - 1)
        # Set in from the other lines, or, with hanging paragraphs, out from them.
        return abs(here) >= _INDENT and abs(here) <= _MOST_INDENT and abs(above) < _INDENT / 2

    def begins_item(self, index: int) -> bool:
        """Whether an item of a list begins with this row."""
        text = self._rows[index].text
        if _BULLET.match(text):
            return True
        if not (_NUMBER.match(text) or _NUMBER_ALONE.match(text)):
            return False
        if index == 0:
            return True
        above = self._rows[index - 1].text.rstrip()
        return self.ends_early(index - 1) or above.endswith((*_ENDS, SOFT_HYPHEN))

    def _is_centred(self, index: int) -> bool:
        """Whether as much is free before a line as behind it."""
        left, _, right, _ = self._rows[index].box
        before, behind = left - self._left, self._right - right
        return min(before, behind) > self._size and abs(before - behind) < self._size

    def _indent(self, index: int) -> float:
        """Of a row from where most of them begin, in line heights."""
        return (self._rows[index].box[0] - self._usual_left) / self._size
