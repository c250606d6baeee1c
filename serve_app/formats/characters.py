"""Strangers' text as characters that a format can hold, and what script it is in."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator

REPLACEMENT = "\ufffd"

# What XML 1.0 has no place for (its production `Char`) or HTML calls an error: control characters,
# surrogates, noncharacters. Tab, newline and carriage return are characters.
_NO_CHARACTERS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(
        f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
    )
    + "]"
)

# Scripts that one language alone is written in, as far as documents go. Han without Kana is
# Chinese; Latin, Cyrillic, Arabic and Devanagari say nothing.
_SCRIPTS = (
    ("ko", re.compile("[\uac00-\ud7a3\u1100-\u11ff]")),
    ("ja", re.compile("[\u3041-\u30ff]")),
    ("zh", re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
)
_LOOKED_AT_CHARS = 4000


def visible(text: str) -> str:
    """``text`` with what no XML or HTML document may hold replaced by U+FFFD."""
    return _NO_CHARACTERS.sub(REPLACEMENT, text)


def escaped(text: str) -> str:
    """For the content and the quoted attributes of HTML and XML."""
    return html.escape(visible(text), quote=True)


def one_line(text: str) -> str:
    """All white space and line breaks as single spaces."""
    return " ".join(text.split())


def language_of(text: str) -> str:
    """The language (BCP 47) that the script of most of its letters stands for; "" if none does."""
    sample = text[:_LOOKED_AT_CHARS]
    letters = sum(map(str.isalpha, sample))
    for language, script in _SCRIPTS:
        if 2 * len(script.findall(sample)) > letters > 0:
            return language
        # Japanese is mostly Han; a tenth of Kana tells it from Chinese.
        if language == "ja" and 10 * len(script.findall(sample)) > letters > 0:
            return language
    return ""


def clusters(text: str) -> Iterator[str]:
    """The characters as a reader sees them: each base with the marks that belong to it."""
    start = 0
    for at in range(1, len(text)):
        if not _continues(text[at]):
            yield text[start:at]
            start = at
    if text:
        yield text[start:]


def _continues(char: str) -> bool:
    """Whether it stands on the character before: marks, variation selectors, joiners."""
    if char < "\u0300":
        return False
    return unicodedata.category(char) in ("Mn", "Mc", "Me") or char in "\u200c\u200d"
