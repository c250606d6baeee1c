"""The text of a line from its characters, in the order in which it is read."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from serve_app.documents.text_layer.placed import Piece, Placed
from serve_app.documents.text_layer.right_to_left import (
    Glyph,
    is_right_to_left,
    letters_of_glyph,
    logical,
)
from serve_app.documents.text_layer.values import Char

# In parts of the font's size.
WORD_GAP = 0.17  # spaces are 0.2 to 0.3 wide
MOVED_BACK = 0.05  # a written space leaves at least this much


def in_order(piece: Piece) -> tuple[str, tuple[Char, ...]]:
    chars = piece.chars
    has_marks = any(_is_mark(char.char.text) for char in chars)
    right_to_left = any(is_right_to_left(char.char.text) for char in chars)
    if not right_to_left and not has_marks and _is_forward(chars):
        text = "".join(char.char.text + (" " if char.gap else "") for char in chars)
        return text.strip(), tuple(char.char for char in chars)
    return _by_place(piece, right_to_left)


def _is_forward(chars: Sequence[Placed]) -> bool:
    return all(b.centre >= a.centre - 0.5 * a.char.size for a, b in pairwise(chars))


def _is_mark(text: str) -> bool:
    return bool(text) and unicodedata.category(text[0]) in ("Mn", "Me")


def _by_place(piece: Piece, right_to_left: bool) -> tuple[str, tuple[Char, ...]]:
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


def _glyphs(chars: Sequence[Placed]) -> list[list[Placed]]:
    """From left to right: what stands at one place together, marks behind their letter."""
    bases: list[list[Placed]] = []
    marks: list[Placed] = []
    for char in chars:
        if _is_mark(char.char.text):
            marks.append(char)
        elif bases and char.char.ink == bases[-1][0].char.ink:
            bases[-1].append(char)
        else:
            bases.append([char])
    if not bases:
        return [[mark] for mark in marks]
    bases = sorted(map(_read, bases), key=lambda glyph: glyph[0].centre)
    centres = [glyph[0].centre for glyph in bases]
    for mark in marks:
        after = bisect_left(centres, mark.centre)
        near = range(max(after - 1, 0), min(after + 1, len(bases)))
        bases[min(near, key=lambda i: abs(centres[i] - mark.centre))].append(mark)
    return bases


def _read(glyph: list[Placed]) -> list[Placed]:
    """Its letters in the order in which they are read."""
    letters = [char.char.text for char in glyph]
    if len(glyph) == 1 or not is_right_to_left("".join(letters)):
        return glyph
    return [glyph[i] for i in letters_of_glyph(letters)]


def _word_ends(one: Sequence[Placed], other: Sequence[Placed], spaces: Sequence[float]) -> bool:
    gap = other[0].u0 - one[0].u1
    size = max(one[0].char.size, other[0].char.size)
    between = bisect_left(spaces, one[0].centre)
    if between < len(spaces) and spaces[between] < other[0].centre:
        # Some writers move back over a space, to put a mark on the letter before.
        return gap > MOVED_BACK * size
    return gap > WORD_GAP * size
