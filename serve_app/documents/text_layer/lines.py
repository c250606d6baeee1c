"""Characters to lines.

PDFium's order and line ends are the beginning. What stands side by side but far apart (columns, the
cells of a table) is taken apart, what a writer has put down in pieces is put together again. Places
are looked at in the frame of a line: ``u`` along it, ``v`` across it, so that turned text needs no
rules of its own.
"""

from __future__ import annotations

import math
import unicodedata
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from serve_app.document import Box
from serve_app.documents.text_layer.right_to_left import Glyph, is_right_to_left, logical
from serve_app.documents.text_layer.values import Char, LayerLine, area, around, common, is_finite

# All in parts of the font's size.
COLUMN_GAP = 1.0  # a wider gap ends a line
WIDE_SPACES = 0.7  # from here on gaps between words are on purpose, too (justified lines)
WIDEST_SPACE = 1.3
JOIN_GAP = 0.6  # a narrower one between two pieces does not
WORD_GAP = 0.17  # spaces are 0.2 to 0.3 wide
MOVED_BACK = 0.05  # a written space leaves at least this much
LETTER_SPACED = 0.15  # from here on gaps between letters are on purpose
SAME_LINE = 0.4  # of the lower one's height, that two must have in common
MIN_SIZE_PIXELS = 2.0
SAME_PLACE = 0.5  # of a cell, for a character that is drawn a second time
STRAIGHT_DEGREES = 5.0
CELL_HEIGHT = 1.2  # fonts may claim several times their size
LINE_MARGIN = 0.15  # around the ink, for the box of a line
LINE_HEIGHT = 0.5  # at least

_HYPHENS = {"\u00ad": "-", "\u2010": "-", "\u2011": "-"}
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


@dataclass(frozen=True, slots=True)
class _Placed:
    """A character in the frame of its line; ``gap``: "", " " (written) or "~" (made up)."""

    char: Char
    u0: float
    u1: float
    v0: float
    v1: float
    gap: str = ""

    @property
    def centre(self) -> float:
        return (self.u0 + self.u1) / 2


@dataclass(frozen=True, slots=True)
class _Piece:
    """Characters that stand side by side, in PDFium's order.

    Attributes:
        frame: direction in degrees, see ``_frame``.
        order: among the pieces of the page.
        spaces: middles of the written spaces (``u``).
    """

    frame: float
    chars: tuple[_Placed, ...]
    order: int
    spaces: tuple[float, ...] = ()
    vertical: bool = False

    @property
    def u0(self) -> float:
        return min(char.u0 for char in self.chars)

    @property
    def u1(self) -> float:
        return max(char.u1 for char in self.chars)

    @property
    def v0(self) -> float:
        return min(char.v0 for char in self.chars)

    @property
    def v1(self) -> float:
        return max(char.v1 for char in self.chars)

    @property
    def size(self) -> float:
        return max(char.char.size for char in self.chars)


def build_lines(chars: Iterable[Char], width: int, height: int) -> list[LayerLine]:
    """The lines of a page of ``width`` x ``height`` pixels, in PDFium's order.

    Left out: characters without a place, outside of the page, or of less than ``MIN_SIZE_PIXELS``;
    the second of two that are drawn at the same place.
    """
    kept = _once(_on_page(chars, width, height))
    pieces = [piece for run in _runs(kept) for piece in _apart(run)]
    return [_line(piece) for piece in _together(pieces)]


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
        text = _BULLETS.get(char.text, _HYPHENS.get(char.text, char.text))
        yield char._replace(text=text, cell=cell, size=size)


def _once(chars: Iterable[Char]) -> list[Char]:
    """Without those that are drawn again where they are, for a bold look or a shadow."""
    seen: dict[tuple[str, int, int], list[Box]] = defaultdict(list)
    kept: list[Char] = []
    before: Char | None = None
    again = False
    for char in chars:
        # The letters of one glyph (a double f) are in the same place, and come or go together.
        if before is None or char.ink != before.ink or char.text.isspace():
            again = not char.text.isspace() and _seen_before(char, seen)
        before = char
        if not again:
            kept.append(char)
        elif kept and char.breaks and kept[-1].breaks != "\n":
            kept[-1] = kept[-1]._replace(breaks=char.breaks)
    return kept


def _seen_before(char: Char, seen: dict[tuple[str, int, int], list[Box]]) -> bool:
    step = 8.0
    body = _body(char)
    x, y = (body[0] + body[2]) / 2, (body[1] + body[3]) / 2
    reach = max(1, math.ceil(min(char.size, 64.0) / 2 / step))
    column, row = int(x // step), int(y // step)
    for near_x in range(column - reach, column + reach + 1):
        for near_y in range(row - reach, row + reach + 1):
            for other in seen.get((char.text, near_x, near_y), ()):
                smaller = min(area(other), area(body))
                if smaller > 0 and common(other, body) >= SAME_PLACE * smaller:
                    return True
    seen[char.text, column, row].append(body)
    return False


def _body(char: Char) -> Box:
    """As long as the cell, so that no two letters of a word share one, and as high as the ink."""
    if not is_finite(char.ink):
        return char.cell
    spare = 0.1 * char.size
    if _frame(char) % 180 == 0:
        return char.cell[0], char.ink[1] - spare, char.cell[2], char.ink[3] + spare
    return char.ink[0] - spare, char.cell[1], char.ink[2] + spare, char.cell[3]


def _frame(char: Char) -> float:
    """The direction of its line, degrees; to a right angle if it is nearly one."""
    right = round(char.angle / 90.0) * 90.0
    if abs(char.angle - right) <= STRAIGHT_DEGREES:
        return right % 360.0
    return round(char.angle) % 360.0


def _place(char: Char, frame: float, gap: str = "") -> _Placed:
    u0, v0, u1, v1 = _turned(char.cell, frame)
    if frame % 90:
        # The upright box around a slanted glyph says little: its middle, and the font's size.
        middle, across = (u0 + u1) / 2, (v0 + v1) / 2
        u0, u1 = middle - char.size / 4, middle + char.size / 4
        v0, v1 = across - char.size / 2, across + char.size / 2
    elif v1 - v0 > CELL_HEIGHT * char.size:
        across = (v0 + v1) / 2
        v0, v1 = across - CELL_HEIGHT * char.size / 2, across + CELL_HEIGHT * char.size / 2
    return _Placed(char, u0, u1, v0, v1, gap)


def _turned(box: Box, frame: float) -> Box:
    """A box of the page in the frame, as u0, v0, u1, v1."""
    left, top, right, bottom = box
    match frame:
        case 0:
            return left, top, right, bottom
        case 90:
            return top, -right, bottom, -left
        case 180:
            return -right, -bottom, -left, -top
        case 270:
            return -bottom, left, -top, right
    cosine, sine = math.cos(math.radians(frame)), math.sin(math.radians(frame))
    x, y = (left + right) / 2, (top + bottom) / 2
    u, v = x * cosine + y * sine, y * cosine - x * sine
    return u, v, u, v


def _back(box: Box, frame: float) -> Box:
    """The inverse of ``_turned``, for right angles."""
    return _turned(box, (360 - frame) % 360)


def _runs(chars: Sequence[Char]) -> Iterator[_Piece]:
    """Cut at PDFium's line ends, and where direction or line change without one."""
    run: list[_Placed] = []
    spaces: list[float] = []
    frame = 0.0
    order = 0
    for char in chars:
        if char.text.isspace():
            if run:
                run[-1] = replace(run[-1], gap="\n" if char.breaks == "\n" else " ")
                spaces.append(_place(char, frame).centre)
            continue
        placed = _place(char, _frame(char), _GAPS.get(char.breaks, ""))
        if run and (
            frame != _frame(char) or run[-1].gap == "\n" or not _same_line(run[-1], placed)
        ):
            yield _Piece(frame, tuple(run), order, tuple(spaces))
            run, spaces, order = [], [], order + 1
        frame = _frame(char)
        run.append(placed)
    if run:
        yield _Piece(frame, tuple(run), order, tuple(spaces))


def _same_line(one: _Placed, other: _Placed) -> bool:
    shared = min(one.v1, other.v1) - max(one.v0, other.v0)
    return shared >= SAME_LINE * min(one.v1 - one.v0, other.v1 - other.v0)


def _apart(run: _Piece) -> Iterator[_Piece]:
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


def _column_gap(run: _Piece) -> float:
    gaps = [b.u0 - a.u1 for a, b in pairwise(run.chars)]
    size = median(char.char.size for char in run.chars)
    limit = COLUMN_GAP * size
    if len(gaps) >= 3 and (usual := median(gaps)) > LETTER_SPACED * size:
        limit = max(limit, 3 * usual)
    words = [gap for gap in gaps if gap > WORD_GAP * size]
    if len(words) >= 5 and (usual := median(words)) > WIDE_SPACES * size:
        limit = max(limit, min(2 * usual, WIDEST_SPACE * size))
    return limit


def _without_made_up_spaces(chars: tuple[_Placed, ...]) -> tuple[_Placed, ...]:
    """Of letter-spaced text: PDFium takes each of its gaps for a space."""
    inner = list(pairwise(chars))
    gaps = [b.u0 - a.u1 for a, b in inner]
    if len(gaps) < 3 or sum(a.gap == "~" for a, _ in inner) < 0.7 * len(inner):
        return chars
    usual = median(gaps)
    if usual <= LETTER_SPACED * median(char.char.size for char in chars):
        return chars
    mended = [
        replace(a, gap="") if a.gap == "~" and gap < 1.6 * usual else a
        for (a, _), gap in zip(inner, gaps, strict=True)
    ]
    return (*mended, chars[-1])


def _together(pieces: Sequence[_Piece]) -> list[_Piece]:
    """Join pieces that touch on one line: a bold word that was written after the rest."""
    for shift in (0.0, 0.5):
        pieces = _joined(pieces, shift)
    return sorted(pieces, key=lambda piece: piece.order)


def _joined(pieces: Sequence[_Piece], shift: float) -> list[_Piece]:
    if not pieces:
        return []
    step = max(median(piece.size for piece in pieces), 1.0)

    def row(piece: _Piece) -> int:
        return math.floor((piece.v0 + piece.v1) / 2 / step + shift)

    ordered = sorted(pieces, key=lambda piece: (piece.frame, row(piece), piece.u0))
    chains: list[_Chain] = []
    for piece in ordered:
        if not chains or not chains[-1].takes(piece):
            chains.append(_Chain(piece))
    return [chain.piece() for chain in chains]


class _Chain:
    """Pieces that touch, from left to right, with their bounds so far."""

    def __init__(self, first: _Piece) -> None:
        self._pieces = [first]
        self._gaps: list[str] = []
        self._u1, self._v0, self._v1 = first.u1, first.v0, first.v1
        self._size = first.size

    def takes(self, piece: _Piece) -> bool:
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

    def piece(self) -> _Piece:
        """All of them as one."""
        first = self._pieces[0]
        if not self._gaps:
            return first
        chars: list[_Placed] = []
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


def _line(piece: _Piece) -> LayerLine:
    text, chars = _in_order(piece)
    return LayerLine(text, _line_box(piece), chars, piece.frame, piece.vertical)


def _line_box(piece: _Piece) -> Box:
    """As long as its cells, as high as its ink and a little more."""
    if piece.frame % 90:
        return around([placed.char.cell for placed in piece.chars])
    inks = [_turned(p.char.ink, piece.frame) for p in piece.chars if is_finite(p.char.ink)]
    v0, v1 = piece.v0, piece.v1
    if inks:
        _, top, _, bottom = around(inks)
        spare = LINE_MARGIN * piece.size
        short = max(LINE_HEIGHT * piece.size - (bottom - top), 0.0) / 2
        v0 = max(v0, top - max(spare, short)) if top > v0 else top
        v1 = min(v1, bottom + max(spare, short)) if bottom < v1 else bottom
    return _back((piece.u0, v0, piece.u1, v1), piece.frame)


def _in_order(piece: _Piece) -> tuple[str, tuple[Char, ...]]:
    chars = piece.chars
    has_marks = any(_is_mark(char.char.text) for char in chars)
    right_to_left = any(is_right_to_left(char.char.text) for char in chars)
    if not right_to_left and not has_marks and _is_forward(chars):
        text = "".join(char.char.text + (" " if char.gap else "") for char in chars)
        return text.strip(), tuple(char.char for char in chars)
    return _by_place(piece, right_to_left)


def _is_forward(chars: Sequence[_Placed]) -> bool:
    return all(b.centre >= a.centre - 0.5 * a.char.size for a, b in pairwise(chars))


def _is_mark(text: str) -> bool:
    return bool(text) and unicodedata.category(text[0]) in ("Mn", "Me")


def _by_place(piece: _Piece, right_to_left: bool) -> tuple[str, tuple[Char, ...]]:
    """The line read off the page again, see ``right_to_left.py``."""
    glyphs = _glyphs(piece.chars)
    spaces = sorted(piece.spaces)
    items: list[Glyph] = []
    for number, glyph in enumerate(glyphs):
        if number and _word_ends(glyphs[number - 1], glyph, spaces):
            items.append(Glyph(" ", -1))
        items.append(Glyph("".join(char.char.text for char in glyph), number))
    ordered = logical(items) if right_to_left else items
    text = "".join(item.text for item in ordered).strip()
    return text, tuple(c.char for item in ordered if item.key >= 0 for c in glyphs[item.key])


def _glyphs(chars: Sequence[_Placed]) -> list[list[_Placed]]:
    """From left to right: what stands at one place together, marks behind their letter."""
    bases: list[list[_Placed]] = []
    marks: list[_Placed] = []
    for char in chars:
        if _is_mark(char.char.text):
            marks.append(char)
        elif bases and char.char.ink == bases[-1][0].char.ink:
            # Letters of one glyph. PDFium turns all of a right-to-left line round, these too.
            at = 0 if is_right_to_left(char.char.text) else len(bases[-1])
            bases[-1].insert(at, char)
        else:
            bases.append([char])
    if not bases:
        return [[mark] for mark in marks]
    bases.sort(key=lambda glyph: glyph[0].centre)
    centres = [glyph[0].centre for glyph in bases]
    for mark in marks:
        after = bisect_left(centres, mark.centre)
        near = range(max(after - 1, 0), min(after + 1, len(bases)))
        bases[min(near, key=lambda i: abs(centres[i] - mark.centre))].append(mark)
    return bases


def _word_ends(one: Sequence[_Placed], other: Sequence[_Placed], spaces: Sequence[float]) -> bool:
    gap = other[0].u0 - one[0].u1
    size = max(one[0].char.size, other[0].char.size)
    between = bisect_left(spaces, one[0].centre)
    if between < len(spaces) and spaces[between] < other[0].centre:
        # Some writers move back over a space, to put a mark on the letter before.
        return gap > MOVED_BACK * size
    return gap > WORD_GAP * size
