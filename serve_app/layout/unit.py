"""What is put into order: a line of text, or a picture or table as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from serve_app.document import Box, Line
from serve_app.layout.boxes import union
from serve_app.layout.joining import SOFT_HYPHEN
from serve_app.layout.script import is_wide


@dataclass(frozen=True, slots=True)
class Unit:
    """One thing on a page.

    Attributes:
        box: in the page's frame.
        text: of a line, see ``unit_of``; empty for a solid thing.
        line: index of the line; None for a solid thing.
        region: index of the region: that of a solid thing, or the one that a line lies in.
        is_code: whether it is a line of a listing.
        members: lines of text in one region that are put into order as one thing.
    """

    box: Box
    text: str = ""
    line: int | None = None
    region: int | None = None
    is_code: bool = False
    members: tuple[Unit, ...] = ()

    @property
    def is_solid(self) -> bool:
        """Whether it is a picture or a table: nothing runs through it."""
        return self.line is None and not self.members

    @property
    def width(self) -> float:
        """Along the line."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        """Across the line."""
        return self.box[3] - self.box[1]

    @property
    def middle(self) -> float:
        """Of its height."""
        return (self.box[1] + self.box[3]) / 2


def unit_of(box: Box, line: Line, index: int, region: int | None) -> Unit:
    """Of a line: what is torn at its end has a soft hyphen, by which it is joined."""
    text = line.text + SOFT_HYPHEN if line.is_torn else line.text
    return Unit(box, text, index, region, line.is_code)


def flat(units: Iterable[Unit]) -> list[Unit]:
    """Lines and solid things alone."""
    return [one for unit in units for one in (unit.members or (unit,))]


@dataclass(frozen=True, slots=True)
class Row:
    """Lines of text that stand beside each other, in reading order; or one solid thing."""

    cells: Sequence[Unit]
    box: Box

    @staticmethod
    def of(cells: Sequence[Unit]) -> Row:
        """The row of ``cells``, which are in order."""
        return Row(cells, union(cell.box for cell in cells))

    @property
    def solid(self) -> Unit | None:
        """The picture or table that it is, if it is one."""
        return self.cells[0] if self.cells[0].is_solid else None

    @property
    def text(self) -> str:
        """Its cells with a space between."""
        return " ".join(cell.text.strip() for cell in self.cells)

    @property
    def is_code(self) -> bool:
        """Whether all of it is of a listing."""
        return all(cell.is_code for cell in self.cells)

    @property
    def height(self) -> float:
        """Of its lowest cell but for a stray tall one: the median."""
        heights = sorted(cell.height for cell in self.cells)
        return heights[len(heights) // 2]

    def apart(self, gap: float) -> list[list[Unit]]:
        """Its cells, cut where the white space between two is ``gap`` line heights or more."""
        least = gap * self.height
        parts = [[self.cells[0]]]
        for left, right in pairwise(self.cells):
            if right.box[0] - left.box[2] >= least:
                parts.append([])
            parts[-1].append(right)
        return parts

    @property
    def region(self) -> int | None:
        """That of its widest cell."""
        return max(self.cells, key=lambda cell: cell.width).region


def columns_of(text: str) -> int:
    """Its length in letters; a square character is as wide as two."""
    return len(text) if text.isascii() else sum(2 if is_wide(char) else 1 for char in text)
