"""Accents that are glyphs of their own, drawn over their letter, are a part of it.

So write typesetters with old fonts: the umlaut of "für" is a spacing "¨" before, behind or far away
from its "u" in the file, and above it on the page.
"""

from __future__ import annotations

import math
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

from serve_app.document import Box
from serve_app.documents.text_layer.placed import frame_of, turned
from serve_app.documents.text_layer.values import Char, is_finite

_COMBINING: Mapping[str, str] = {
    "`": "\u0300",
    "´": "\u0301",
    "ˆ": "\u0302",
    "˜": "\u0303",
    "¯": "\u0304",
    "˘": "\u0306",
    "˙": "\u0307",
    "¨": "\u0308",
    "˚": "\u030a",
    "˝": "\u030b",
    "ˇ": "\u030c",
    "¸": "\u0327",
    "˛": "\u0328",
}
_BELOW = "¸˛"
_WITH_DOT = str.maketrans("ıȷ", "ij")
# In sizes of the font: how far an accent's outline reaches into its letter's at most, and how far
# the middle of the one is from that of the other.
_REACHES_IN, _ASIDE = 0.25, 0.35
# Of the font's size: space between letters of a word.
_TOUCHING = 0.1
_STEP_PIXELS = 8.0

Places = Mapping[tuple[int, int, int], Sequence[int]]


def with_accents(chars: Sequence[Char]) -> list[Char]:
    """``chars``, where a letter has the accent that is drawn over it; other accents stay."""
    accents = [i for i, char in enumerate(chars) if char.text in _COMBINING and _is_placed(char)]
    if not accents:
        return list(chars)
    places = _letters(chars)
    changed: dict[int, Char] = {}
    gone: set[int] = set()
    for accent in accents:
        letter = _letter_of(chars, accent, places)
        if letter is not None and letter not in changed:
            changed[letter] = chars[letter]._replace(text=_together(chars[letter], chars[accent]))
            gone.add(accent)
    left = [i for i in range(len(chars)) if i not in gone]
    kept = [changed.get(i, chars[i]) for i in left]
    for at, (one, other) in enumerate(pairwise(left)):
        if other - one > 1 and _touch(kept[at], kept[at + 1]):
            kept[at] = kept[at]._replace(breaks="")  # made up for the way to the accent
    return kept


def _touch(char: Char, following: Char) -> bool:
    """Whether they are letters of one word."""
    frame = frame_of(char)
    one, other = turned(char.cell, frame), turned(following.cell, frame)
    beside = min(one[3], other[3]) - max(one[1], other[1]) > char.size / 2
    return beside and abs(other[0] - one[2]) < _TOUCHING * char.size


def _is_placed(char: Char) -> bool:
    return is_finite(char.ink)


def _letters(chars: Sequence[Char]) -> Places:
    """By frame and place of their middles."""
    places: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for index, char in enumerate(chars):
        if char.text.isalpha() and char.text not in _COMBINING and _is_placed(char):
            u, v = _middle(char)
            frame = int(frame_of(char))
            places[frame, int(u // _STEP_PIXELS), int(v // _STEP_PIXELS)].append(index)
    return places


def _letter_of(chars: Sequence[Char], accent: int, places: Places) -> int | None:
    """The nearest one that it can stand over, or under."""
    mark = chars[accent]
    frame = int(frame_of(mark))
    u, v = _middle(mark)
    reach = max(1, math.ceil(min(mark.size, 64.0) / _STEP_PIXELS))
    column, row = int(u // _STEP_PIXELS), int(v // _STEP_PIXELS)
    near = [
        index
        for x in range(column - reach, column + reach + 1)
        for y in range(row - reach, row + reach + 1)
        for index in places.get((frame, x, y), ())
        if _fits(chars[index], mark)
    ]
    return min(near, key=lambda index: abs(_middle(chars[index])[0] - u), default=None)


def _fits(letter: Char, mark: Char) -> bool:
    if len(_together(letter, mark)) != 1:
        return False
    base, over = _ink(letter), _ink(mark)
    size = min(letter.size, mark.size)
    if abs((base[0] + base[2]) / 2 - (over[0] + over[2]) / 2) > _ASIDE * size:
        return False
    if mark.text in _BELOW:
        return base[1] < over[1] and -_REACHES_IN * size <= over[1] - base[3] <= size / 2
    return over[3] < base[3] and -_REACHES_IN * size <= base[1] - over[3] <= size / 2


def _together(letter: Char, mark: Char) -> str:
    bare = letter.text.translate(_WITH_DOT)
    return unicodedata.normalize("NFC", bare + _COMBINING[mark.text])


def _middle(char: Char) -> tuple[float, float]:
    left, top, right, bottom = _ink(char)
    return (left + right) / 2, (top + bottom) / 2


def _ink(char: Char) -> Box:
    """Along and across its line."""
    return turned(char.ink, frame_of(char))
