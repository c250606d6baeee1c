"""Accents that are glyphs of their own, drawn over their letter, are a part of it.

So write typesetters with old fonts: the umlaut of "für" is a spacing "¨" before, behind or far away
from its "u" in the file, and above it on the page.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

from serve_app.document import Box
from serve_app.documents.text_layer.nearby import Nearby
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


def with_accents(chars: Sequence[Char]) -> list[Char]:
    """``chars``, where a letter has the accent that is drawn over it; other accents stay."""
    accents = [i for i, char in enumerate(chars) if char.text in _COMBINING and is_finite(char.ink)]
    if not accents:
        return list(chars)
    places = _letters(chars)
    changed: dict[int, Char] = {}
    gone: set[int] = set()
    for accent in accents:
        letter = _letter_of(chars, accent, places)
        if letter is not None and letter not in changed:
            changed[letter] = chars[letter]._replace(
                text=_together(chars[letter].text, chars[accent].text)
            )
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


def _letters(chars: Sequence[Char]) -> Nearby[int]:
    """Those that there are with accents, by frame and place of their middles."""
    places: Nearby[int] = Nearby(_STEP_PIXELS)
    for index, char in enumerate(chars):
        if _has_accents(char.text) and is_finite(char.ink):
            places.add(frame_of(char), *_middle(char), index)
    return places


def _letter_of(chars: Sequence[Char], accent: int, places: Nearby[int]) -> int | None:
    """The nearest one that it can stand over, or under."""
    mark = chars[accent]
    u, v = _middle(mark)
    near = places.around(frame_of(mark), u, v, min(mark.size, 64.0))
    fitting = [index for index in near if _fits(chars[index], mark)]
    return min(fitting, key=lambda index: abs(_middle(chars[index])[0] - u), default=None)


def _fits(letter: Char, mark: Char) -> bool:
    if len(_together(letter.text, mark.text)) != 1:
        return False
    base, over = _ink(letter), _ink(mark)
    size = min(letter.size, mark.size)
    if abs((base[0] + base[2]) / 2 - (over[0] + over[2]) / 2) > _ASIDE * size:
        return False
    if mark.text in _BELOW:
        return base[1] < over[1] and -_REACHES_IN * size <= over[1] - base[3] <= size / 2
    return over[3] < base[3] and -_REACHES_IN * size <= base[1] - over[3] <= size / 2


@lru_cache(maxsize=4096)
def _has_accents(text: str) -> bool:
    # So letters of a place are few, whatever is written there: each is looked at for each accent.
    return text.isalpha() and any(len(_together(text, mark)) == 1 for mark in _COMBINING)


@lru_cache(maxsize=4096)
def _together(letter: str, mark: str) -> str:
    """One character, if there is such a one."""
    return unicodedata.normalize("NFC", letter.translate(_WITH_DOT) + _COMBINING[mark])


def _middle(char: Char) -> tuple[float, float]:
    left, top, right, bottom = _ink(char)
    return (left + right) / 2, (top + bottom) / 2


def _ink(char: Char) -> Box:
    """Along and across its line."""
    return turned(char.ink, frame_of(char))
