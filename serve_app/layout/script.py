"""Of which script a text is, as far as its layout depends on that."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

# Scripts written without spaces between words: Han, kana, bopomofo, and their punctuation and
# full-width forms. Hangul is not among them: Korean has spaces. Thai, Lao, Khmer and Burmese are.
_SPACELESS = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0x2FDF),
    (0x3000, 0x30FF),
    (0x3100, 0x312F),
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFE30, 0xFE4F),
    (0xFF00, 0xFFEF),
    (0x20000, 0x3FFFF),
)


def is_spaceless(character: str) -> bool:
    """Whether no space stands between this character and its neighbours."""
    code = ord(character)
    return code >= 0x0E00 and any(low <= code <= high for low, high in _SPACELESS)


def is_hangul(character: str) -> bool:
    """Whether it is a Korean syllable; not of an empty text."""
    return "\uac00" <= character <= "\ud7a3"


def is_wide(character: str) -> bool:
    """Whether it is drawn as a square: Han, kana, hangul and full-width forms."""
    return unicodedata.east_asian_width(character) in "WF"


def is_right_to_left(texts: Iterable[str]) -> bool:
    """Whether most letters of ``texts`` are Arabic, Hebrew or the like."""
    right = left = 0
    for text in texts:
        if text.isascii():
            left += sum(map(str.isalpha, text))
            continue
        for character in text:
            kind = unicodedata.bidirectional(character)
            right += kind in ("R", "AL")
            left += kind == "L"
    return right > left
