"""Characters to lines.

PDFium's order and line ends are the beginning. What stands side by side but far apart (columns, the
cells of a table) is taken apart, what a writer has put down in pieces is put together again. Places
are looked at in the frame of a line: ``u`` along it, ``v`` across it, so that turned text needs no
rules of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median

from serve_app.document import Box
from serve_app.documents.text_layer.accents import with_accents
from serve_app.documents.text_layer.cells import at_cells
from serve_app.documents.text_layer.line_text import WORD_GAP, in_order
from serve_app.documents.text_layer.overprint import once
from serve_app.documents.text_layer.placed import (
    Piece,
    Placed,
    frame_of,
    place,
    turned,
    turned_back,
)
from serve_app.documents.text_layer.values import Char, LayerLine, area, around, is_finite

# All in parts of the font's size.
COLUMN_GAP = 1.0  # a wider gap ends a line
EVEN = 1.4
CELL_GAP, FEW_WORDS = 0.6, 3  # of cells in a narrow table; so few words are hardly stretched
WIDE_SPACES = 0.7  # from here on gaps between words are on purpose, too (justified lines)
WIDEST_SPACE = 1.3
JOIN_GAP = 0.6  # a narrower one between two pieces does not
LETTER_SPACED = 0.15  # from here on gaps between letters are on purpose
SAME_LINE = 0.4  # of the lower one's height, that two must have in common
MIN_SIZE_PIXELS = 2.0
LINE_MARGIN = 0.15  # around the ink, for the box of a line
LINE_HEIGHT = 0.5  # at least

_SOFT_HYPHEN = "\u00ad"  # drawn where it breaks a word, and nowhere else
_GAPS = {"\n": "\n", " ": "~"}
# Bullets in the private area where Symbol and Wingdings have them.
_BULLETS = {
    "\uf0b7": "•",
    "\uf0a7": "▪",
    "\uf06e": "■",
    "\uf0d8": "➢",
    "\uf0fc": "✓",
    "\uf0a8": "□",
    "\uf071": "❑",
    "\uf076": "❖",
    "\uf0e0": "→",
    "\uf02d": "-",
}


def build_lines(chars: Iterable[Char], width: int, height: int) -> list[LayerLine]:
    """The lines of a page of ``width`` x ``height`` pixels, in PDFium's order.

    Left out: characters without a place, outside of the page, or of less than ``MIN_SIZE_PIXELS``;
    the second of two that are drawn at the same place. Accents are a part of their letters.
    """
    kept = with_accents(once(_on_page(chars, width, height)))
    pieces = [piece for run in _runs(kept) for piece in _apart(run)]
    return [_line(piece) for piece in at_cells(_together(pieces))]


def _on_page(chars: Iterable[Char], width: int, height: int) -> Iterator[Char]:
    for char in chars:
        cell = char.cell if is_finite(char.cell) and area(char.cell) > 0 else char.ink
        if not is_finite(cell) or not (math.isfinite(char.size) and math.isfinite(char.angle)):
            continue
        x, y = (cell[0] + cell[2]) / 2, (cell[1] + cell[3]) / 2
        if not (0 <= x < width and 0 <= y < height):
            continue
        size = char.size
        if size < MIN_SIZE_PIXELS:  # the matrix may say nothing of it: the cell is as high
            size = max(cell[2] - cell[0], cell[3] - cell[1])
            if size < MIN_SIZE_PIXELS:
                continue
        text = "-" if char.text == _SOFT_HYPHEN else _BULLETS.get(char.text, char.text)
        yield char._replace(text=text, cell=cell, size=size)


def _runs(chars: Sequence[Char]) -> Iterator[Piece]:
    """Cut at PDFium's line ends, and where direction or line change without one."""
    order = 0
    run = _Run()
    for char in chars:
        if char.text.isspace():
            run.end_word(char)
        elif not run.takes(char):
            yield run.piece(order)
            run, order = _Run(), order + 1
            run.takes(char)
    if run.chars:
        yield run.piece(order)


class _Run:
    """Characters that follow each other on one line."""

    def __init__(self) -> None:
        self.chars: list[Placed] = []
        self._spaces: list[float] = []
        self._frame = 0.0
        self._vertical = False

    def takes(self, char: Char) -> bool:
        """Append ``char`` if it goes on with the line."""
        if not self.chars:
            self._frame = frame_of(char)
        elif self.chars[-1].gap == "\n" or frame_of(char) != frame_of(self.chars[-1].char):
            return False
        elif len(self.chars) == 1 and _is_below(char, self.chars[0].char):
            self._frame, self._vertical = 90.0, True
            self.chars = [replace(place(self.chars[0].char, 90.0), gap=self.chars[0].gap)]
        placed = place(char, self._frame, _GAPS.get(char.breaks, ""))
        if self.chars and not _same_line(self.chars[-1], placed):
            return False
        self.chars.append(placed)
        return True

    def end_word(self, space: Char) -> None:
        """Take note of a written space."""
        if self.chars:
            gap = "\n" if space.breaks == "\n" else " "
            self.chars[-1] = replace(self.chars[-1], gap=gap)
            self._spaces.append(place(space, self._frame).centre)

    def piece(self, order: int) -> Piece:
        """All of it."""
        return Piece(
            self._frame, tuple(self.chars), order, tuple(self._spaces), vertical=self._vertical
        )


def _is_below(char: Char, other: Char) -> bool:
    """Whether ``char`` stands upright below ``other``, as the next one of vertical text does."""
    if frame_of(char) != 0:
        return False
    right = (char.cell[0] + char.cell[2] - other.cell[0] - other.cell[2]) / 2
    down = (char.cell[1] + char.cell[3] - other.cell[1] - other.cell[3]) / 2
    size = max(char.size, other.size)
    return abs(right) <= 0.3 * size and 0.6 * size <= down <= 1.8 * size


def _same_line(one: Placed, other: Placed) -> bool:
    shared = min(one.v1, other.v1) - max(one.v0, other.v0)
    return shared >= SAME_LINE * min(one.v1 - one.v0, other.v1 - other.v0)


def _apart(run: Piece) -> Iterator[Piece]:
    """Cut where a gap is as wide as between columns, wherever PDFium had its characters."""
    ordered = sorted(range(len(run.chars)), key=lambda i: run.chars[i].u0)
    limit = _column_gap(run)
    groups: list[list[int]] = []
    end = -math.inf
    for index in ordered:
        char = run.chars[index]
        if not groups or char.u0 - end > limit:
            groups.append([])
        groups[-1].append(index)
        end = max(end, char.u1)
    for group in sorted(groups, key=min):
        chars = tuple(run.chars[i] for i in sorted(group))
        yield replace(run, chars=_without_made_up_spaces(chars))


def _column_gap(run: Piece) -> float:
    gaps = [b.u0 - a.u1 for a, b in pairwise(run.chars)]
    size = median(char.char.size for char in run.chars)
    limit = COLUMN_GAP * size
    if len(gaps) >= 3 and (usual := median(gaps)) > LETTER_SPACED * size:
        limit = max(limit, 3 * usual)
    words = [gap for gap in gaps if gap > WORD_GAP * size]
    if len(words) <= FEW_WORDS and limit == COLUMN_GAP * size:
        return CELL_GAP * size
    # A line is stretched evenly; a row of a table is not.
    even = len(words) >= 5 and max(words) <= EVEN * median(words) <= EVEN**2 * min(words)
    if even and (usual := median(words)) > WIDE_SPACES * size:
        limit = max(limit, min(2 * usual, WIDEST_SPACE * size))
    return limit


def _without_made_up_spaces(chars: tuple[Placed, ...]) -> tuple[Placed, ...]:
    """Of letter-spaced text: PDFium takes each of its gaps for a space."""
    inner = list(pairwise(chars))
    gaps = [b.u0 - a.u1 for a, b in inner]
    letters = sum(char.char.text.isalpha() for char in chars)
    if len(gaps) < 3 or letters < 0.8 * len(chars):  # a formula has spaces between all signs
        return chars
    if sum(a.gap == "~" for a, _ in inner) < 0.7 * len(inner):
        return chars
    usual = median(gaps)
    if usual <= LETTER_SPACED * median(char.char.size for char in chars):
        return chars
    mended = [
        replace(a, gap="") if a.gap == "~" and gap < 1.6 * usual else a
        for (a, _), gap in zip(inner, gaps, strict=True)
    ]
    return (*mended, chars[-1])


def _together(pieces: Sequence[Piece]) -> list[Piece]:
    """Join pieces that touch on one line: a bold word that was written after the rest."""
    for shift in (0.0, 0.5):
        pieces = _joined(pieces, shift)
    return sorted(pieces, key=lambda piece: piece.order)


def _joined(pieces: Sequence[Piece], shift: float) -> list[Piece]:
    if not pieces:
        return []
    step = max(median(piece.size for piece in pieces), 1.0)

    def row(piece: Piece) -> int:
        return math.floor((piece.v0 + piece.v1) / 2 / step + shift)

    ordered = sorted(pieces, key=lambda piece: (piece.frame, row(piece), piece.u0))
    chains: list[_Chain] = []
    for piece in ordered:
        if not chains or not chains[-1].takes(piece):
            chains.append(_Chain(piece))
    return [chain.piece() for chain in chains]


class _Chain:
    """Pieces that touch, from left to right, with their bounds so far."""

    def __init__(self, first: Piece) -> None:
        self._pieces = [first]
        self._gaps: list[str] = []
        self._u1, self._v0, self._v1 = first.u1, first.v0, first.v1
        self._size = first.size

    def takes(self, piece: Piece) -> bool:
        """Append ``piece`` if it touches the last one."""
        if piece.frame != self._pieces[0].frame:
            return False
        size = min(self._size, piece.size)
        v0, v1 = piece.v0, piece.v1
        shared = min(self._v1, v1) - max(self._v0, v0)
        gap = piece.u0 - self._u1
        if shared < 0.6 * min(self._v1 - self._v0, v1 - v0):
            return False
        if not -0.3 * size <= gap <= JOIN_GAP * size:
            return False
        self._gaps.append("~" if gap > WORD_GAP * size else "")
        self._pieces.append(piece)
        self._u1 = max(self._u1, piece.u1)
        self._v0, self._v1 = min(self._v0, v0), max(self._v1, v1)
        self._size = max(self._size, piece.size)
        return True

    def piece(self) -> Piece:
        """All of them as one."""
        first = self._pieces[0]
        if not self._gaps:
            return first
        chars: list[Placed] = []
        for piece, gap in zip(self._pieces, [*self._gaps, ""], strict=True):
            chars += piece.chars[:-1]
            chars.append(replace(piece.chars[-1], gap=gap))
        spaces = tuple(place for piece in self._pieces for place in piece.spaces)
        return replace(
            first,
            chars=tuple(chars),
            spaces=spaces,
            order=min(piece.order for piece in self._pieces),
        )


def _line(piece: Piece) -> LayerLine:
    text, chars = in_order(piece)
    angle = 0.0 if piece.vertical else piece.frame
    return LayerLine(text, _line_box(piece), chars, angle, piece.vertical)


def _line_box(piece: Piece) -> Box:
    """As long as its cells, as high as its ink and a little more."""
    if piece.frame % 90:
        return around([placed.char.cell for placed in piece.chars])
    inks = [turned(p.char.ink, piece.frame) for p in piece.chars if is_finite(p.char.ink)]
    v0, v1 = piece.v0, piece.v1
    if inks:
        _, top, _, bottom = around(inks)
        spare = LINE_MARGIN * piece.size
        short = max(LINE_HEIGHT * piece.size - (bottom - top), 0.0) / 2
        v0 = max(v0, top - max(spare, short)) if top > v0 else top
        v1 = min(v1, bottom + max(spare, short)) if bottom < v1 else bottom
    return turned_back((piece.u0, v0, piece.u1, v1), piece.frame)
