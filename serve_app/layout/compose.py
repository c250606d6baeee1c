"""One page composed: every line in exactly one block, the blocks in reading order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, zip_longest
from statistics import median

from serve_app.document import Block
from serve_app.layout import headings
from serve_app.layout.boxes import sound, union
from serve_app.layout.frame import frame_of, is_on_its_side
from serve_app.layout.furniture import is_number
from serve_app.layout.grid import grid_of
from serve_app.layout.joining import join, vocabulary
from serve_app.layout.labels import ASIDE, FURNITURE, LISTING, PICTURES, TITLES
from serve_app.layout.listings import indented, listings
from serve_app.layout.order import reading_order, rows
from serve_app.layout.page import Page, Region
from serve_app.layout.paragraphs import Paragraph, paragraphs
from serve_app.layout.regions import Regions
from serve_app.layout.table_check import squeezed
from serve_app.layout.tabular import tabular_runs
from serve_app.layout.titles import beside, is_in_contents
from serve_app.layout.unit import Row, Unit, unit_of

# Parts of the page's height at its upper and lower end: where headers and footers are, and where a
# page number may be that is all there is in its row.
_EDGE, _NUMBER_EDGE = 0.12, 0.25
# Part of the page's height in which the title of a document begins.
_TITLE_PART = 0.5


def compose(page: Page) -> tuple[Block, ...]:
    """The blocks of ``page``; they hold every line once."""
    return tuple(_Composer(page).blocks())


class _Composer:
    """The steps, and what they share."""

    def __init__(self, page: Page) -> None:
        self._page = page
        frame = frame_of(page)
        boxes = [frame.of(line.box) for line in page.lines]
        self._regions = Regions(page, frame, boxes)
        self._units = [
            unit_of(boxes[index], line, index, self._regions.owners[index])
            for index, line in enumerate(page.lines)
        ]
        self._words = vocabulary(line.text for line in page.lines)
        self._labels = self._regions.labels()
        self._size = 1.0

    def blocks(self) -> Iterator[Block]:
        """See ``compose``."""
        solid = set(self._regions.solid())
        free = [unit for unit in self._units if unit.region not in solid]
        self._size = _usual_height(free)
        text = [unit for unit in free if not is_on_its_side(unit.box, unit.text.strip())]
        aside = [unit for unit in free if is_on_its_side(unit.box, unit.text.strip())]
        if len(aside) > len(text):  # the page itself lies on its side
            text, aside = free, []
        things = [Unit(self._regions.boxes[index], region=index) for index in solid]
        head, body, tail = self._split_edges(text)
        for part in (head, body + things, tail):
            for column in reading_order(part, self._regions.boxes):
                yield from self._column(column)
        for row in rows(aside):
            yield self._aside(row)

    def _split_edges(self, text: list[Unit]) -> tuple[list[Unit], list[Unit], list[Unit]]:
        """Headers, text, footers: what is as near to the edge as a header is one, too."""
        places = [(unit, self._middle(unit)) for unit in text]
        slack = 0.4 * self._size / max(self._page.height, 1)
        labelled = [middle for unit, middle in places if self._label(unit) in FURNITURE]
        furniture = [middle for middle in labelled if not _EDGE < middle < 1 - _EDGE]
        furniture += _lone_numbers(places, slack)
        low = max((middle for middle in furniture if middle < 0.5), default=-1.0) + slack
        high = min((middle for middle in furniture if middle >= 0.5), default=2.0) - slack
        head = [unit for unit, middle in places if middle <= low]
        tail = [unit for unit, middle in places if middle > low and middle >= high]
        body = [unit for unit, middle in places if low < middle < high]
        return head, body, tail

    def _middle(self, unit: Unit) -> float:
        """How far down the page it is: 0 to 1."""
        assert unit.line is not None, "a line"
        _, top, _, bottom = sound(self._page.lines[unit.line].box)
        return (top + bottom) / 2 / max(self._page.height, 1)

    def _label(self, unit: Unit) -> str | None:
        return None if unit.region is None else self._labels.get(unit.region)

    def _column(self, column: Sequence[Row]) -> Iterator[Block]:
        """A column's text, cut at solid things and at tables without a box."""
        text: list[Row] = []
        for row in column:
            if row.solid is None:
                text.append(row)
                continue
            yield from self._text(text)
            text = []
            assert row.solid.region is not None, "a solid thing is a region"
            yield self._solid_block(row.solid.region)
        yield from self._text(text)

    def _text(self, text: Sequence[Row]) -> Iterator[Block]:
        for run, is_code in listings(text):
            if is_code:
                yield self._listing(run)
            else:
                yield from self._prose(run)

    def _listing(self, run: Sequence[Row]) -> Block:
        lines = _lines_of(run)
        box = union(sound(self._page.lines[line].box) for line in lines)
        region = self._region_of(run)
        return Block(LISTING, box, lines, indented(run), recovered=region is None)

    def _prose(self, text: Sequence[Row]) -> Iterator[Block]:
        for run, is_table in tabular_runs(text, self._size):
            if is_table:
                yield self._table_block(run)
                continue
            found = list(paragraphs(run, self._labels))
            for paragraph, below in zip_longest(found, found[1:]):
                yield from self._text_blocks(paragraph, below)

    def _text_blocks(self, paragraph: Paragraph, below: Paragraph | None) -> Iterator[Block]:
        """One, or a title for each part of a row of them; an entry of the contents is none."""
        block = self._text_block(paragraph, below)
        parts = beside(paragraph.rows[0]) if block.label in TITLES else []
        if len(paragraph.rows) == 1 and is_in_contents(parts):
            yield replace(block, label="text", text=self._joined(paragraph), level=0)
        elif len(paragraph.rows) == 1 and len(parts) > 1:
            for part in parts:
                alike = headings.has_letters(part.text)  # hardly smaller than the largest
                yield self._text_block(Paragraph([part]), below, is_heading=alike)
        else:
            yield block

    def _text_block(
        self, paragraph: Paragraph, below: Paragraph | None, *, is_heading: bool = False
    ) -> Block:
        region = self._region_of(paragraph.rows)
        lines = _lines_of(paragraph.rows)
        size = median(row.height for row in paragraph.rows) / self._size
        box = union(sound(self._page.lines[line].box) for line in lines)
        text = self._joined(paragraph)
        label = region.label if region else "text"
        if label in TITLES and not headings.keeps_title(text, len(paragraph.rows)):
            label = "text"
        is_heading = is_heading or headings.is_heading(text, len(paragraph.rows), size)
        is_top = box[1] < _TITLE_PART * self._page.height
        if label == "text" and is_heading:
            label = headings.title_label(size, is_top=is_top)
        elif label == "text" and below and self._is_section(paragraph, text, below):
            label = "paragraph_title"
        level = 0
        if label in TITLES:
            text = join((row.text for row in paragraph.rows), self._words)
        if label in TITLES or (label in FURNITURE and is_heading):  # in case that it is none
            level = headings.level_of(label, text, size, is_top=is_top)
        score = region.score if region else None
        return Block(label, box, lines, text, level, None, region is None, score)

    def _is_section(self, paragraph: Paragraph, text: str, below: Paragraph) -> bool:
        """Whether a line is a numbered heading in letters of the text's size."""
        if len(paragraph.rows) > 1 or below.is_list:
            return False
        return headings.is_numbered_section(text, self._joined(below))

    def _joined(self, paragraph: Paragraph) -> str:
        starts = [0, *sorted(paragraph.breaks), len(paragraph.rows)]
        parts = (
            join((row.text for row in paragraph.rows[first:last]), self._words)
            for first, last in pairwise(starts)
        )
        return "\n".join(part for part in parts if part)

    def _solid_block(self, index: int) -> Block:
        region = self._regions.kept[index]
        assert region is not None, "dropped ones are no units"
        inner = rows(self._regions.units(index))
        text = region.text
        if region.label in PICTURES:
            known = squeezed(text)
            more = [row.text for row in inner if not known or squeezed(row.text) not in known]
            text = "\n".join([*([text] if text else []), *(join([line]) for line in more)])
        image = region.image if region.label != "table" else None
        box, lines = sound(region.box), _lines_of(inner)
        return Block(region.label, box, lines, text, 0, image, False, region.score)

    def _table_block(self, run: Sequence[Row]) -> Block:
        lines = _lines_of(run)
        box = union(sound(self._page.lines[line].box) for line in lines)
        html = grid_of([cell for row in run for cell in row.cells]).html
        return Block("table", box, lines, html, recovered=True)

    def _aside(self, row: Row) -> Block:
        lines = _lines_of([row])
        box = union(sound(self._page.lines[line].box) for line in lines)
        return Block(ASIDE, box, lines, join([row.text]), recovered=True)

    def _region_of(self, found: Sequence[Row]) -> Region | None:
        """The one that most rows lie in."""
        counted = Counter(row.region for row in found if row.region is not None)
        return self._regions.kept[counted.most_common(1)[0][0]] if counted else None


def _lone_numbers(places: Sequence[tuple[Unit, float]], slack: float) -> list[float]:
    """Where a number is all there is in the first or in the last row of a page."""
    found = []
    for end in (min, max):
        edge = end((middle for _, middle in places), default=0.0)
        row = [unit for unit, middle in places if abs(middle - edge) <= slack]
        at_edge = not _NUMBER_EDGE < edge < 1 - _NUMBER_EDGE
        if at_edge and len(row) == 1 and is_number(row[0].text):
            found.append(edge)
    return found


def _lines_of(found: Sequence[Row]) -> tuple[int, ...]:
    return tuple(cell.line for row in found for cell in row.cells if cell.line is not None)


def _usual_height(units: Sequence[Unit]) -> float:
    """That of the letter in the middle of all letters."""
    sized = sorted((unit.height, len(unit.text)) for unit in units)
    half = sum(letters for _, letters in sized) / 2
    for height, letters in sized:
        half -= letters
        if half <= 0 and height > 0:
            return height
    return 1.0
