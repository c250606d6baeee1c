"""Things by their place on a page, so that what is near another one is found among few."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Nearby(Generic[Thing]):
    """Things of several kinds; only those of one kind are near each other.

    Args:
        step: side of the squares that things are kept in; lengths in any unit.
    """

    def __init__(self, step: float) -> None:
        self._step = step
        self._squares: dict[tuple[Hashable, int, int], list[Thing]] = defaultdict(list)

    def add(self, kind: Hashable, x: float, y: float, thing: Thing) -> None:
        """Put ``thing`` at a place."""
        self._squares[kind, int(x // self._step), int(y // self._step)].append(thing)

    def around(self, kind: Hashable, x: float, y: float, reach: float) -> Iterator[Thing]:
        """All that are no farther than ``reach`` in both directions, and some that are."""
        squares = max(1, math.ceil(reach / self._step))
        column, row = int(x // self._step), int(y // self._step)
        for near_x in range(column - squares, column + squares + 1):
            for near_y in range(row - squares, row + squares + 1):
                yield from self._squares.get((kind, near_x, near_y), ())
