"""What is a heading, and of which level."""

from __future__ import annotations

import re

# Letters of a heading are at least so much larger than the page's.
_LARGER, _MUCH_LARGER = 1.25, 1.8
_LONGEST, _LONGEST_NUMBERED, _MOST_ROWS = 120, 80, 4
_LONGEST_LABELLED = 250
_NUMBERED = re.compile(r"^\s*(?:\d{1,2}(?:\.\d{1,3})*)[.、]?(?=\s|[^\W\d_])")
_SENTENCES = re.compile(r"[.!?]\s+[A-ZÀ-ÖØ-Þ]|[。！？].")
_SENTENCE_ENDS = (",", ";", ".", ":", "。", "，", "；", "：")
_LETTER = re.compile(r"[^\W\d_]")


def keeps_title(text: str, rows: int) -> bool:
    """Whether what the layout model calls a title may be one: not a paragraph."""
    if _SENTENCES.search(text) and text.rstrip().endswith((".", "。")):
        return False
    return bool(text.strip()) and rows <= 2 * _MOST_ROWS and len(text) <= _LONGEST_LABELLED


def is_heading(text: str, rows: int, size: float) -> bool:
    """Whether lines without a label are a heading. ``size``: of its letters to the page's."""
    text = text.strip()
    if size < _LARGER or rows > _MOST_ROWS or not 2 <= len(text) <= _LONGEST:
        return False
    return has_letters(text) and not text.endswith(_SENTENCE_ENDS)


def has_letters(text: str) -> bool:
    """Whether it is words more than numbers and signs."""
    letters = len(_LETTER.findall(text))
    return letters > 0 and letters * 2 >= len(text.replace(" ", ""))


def has_number(text: str) -> bool:
    """Whether it begins as numbered headings do: "2.1 Results"."""
    return bool(_NUMBERED.match(text))


def is_numbered_section(text: str, below: str) -> bool:
    """Whether a line by itself is the numbered heading of the paragraph below it."""
    text = text.strip()
    if not _NUMBERED.match(text) or len(text) > _LONGEST_NUMBERED or text.endswith(_SENTENCE_ENDS):
        return False
    return has_letters(text) and len(below) > 1.5 * len(text)


def title_label(size: float, *, is_top: bool) -> str:
    """What a heading without a label is. ``is_top``: it is in the upper part of the page."""
    return "doc_title" if size >= _MUCH_LARGER and is_top else "paragraph_title"


def level_of(label: str, text: str, size: float, *, is_top: bool) -> int:
    """1 for the title of a document, else from 2: by its number, then by its size."""
    if label == "doc_title":
        return 1
    if number := _NUMBERED.match(text):
        return min(2 + number[0].strip(" .、").count("."), 6)
    return 1 if is_top and size >= _MUCH_LARGER and label == "paragraph_title" else 2
