"""Where a text may be cut: at the ends of sentences, else between words, else anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Ideographic and Indic full stops end a sentence at once; the others do before white space and
# what a sentence can begin with. Closing quotes and brackets belong to the sentence.
_CLOSING = "\"'”’»)\\]）」』】"
_END = re.compile(
    rf"[。！？｡।॥][{_CLOSING}]{{0,3}}\s*"
    rf"|[.!?…؟۔][{_CLOSING}]{{0,3}}\s+(?=[^\s{_CLOSING}])"
    r"|\n+"
)
# A full stop behind one of these, or behind a single letter, ends no sentence.
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[])(?:[^\W\d_]|Dr|Mr|Mrs|Ms|Prof|St|No|Nr|Fig|Figs|Eq|Sec|Abb|Tab|Vol|pp|vs|cf|al|etc|ca"
    r"|bzw|vgl|approx|Inc|Ltd|Co)\.$"
)
_LOOK_BACK_CHARS = 12


def sentences(text: str) -> Iterator[str]:
    """The sentences with the white space behind them: joined they are ``text`` again."""
    start = 0
    for match in _END.finditer(text):
        if text[match.start()] == "." and not _ends(text, match):
            continue
        yield text[start : match.end()]
        start = match.end()
    if start < len(text):
        yield text[start:]


def _ends(text: str, stop: re.Match[str]) -> bool:
    following = text[stop.end() : stop.end() + 1]
    if following.islower():
        return False
    before = text[max(0, stop.start() - _LOOK_BACK_CHARS) : stop.start() + 1]
    return _ABBREVIATION.search(before) is None


def cut(text: str, limit: int) -> Iterator[str]:
    """``text`` in parts of at most ``limit`` characters, cut behind white space where there is any.

    Joined they are ``text`` again.
    """
    while len(text) > limit:
        space = max(text.rfind(" ", 1, limit), text.rfind("\n", 1, limit))
        at = space + 1 if space > limit // 2 else limit
        yield text[:at]
        text = text[at:]
    if text:
        yield text
