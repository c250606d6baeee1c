"""Lines joined to running text: with or without a space, and with broken words mended."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set

from serve_app.layout.script import is_hangul, is_spaceless

SOFT_HYPHEN = "\u00ad"
_HYPHENS = "-\u2010\u00ac"
# Nothing follows them with a space at a line's end: a path, a long dash.
_OPEN_ENDS = "/\u2014"
_WORD = re.compile(r"[^\W\d_]+(?:[-\u2010][^\W\d_]+)*")
_LAST_WORD = re.compile(r"[^\W\d_]+(?:[-\u2010][^\W\d_]+)*(?=[-\u2010\u00ac]$)")
_FIRST_WORD = re.compile(r"[^\W\d_]+")
# After a hyphen that stands for a word's end: "Ein- und Ausgang".
_CONJUNCTIONS = frozenset({"und", "oder", "bis", "and", "or", "to", "et", "ou", "y", "o", "e"})
# Letters from which the halves of a broken word may be words by themselves.
_WHOLE_WORD = 4
# First halves of compounds that keep their hyphen.
_COMPOUND = frozenset({"self", "well", "so", "non", "e", "x", "t"})


def vocabulary(texts: Iterable[str]) -> frozenset[str]:
    """The words of ``texts`` but for halves at line ends: they tell compounds from broken words."""
    found: set[str] = set()
    for text in texts:
        text = text.strip()
        words = _WORD.findall(text)
        if text[-1:] in _HYPHENS and words:
            words.pop()
        found.update(map(str.casefold, words))
    return frozenset(found)


def join(lines: Iterable[str], words: Set[str] = frozenset()) -> str:
    """One text of ``lines``; those without text add nothing.

    Args:
        lines: one after the other.
        words: of the page, see ``vocabulary``.
    """
    text = ""
    for line in lines:
        text = join_two(text, plain(line), words)
    return text.replace(SOFT_HYPHEN, "")


def plain(line: str) -> str:
    """``line`` with single spaces and without control characters: it stays one line.

    A soft hyphen at its end stays: it tells how the next line is joined.
    """
    if not line.isprintable():
        line = "".join(char for char in line if char >= " " or char.isspace())
    return " ".join(line.split())


def join_two(text: str, line: str, words: Set[str] = frozenset()) -> str:
    """``text`` continued by ``line``."""
    if not text or not line:
        return text or line
    if text[-1] == SOFT_HYPHEN:
        if goes_on(text, line) or len(text) == 1:
            return text[:-1] + line
        text = text[:-1]
    if len(text) > 1 and not text[-2].isspace():
        if text[-1] in _HYPHENS:
            return _mended(text, line, words)
        if text[-1] == "=" and text[-2].isalpha() and line[0].islower():
            return text[:-1] + line  # a hyphen of a typewriter or of Fraktur, as it is read
    return text + space_between(text[-1], line[0]) + line


def goes_on(text: str, line: str) -> bool:
    """Whether a soft hyphen ends ``text``, and its last word goes on in ``line``."""
    if not text.endswith(SOFT_HYPHEN):
        return False
    last, first = text[-2:-1], line[:1]
    return is_hangul(first) if is_hangul(last) else first.isalpha()


def space_between(last: str, first: str) -> str:
    """What stands between the end of a line and the beginning of the next."""
    if last in _OPEN_ENDS or last.isspace() or first.isspace():
        return ""
    if is_spaceless(last) and is_spaceless(first):
        return ""
    if (is_spaceless(last) and first.isdigit()) or (last.isdigit() and is_spaceless(first)):
        return ""
    # Their punctuation stands beside anything; what stands before it belongs to it.
    if is_spaceless(last) and not last.isalnum():
        return ""
    if is_spaceless(first) and not first.isalnum():
        return ""
    return " "


def _mended(text: str, line: str, words: Set[str]) -> str:
    if not (text[-2].isalpha() and line[0].isalpha()) or line[0].isupper():
        return text + line  # 2019-2020, Anglo-Saxon, COVID-19
    before, after = _LAST_WORD.search(text), _FIRST_WORD.match(line)
    if before is None or after is None:
        return text[:-1] + line
    if after[0] in _CONJUNCTIONS:
        return f"{text} {line}"
    head, tail = before[0].casefold(), after[0].casefold()
    if _is_compound(head, tail, words):
        return text + line
    return text[:-1] + line


def _is_compound(head: str, tail: str, words: Set[str]) -> bool:
    if f"{head}-{tail}" in words:
        return True
    if head + tail in words:
        return False
    if "-" in head or "\u2010" in head or head in _COMPOUND:
        return True
    long_enough = len(head) >= _WHOLE_WORD and len(tail) >= _WHOLE_WORD
    return long_enough and head in words and tail in words
