"""The boxes of a layout model, checked against the lines: which hold, and which line is in which.

A picture that is text is no picture; a table whose cells lost lines, or put them into other rows
than they stand in, is made anew of the lines, or is no table; a box around several titles is one
for each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from serve_app.document import Box
from serve_app.layout import pictures
from serve_app.layout.boxes import area, covered, sound, union
from serve_app.layout.frame import Frame
from serve_app.layout.grid import grid_of
from serve_app.layout.labels import PICTURES, SOLID, TITLES
from serve_app.layout.order import rows
from serve_app.layout.page import Page, Region
from serve_app.layout.table_check import agrees, squeezed
from serve_app.layout.table_repair import repaired
from serve_app.layout.titles import apart
from serve_app.layout.unit import Unit, unit_of

# How the caption of a table begins.
_CAPTION = re.compile(
    r"\s*(?:table|tab\.|tabelle|tableau|tabla|tabela|tabella|表)\s*\d", re.IGNORECASE
)
# Part of a line that lies in a region to be of it.
_INSIDE = 0.5


class Regions:
    """What is left of a page's regions.

    Attributes:
        kept: by index in ``page.regions``, and what was made of them; None for those dropped.
        boxes: of all of them, in the page's frame.
        owners: per line the index of the region that it lies in, or None.
    """

    def __init__(self, page: Page, frame: Frame, lines: Sequence[Box]) -> None:
        self._page, self._lines = page, lines
        self._whole = frame.of((0, 0, page.width, page.height))
        self.boxes = [frame.of(region.box) for region in page.regions]
        self.kept: list[Region | None] = list(page.regions)
        self.owners: list[int | None] = []
        self._assign()
        self._check_pictures()
        self._check_tables()
        self._check_others()
        self._take_titles_apart()

    def solid(self) -> list[int]:
        """Those that text does not run through."""
        return [i for i, region in enumerate(self.kept) if region and region.label in SOLID]

    def labels(self) -> dict[int, str]:
        """Of those that are left, by index."""
        return {i: region.label for i, region in enumerate(self.kept) if region}

    def units(self, index: int) -> list[Unit]:
        """The lines in a region."""
        return [
            unit_of(self._lines[line], self._page.lines[line], line, index)
            for line, owner in enumerate(self.owners)
            if owner == index
        ]

    def _assign(self) -> None:
        kept = [
            (index, self.boxes[index], region.label in SOLID)
            for index, region in enumerate(self.kept)
            if region is not None
        ]
        self.owners = [_owner(box, kept) for box in self._lines]

    def _drop(self, indexes: Sequence[int]) -> None:
        for index in indexes:
            self.kept[index] = None
        if indexes:
            self._assign()

    def _check_pictures(self) -> None:
        false = []
        for index, label in self.labels().items():
            if label in PICTURES:
                units = self.units(index)
                boxes, texts = [unit.box for unit in units], [unit.text for unit in units]
                if pictures.is_text(self.boxes[index], self._whole, boxes, texts):
                    false.append(index)
        self._drop(false)

    def _release_captions(self) -> None:
        """A table's box may hold the line above or below that says what it is."""
        for index, label in self.labels().items():
            if label != "table":
                continue
            found = rows(self.units(index))
            for row in (found[0], found[-1]) if len(found) > 2 else ():
                if (
                    len(row.cells) == 1
                    and _CAPTION.match(row.text)
                    and row.cells[0].line is not None
                ):
                    self.owners[row.cells[0].line] = None

    def _check_tables(self) -> None:
        self._release_captions()
        while failed := self._failed_tables():
            self._drop(failed)  # another table may hold their lines then, and is looked at again
            self._release_captions()

    def _failed_tables(self) -> list[int]:
        """Those that are none; what others hold is put right."""
        failed = []
        for index, region in enumerate(self.kept):
            if region is None or region.label != "table":
                continue
            units = self.units(index)
            others = [
                line.text
                for line, owner in zip(self._page.lines, self.owners, strict=True)
                if owner != index
            ]
            if agrees(region.text, units, others):
                continue
            grid = grid_of(units)
            if (html := repaired(region.text, units)) is not None:
                self.kept[index] = replace(region, text=html)
            elif grid.is_table:
                self.kept[index] = replace(region, text=grid.html)
            elif units:
                failed.append(index)
        return failed

    def _check_others(self) -> None:
        """Formulas and seals keep the lines that their own text has; others are text."""
        for index, region in enumerate(self.kept):
            if region is None or region.label not in ("formula", "seal"):
                continue
            read = squeezed(region.text)
            for unit in self.units(index):
                text = squeezed(unit.text)
                if unit.line is not None and (not text or text not in read):
                    self.owners[unit.line] = None

    def _take_titles_apart(self) -> None:
        for index, label in self.labels().items():
            titles = apart(self.units(index)) if label in TITLES else []
            if len(titles) < 2:
                continue
            region, self.kept[index] = self.kept[index], None
            assert region is not None, "it has a label"
            for title in titles:
                lines = [unit.line for unit in title if unit.line is not None]
                box = union(sound(self._page.lines[line].box) for line in lines)
                for line in lines:
                    self.owners[line] = len(self.kept)
                self.kept.append(replace(region, box=box))
                self.boxes.append(union(unit.box for unit in title))


def _owner(box: Box, regions: Sequence[tuple[int, Box, bool]]) -> int | None:
    """The region of a line: solid things first; the smallest of those that hold it."""
    best: tuple[bool, float, int] | None = None
    for index, outer, solid in regions:
        if outer[0] > box[2] or outer[2] < box[0] or outer[1] > box[3] or outer[3] < box[1]:
            continue
        if covered(box, outer) >= _INSIDE:
            rank = (not solid, area(outer), index)
            best = rank if best is None else min(best, rank)
    return best[2] if best else None
