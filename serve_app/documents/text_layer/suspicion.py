"""Fonts whose characters are no text, told from the characters alone.

A font without a map to Unicode, or with a broken one, gives characters that nobody writes:
controls, unassigned ones, those of the private area, the replacement character. Fonts with mostly
such ones are left to the recogniser; of others, who knows what the recogniser can read decides
(``engines/layer_check.py``): it reads such characters, and where they are many, all of their font,
and where they are many in a line, the line. In a script that it does not know they are U+FFFD.
A map that names wrong letters throughout is not noticed here: that takes a look at the page.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace

from serve_app.document import Box, DistrustedText
from serve_app.documents.text_layer.pieces import pieces
from serve_app.documents.text_layer.values import Char, LayerLine

# Of a font's characters: beyond the first, it is not believed where the recogniser can read it;
# beyond the second, nowhere. And of a line's.
MANY_IN_FONT, MOST_IN_FONT = 0.05, 0.25
MANY_IN_LINE = 0.3
# In place of a character without meaning.
MARK = "\ufffd"

_NO_TEXT = frozenset({"Cc", "Cn", "Co", "Cs"})
# What other tools write where they find no map, and what then gets copied into a layer.
_PLACEHOLDER = re.compile(r"\(cid:\d+\)")


@dataclass(frozen=True, slots=True)
class Sorted:
    """Lines and parts of lines to be believed, and the places of what is not."""

    kept: tuple[LayerLine, ...]
    left_out: tuple[Box, ...]


def is_text(char: Char) -> bool:
    """Whether a person could have written it."""
    if not char.mapped or not char.text or MARK in char.text:
        return False
    return all(unicodedata.category(point) not in _NO_TEXT for point in char.text)


def suspicious_fonts(
    lines: Iterable[LayerLine], fonts: Sequence[str], share: float = MANY_IN_FONT
) -> dict[int, DistrustedText]:
    """By index of the font: those of whose characters more than ``share`` are no text."""
    total: Counter[int] = Counter()
    bad: Counter[int] = Counter()
    for line in lines:
        for char in line.chars:
            total[char.font] += 1
            bad[char.font] += not is_text(char)
    return {
        font: DistrustedText(fonts[font], f"{count} of {total[font]} characters mean nothing")
        for font, count in bad.items()
        if count > share * total[font]
    }


def broken(places: int) -> DistrustedText:
    """What is said of characters without meaning in fonts that are believed otherwise."""
    return DistrustedText(None, f"{places} places: characters mean nothing")


def without(
    lines: Iterable[LayerLine], fonts: Container[int], spared: Container[int] = ()
) -> Sorted:
    """``lines`` without the characters of ``fonts``, and without those that are no text.

    Args:
        spared: fonts in which those stay.
    """
    kept: list[LayerLine] = []
    left_out: list[Box] = []
    for line in lines:
        good = [
            char.font not in fonts and (char.font in spared or is_text(char)) for char in line.chars
        ]
        bad = len(good) - sum(good)
        if bad > MANY_IN_LINE * len(good) or _PLACEHOLDER.search(line.text):
            left_out.append(line.box)
            continue
        kept += pieces(line, good)
        left_out += [char.cell for char, fine in zip(line.chars, good, strict=True) if not fine]
    return Sorted(tuple(kept), tuple(left_out))


def marked(line: LayerLine) -> LayerLine:
    """With ``MARK`` for each character that is no text."""
    if all(map(is_text, line.chars)):
        return line
    chars, text, at = [], [], 0
    for char in line.chars:
        while line.text[at : at + 1].isspace():
            text.append(line.text[at])
            at += 1
        at += len(char.text)
        chars.append(char if is_text(char) else char._replace(text=MARK))
        text.append(chars[-1].text)
    return replace(line, text="".join(text), chars=tuple(chars))
