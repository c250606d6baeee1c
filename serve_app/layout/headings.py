"""What is a heading, and of which level."""

from __future__ import annotations

import re

# Letters of a heading are at least so much larger than the page's.
_LARGER, _MUCH_LARGER = 1.25, 1.8
_LONGEST, _MOST_ROWS = 120, 4
_LONGEST_LABELLED = 250
_NUMBERED = re.compile(r"^\s*(?:\d{1,2}(?:\.\d{1,3})*)[.、]?(?=\s|[^\W\d_])")
_LETTER = re.compile(r"[^\W\d_]")


def keeps_title(text: str, rows: int) -> bool:
    """Whether what the layout model calls a title may be one: not a paragraph."""
    return bool(text.strip()) and rows <= 2 * _MOST_ROWS and len(text) <= _LONGEST_LABELLED


def is_heading(text: str, rows: int, size: float) -> bool:
    """Whether lines without a label are a heading. ``size``: of its letters to the page's."""
    text = text.strip()
    if size < _LARGER or rows > _MOST_ROWS or not 2 <= len(text) <= _LONGEST:
        return False
    return bool(_LETTER.search(text)) and not text.endswith((",", ";", ".", "。", "，", "；"))


def level_of(label: str, text: str, size: float) -> int:
    """1 for the title of a document, else from 2: by its number, then by its size."""
    if label == "doc_title":
        return 1
    if number := _NUMBERED.match(text):
        return min(2 + number[0].strip(" .、").count("."), 6)
    if label == "paragraph_title":
        return 2
    return 1 if size >= _MUCH_LARGER else 2
