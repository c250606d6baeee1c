"""Cells of a table that stand so near to each other that they look like one line.

What tells is the rows above and below: they are cut at the same place.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from serve_app.documents.text_layer.placed import Piece, Placed

Interval: TypeAlias = tuple[float, float]

# In parts of the font's size: white space that may be between cells, and how far the next row is.
_GAP, _NEXT_ROW = 0.6, 2.2
# Part of the white space that is white in the next row, too.
_SAME = 0.6
# Part of a line's height that the next one may reach into it.
_OVERLAP = 0.3


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
    """``pieces`` cut where their neighbours above and below are."""
    places = [_At(piece, piece.u0, piece.u1, piece.v0, piece.v1) for piece in pieces]
    ordered = sorted(places, key=lambda place: place.middle)
    middles = [place.middle for place in ordered]
    found: list[Piece] = []
    for place in places:
        if gaps := list(_gaps(place.piece)):
            reach = _NEXT_ROW * place.piece.size
            low = bisect_left(middles, place.middle - reach)
            high = bisect_right(middles, place.middle + reach)
            near = [one for one in ordered[low:high] if one.piece.frame == place.piece.frame]
            rows = _above(place, near), _below(place, near)
            gaps = [gap for gap in gaps if _goes_on(gap, rows)]
        found += _cut(place.piece, gaps)
    return found


def _gaps(piece: Piece) -> Iterator[Interval]:
    if piece.vertical or piece.frame % 90:
        return
    placed = sorted(piece.chars, key=lambda char: char.u0)
    end, least = placed[0].u1, _GAP * piece.size
    for char in placed[1:]:
        if char.u0 - end >= least:
            yield end, char.u0
        end = max(end, char.u1)


def _above(place: _At, near: Sequence[_At]) -> list[_At]:
    """The next row above, from left to right; rows may overlap a little."""
    above = [one for one in near if one.v1 <= place.v0 + _OVERLAP * (place.v1 - place.v0)]
    return _row(above, max(above, key=lambda one: one.v1)) if above else []


def _below(place: _At, near: Sequence[_At]) -> list[_At]:
    below = [one for one in near if one.v0 >= place.v1 - _OVERLAP * (place.v1 - place.v0)]
    return _row(below, min(below, key=lambda one: one.v0)) if below else []


def _row(places: Sequence[_At], first: _At) -> list[_At]:
    row = [one for one in places if one.v0 < first.middle < one.v1]
    return sorted(row, key=lambda one: one.u0)


def _goes_on(gap: Interval, rows: Iterable[Sequence[_At]]) -> bool:
    """Whether the rows, as far as there are any, are cut at the same place."""
    told = [_is_cut(gap, row) for row in rows if row]
    return bool(told) and all(told)


def _is_cut(gap: Interval, row: Sequence[_At]) -> bool:
    least = _SAME * (gap[1] - gap[0])
    return any(
        min(gap[1], right.u0) - max(gap[0], left.u1) >= least for left, right in pairwise(row)
    )


def _cut(piece: Piece, gaps: Sequence[Interval]) -> list[Piece]:
    if not gaps:
        return [piece]
    parts: list[list[Placed]] = [[] for _ in range(len(gaps) + 1)]
    for char in piece.chars:
        parts[sum(char.u0 >= gap[1] for gap in gaps)].append(char)
    return [replace(piece, chars=tuple(part)) for part in parts]
