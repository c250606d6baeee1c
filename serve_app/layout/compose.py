"""One page composed: every line in exactly one block, the blocks in reading order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from itertools import pairwise
from statistics import median

from serve_app.document import Block, Box
from serve_app.layout import headings, pictures
from serve_app.layout.boxes import area, covered, sound, union
from serve_app.layout.frame import Frame, frame_of, is_on_its_side
from serve_app.layout.joining import join, vocabulary
from serve_app.layout.labels import ASIDE, FURNITURE, PICTURES, SOLID, TITLES
from serve_app.layout.order import reading_order, rows
from serve_app.layout.page import Page, Region
from serve_app.layout.paragraphs import Paragraph, paragraphs
from serve_app.layout.unit import Row, Unit

# Part of a line that lies in a region to be of it.
_INSIDE = 0.5


def compose(page: Page) -> tuple[Block, ...]:
    """The blocks of ``page``; they hold every line once."""
    return _Composer(page).blocks()


class _Composer:
    """The steps, and what they share."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._frame: Frame = frame_of(page)
        self._boxes = [self._frame.of(line.box) for line in page.lines]
        self._regions: list[Region | None] = list(page.regions)
        self._region_boxes = [self._frame.of(region.box) for region in page.regions]
        self._words: Set[str] = vocabulary(line.text for line in page.lines)

    def blocks(self) -> tuple[Block, ...]:
        """See ``compose``."""
        owners = self._assign(range(len(self._page.lines)))
        if self._drop_false_pictures(owners):
            owners = self._assign(range(len(self._page.lines)))
        units: list[Unit] = []
        aside: list[Unit] = []
        inside: dict[int, list[Unit]] = {
            index: []
            for index, region in enumerate(self._regions)
            if region is not None and region.label in SOLID
        }
        for index, line in enumerate(self._page.lines):
            unit = Unit(self._boxes[index], line.text, index, owners[index])
            if owners[index] in inside:
                inside[owners[index]].append(unit)  # type: ignore[index]
            elif is_on_its_side(unit.box, line.text.strip()):
                aside.append(unit)
            else:
                units.append(unit)
        self._size = _usual_height(units)
        units += [Unit(self._region_boxes[index], region=index) for index in inside]
        found: list[Block] = []
        for column in reading_order(units):
            found += self._column(column, inside)
        found += [self._aside(row) for row in rows(aside)]
        return tuple(found)

    # ---- which line is of which region ---------------------------------------------------------

    def _assign(self, lines: Sequence[int]) -> list[int | None]:
        kept = [
            (index, self._region_boxes[index], region.label in SOLID)
            for index, region in enumerate(self._regions)
            if region is not None
        ]
        return [self._owner(self._boxes[line], kept) for line in lines]

    def _owner(self, box: Box, regions: Sequence[tuple[int, Box, bool]]) -> int | None:
        """Solid things first; the smallest of those that hold the line."""
        best: tuple[bool, float, int] | None = None
        for index, outer, solid in regions:
            if outer[0] > box[2] or outer[2] < box[0] or outer[1] > box[3] or outer[3] < box[1]:
                continue
            if covered(box, outer) >= _INSIDE:
                best = min(best or (True, float("inf"), -1), (not solid, area(outer), index))
        return best[2] if best else None

    def _drop_false_pictures(self, owners: Sequence[int | None]) -> bool:
        inside: dict[int, list[int]] = {}
        for line, owner in enumerate(owners):
            if owner is not None:
                inside.setdefault(owner, []).append(line)
        whole = self._frame.of((0, 0, self._page.width, self._page.height))
        dropped = False
        for index, region in enumerate(self._regions):
            if region is None or region.label not in PICTURES:
                continue
            lines = inside.get(index, [])
            texts = [self._page.lines[line].text for line in lines]
            boxes = [self._boxes[line] for line in lines]
            if pictures.is_text(self._region_boxes[index], whole, boxes, texts):
                self._regions[index] = None
                dropped = True
        return dropped

    # ---- from rows to blocks -------------------------------------------------------------------

    def _column(self, column: Sequence[Row], inside: dict[int, list[Unit]]) -> Iterator[Block]:
        kinds = {index: region.label for index, region in enumerate(self._regions) if region}
        text: list[Row] = []
        for row in column:
            if row.solid is None:
                text.append(row)
                continue
            for paragraph in paragraphs(text, kinds):
                yield self._text_block(paragraph)
            text = []
            assert row.solid.region is not None, "a solid thing is a region"
            yield self._solid_block(row.solid.region, inside[row.solid.region])
        for paragraph in paragraphs(text, kinds):
            yield self._text_block(paragraph)

    def _text_block(self, paragraph: Paragraph) -> Block:
        region = self._region_of(paragraph.rows)
        lines = _lines_of(paragraph.rows)
        size = median(row.height for row in paragraph.rows) / self._size
        text = self._text(paragraph)
        flat = text.replace("\n", " ")
        label = region.label if region else "text"
        if label in TITLES and not headings.keeps_title(flat, len(paragraph.rows)):
            label = "text"
        if label == "text" and headings.is_heading(flat, len(paragraph.rows), size):
            label = "doc_title" if size >= 1.8 else "paragraph_title"
        level = 0
        if label in FURNITURE and headings.is_heading(flat, len(paragraph.rows), size):
            level = headings.level_of(label, text, size)  # for the case that it is none
        if label in TITLES:
            text = join((row.text for row in paragraph.rows), self._words)
            level = headings.level_of(label, text, size)
        box = union(sound(self._page.lines[line].box) for line in lines)
        score = region.score if region else None
        return Block(label, box, lines, text, level, None, region is None, score)

    def _text(self, paragraph: Paragraph) -> str:
        starts = [0, *sorted(paragraph.breaks), len(paragraph.rows)]
        parts = (
            join((row.text for row in paragraph.rows[first:last]), self._words)
            for first, last in pairwise(starts)
        )
        return "\n".join(part for part in parts if part)

    def _solid_block(self, index: int, units: Sequence[Unit]) -> Block:
        region = self._regions[index]
        assert region is not None, "dropped ones are no units"
        inner = rows(units)
        text = region.text
        if region.label in PICTURES and not text:
            text = "\n".join(row.text for row in inner)
        return Block(
            region.label,
            sound(region.box),
            _lines_of(inner),
            text,
            0,
            region.image if region.label != "table" else None,
            False,
            region.score,
        )

    def _aside(self, row: Row) -> Block:
        lines = _lines_of([row])
        box = union(sound(self._page.lines[line].box) for line in lines)
        return Block(ASIDE, box, lines, row.text, recovered=True)

    def _region_of(self, rows: Sequence[Row]) -> Region | None:
        """The one that most rows lie in."""
        found = Counter(row.region for row in rows if row.region is not None)
        return self._regions[found.most_common(1)[0][0]] if found else None


def _lines_of(rows: Sequence[Row]) -> tuple[int, ...]:
    return tuple(cell.line for row in rows for cell in row.cells if cell.line is not None)


def _usual_height(units: Sequence[Unit]) -> float:
    """That of the letter in the middle of all letters."""
    sized = sorted((unit.height, len(unit.text)) for unit in units)
    half = sum(letters for _, letters in sized) / 2
    for height, letters in sized:
        half -= letters
        if half <= 0 and height > 0:
            return height
    return 1.0
