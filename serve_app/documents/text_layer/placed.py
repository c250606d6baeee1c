"""Characters in the frame of their line: ``u`` along it, ``v`` across it.

In it, text of every direction runs to the right. Not covered: right-to-left scripts, whose letters
run to the left in this frame, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from serve_app.document import Box
from serve_app.documents.text_layer.values import Char

STRAIGHT_DEGREES = 5.0
CELL_HEIGHT = 1.2  # of the size; fonts may claim several times theirs


@dataclass(frozen=True, slots=True)
class Placed:
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
class Piece:
    """Characters that stand side by side, in PDFium's order.

    Attributes:
        frame: direction in degrees, see ``frame_of``.
        order: among the pieces of the page.
        spaces: middles of the written spaces (``u``).
    """

    frame: float
    chars: tuple[Placed, ...]
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


def frame_of(char: Char) -> float:
    """The direction of its line, degrees; to a right angle if it is nearly one."""
    right = round(char.angle / 90.0) * 90.0
    if abs(char.angle - right) <= STRAIGHT_DEGREES:
        return right % 360.0
    return round(char.angle) % 360.0


def place(char: Char, frame: float, gap: str = "") -> Placed:
    u0, v0, u1, v1 = turned(char.cell, frame)
    if frame % 90:
        # The upright box around a slanted glyph says little: its middle, and the font's size.
        middle, across = (u0 + u1) / 2, (v0 + v1) / 2
        u0, u1 = middle - char.size / 4, middle + char.size / 4
        v0, v1 = across - char.size / 2, across + char.size / 2
    elif v1 - v0 > CELL_HEIGHT * char.size:
        across = (v0 + v1) / 2
        v0, v1 = across - CELL_HEIGHT * char.size / 2, across + CELL_HEIGHT * char.size / 2
    return Placed(char, u0, u1, v0, v1, gap)


def turned(box: Box, frame: float) -> Box:
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


def turned_back(box: Box, frame: float) -> Box:
    """The inverse of ``_turned``, for right angles."""
    return turned(box, (360 - frame) % 360)
