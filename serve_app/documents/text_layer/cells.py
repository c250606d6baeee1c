"""Cells of a table that stand so near to each other that they look like one line.

What tells is the rows above and below: they are cut at the same place.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from serve_app.documents.text_layer.placed import Piece, Placed

Interval: TypeAlias = tuple[float, float]

# In parts of the font's size: white space that is between cells if one neighbour tells so, or two;
# and how far away a row may be: cells may have several lines, or stand in the middle of others.
_GAP, _SMALL_GAP, _REACH = 0.6, 0.35, 6.0
# Part of the white space that is white in the other row, too.
_SAME = 0.6
# Parts of a line's height: that the next one may reach into it, and that lines of a row share.
_OVERLAP, _BESIDE = 0.3, 0.3


class _At(NamedTuple):
    """A piece and its bounds, which take a look at each of its characters."""

    piece: Piece
    u0: float
    u1: float
    v0: float
    v1: float

    @property
    def middle(self) -> float:
        return (self.v0 + self.v1) / 2


def at_cells(pieces: Sequence[Piece]) -> list[Piece]:
    """``pieces`` cut where the rows above and below are."""
    places = [_At(piece, piece.u0, piece.u1, piece.v0, piece.v1) for piece in pieces]
    ordered = sorted(places, key=lambda place: place.middle)
    middles = [place.middle for place in ordered]
    found: list[Piece] = []
    for place in places:
        gaps = list(_gaps(place.piece))
        if gaps:
            reach = _REACH * place.piece.size
            low = bisect_left(middles, place.middle - reach)
            high = bisect_right(middles, place.middle + reach)
            near = [one for one in ordered[low:high] if _is_along(one, place)]
            rows = _rows(_above(place, near)), _rows(_below(place, near))
            gaps = [gap for gap in gaps if _is_between_cells(gap, place.piece.size, rows)]
        found += _cut(place.piece, gaps)
    return found


def _gaps(piece: Piece) -> Iterator[Interval]:
    if piece.vertical or piece.frame % 90:
        return
    placed = sorted(piece.chars, key=lambda char: char.u0)
    end, least = placed[0].u1, _SMALL_GAP * piece.size
    for char in placed[1:]:
        if char.u0 - end >= least:
            yield end, char.u0
        end = max(end, char.u1)


def _is_along(one: _At, place: _At) -> bool:
    """Whether it is above or below, not only beside."""
    return one.piece.frame == place.piece.frame and one.u0 < place.u1 and one.u1 > place.u0


def _above(place: _At, near: Sequence[_At]) -> list[_At]:
    """What is above, the nearest first."""
    edge = place.v0 + _OVERLAP * (place.v1 - place.v0)
    return sorted((one for one in near if one.v1 <= edge), key=lambda one: -one.v1)


def _below(place: _At, near: Sequence[_At]) -> list[_At]:
    edge = place.v1 - _OVERLAP * (place.v1 - place.v0)
    return sorted((one for one in near if one.v0 >= edge), key=lambda one: one.v0)


def _rows(places: Sequence[_At]) -> list[list[_At]]:
    """Those that stand beside each other, each from left to right."""
    rows: list[list[_At]] = []
    for place in places:
        if rows and _are_beside(rows[-1][0], place):
            rows[-1].append(place)
        else:
            rows.append([place])
    return [sorted(row, key=lambda one: one.u0) for row in rows]


def _are_beside(one: _At, other: _At) -> bool:
    common = min(one.v1, other.v1) - max(one.v0, other.v0)
    return common >= _BESIDE * min(one.v1 - one.v0, other.v1 - other.v0)


def _is_between_cells(gap: Interval, size: float, sides: Sequence[Sequence[Sequence[_At]]]) -> bool:
    """Whether the first row on each side that has something there is cut there, too."""
    told = [cut for rows in sides if (cut := _first_word(gap, rows)) is not None]
    least = _SMALL_GAP if len(told) > 1 else _GAP
    return bool(told) and all(told) and gap[1] - gap[0] >= least * size


def _first_word(gap: Interval, rows: Sequence[Sequence[_At]]) -> bool | None:
    """Of the nearest row that says anything: whether it is cut in ``gap``, or goes across."""
    middle, least = sum(gap) / 2, _SAME * (gap[1] - gap[0])
    for row in rows:
        if any(one.u0 < middle < one.u1 for one in row):
            return False
        for left, right in pairwise(row):
            if min(gap[1], right.u0) - max(gap[0], left.u1) >= least:
                return True
    return None


def _cut(piece: Piece, gaps: Sequence[Interval]) -> list[Piece]:
    if not gaps:
        return [piece]
    parts: list[list[Placed]] = [[] for _ in range(len(gaps) + 1)]
    for char in piece.chars:
        parts[sum(char.u0 >= gap[1] for gap in gaps)].append(char)
    return [replace(piece, chars=tuple(part)) for part in parts]
