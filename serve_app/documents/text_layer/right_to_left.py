"""The logical order of a line with Arabic, Hebrew and the like, from where its glyphs stand.

A PDF has glyphs with places; what order a writer put them in is anybody's guess, and PDFium's is
wrong where one glyph stands for two letters (lam-alef), where a mark stands above a letter, and
for spaces between two directions. So the line is read off the page again: glyphs from left to
right, and then the Unicode Bidirectional Algorithm (UAX #9) backwards, as far as a line of a
document needs it: one embedded direction, numbers in it.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Runs = Callable[[Sequence["Glyph"]], list[tuple[int, int]]]
Direction = Literal["R", "L", "N", " "]  # right-to-left, left-to-right, number, anything else

_OF_CLASS: dict[str, Direction] = {"R": "R", "AL": "R", "L": "L", "EN": "N", "AN": "N"}
# Between two digits they belong to the number (UAX #9, W4 and W5).
_IN_NUMBERS = frozenset(".,:/+-%٪٫٬")
# What presentation forms of several letters stand for: lam-alef, and whole words.
_LIGATURES = frozenset(
    letters
    for code in (*range(0xFB1D, 0xFE00), *range(0xFE70, 0xFEFD))
    if len(letters := unicodedata.normalize("NFKC", chr(code))) > 1
)
_PAIRS = {"(": ")", "[": "]", "{": "}", "<": ">", "«": "»", "‹": "›"}
_MIRRORED = {**_PAIRS, **{closing: opening for opening, closing in _PAIRS.items()}}


@dataclass(frozen=True, slots=True)
class Glyph:
    """What stands at one place: its text in logical order, and the caller's name for it."""

    text: str
    key: int

    @property
    def direction(self) -> Direction:
        """Of its first character that has one."""
        return next((d for d in map(_direction, self.text) if d != " "), " ")


def letters_of_glyph(letters: Sequence[str]) -> list[int]:
    """The order in which PDFium's letters of one right-to-left glyph are read, as indexes.

    PDFium turns all of a line round, the letters that a map gives for one glyph too; but not those
    that it has made of a presentation form itself.
    """
    as_they_are = "".join(letters)
    order = list(range(len(letters)))
    if as_they_are in _LIGATURES and as_they_are[::-1] not in _LIGATURES:
        return order
    return order[::-1]


def is_right_to_left(text: str) -> bool:
    """Whether any character of it is written from right to left."""
    return any(_direction(char) == "R" for char in text)


def logical(glyphs: Sequence[Glyph]) -> list[Glyph]:
    """``glyphs`` (spaces included) from left to right, in the order in which they are read."""
    if _reads_from_the_right(glyphs):
        return _unmirrored(_with_runs_turned(list(reversed(glyphs)), _left_to_right_runs))
    return _with_runs_turned(list(glyphs), _right_to_left_runs)


def _reads_from_the_right(glyphs: Sequence[Glyph]) -> bool:
    """By what the line begins and ends with; else by what most of its words are."""
    strong = [glyph.direction for glyph in glyphs if glyph.direction in "RL"]
    if strong and strong[0] == strong[-1]:
        return strong[0] == "R"
    words: Counter[Direction] = Counter()
    before: Direction = " "
    for glyph in glyphs:
        if glyph.direction != before and glyph.direction in "RL":
            words[glyph.direction] += 1
        before = " " if glyph.text.isspace() else glyph.direction
    return words["R"] >= words["L"]


def _direction(char: str) -> Direction:
    return _OF_CLASS.get(unicodedata.bidirectional(char), " ")


def _with_runs_turned(glyphs: list[Glyph], runs: Runs) -> list[Glyph]:
    for start, end in runs(glyphs):
        glyphs[start:end] = reversed(glyphs[start:end])
    return glyphs


def _left_to_right_runs(glyphs: Sequence[Glyph]) -> list[tuple[int, int]]:
    """Words, and numbers, as they stand in a line that reads from right to left."""
    directions = [glyph.direction for glyph in glyphs]
    runs: list[tuple[int, int]] = []
    at = 0
    while at < len(glyphs):
        if directions[at] not in "LN":
            at += 1
            continue
        end = at + 1
        while True:
            following = _next_strong(directions, end)
            if following is None or directions[following] not in "LN":
                break
            between = "".join(glyph.text for glyph in glyphs[end:following])
            letters = "L" in (directions[end - 1], directions[following])
            if between and not letters and not (len(between) == 1 and between in _IN_NUMBERS):
                break
            end = following + 1
        runs.append((at, end))
        at = end
    return runs


def _right_to_left_runs(glyphs: Sequence[Glyph]) -> list[tuple[int, int]]:
    """Words from right to left in a line that reads from left to right."""
    directions = [glyph.direction for glyph in glyphs]
    runs: list[tuple[int, int]] = []
    at = 0
    while at < len(glyphs):
        if directions[at] != "R":
            at += 1
            continue
        end = at + 1
        while (following := _next_strong(directions, end)) is not None:
            if directions[following] != "R":
                break
            end = following + 1
        runs.append((at, end))
        at = end
    return runs


def _next_strong(directions: Sequence[Direction], start: int) -> int | None:
    return next((i for i in range(start, len(directions)) if directions[i] != " "), None)


def _unmirrored(glyphs: list[Glyph]) -> list[Glyph]:
    """Some maps name a bracket by its form on paper: if the first one closes, all are turned."""
    first = next((glyph.text for glyph in glyphs if glyph.text in _MIRRORED), None)
    if first is None or first in _PAIRS:
        return glyphs
    return [Glyph(_MIRRORED.get(glyph.text, glyph.text), glyph.key) for glyph in glyphs]
