"""Fonts whose characters are no text, told from the characters alone.

A font without a map to Unicode, or with a broken one, gives characters that nobody writes:
controls, unassigned ones, those of the private area, the replacement character. Such characters are
left to the recogniser; where they are many, so is all of their font, and where they are many in a
line, the line. A map that names wrong letters throughout is not noticed here: that takes a look at
the page (``engines/layer_check.py``).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from serve_app.document import Box, DistrustedText
from serve_app.documents.text_layer.pieces import pieces
from serve_app.documents.text_layer.values import Char, LayerLine

# Of a font's characters, and of a line's.
MANY_IN_FONT = 0.05
MANY_IN_LINE = 0.3

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
    if not char.mapped or not char.text or "\ufffd" in char.text:
        return False
    return all(unicodedata.category(point) not in _NO_TEXT for point in char.text)


def suspicious_fonts(lines: Iterable[LayerLine], fonts: Sequence[str]) -> dict[int, DistrustedText]:
    """By index of the font; see the module's description."""
    total: Counter[int] = Counter()
    bad: Counter[int] = Counter()
    for line in lines:
        for char in line.chars:
            total[char.font] += 1
            bad[char.font] += not is_text(char)
    return {
        font: DistrustedText(fonts[font], f"{count} of {total[font]} characters mean nothing")
        for font, count in bad.items()
        if count > MANY_IN_FONT * total[font]
    }


def without(lines: Iterable[LayerLine], fonts: Container[int]) -> Sorted:
    """``lines`` without the characters of ``fonts``, and without those that are no text."""
    kept: list[LayerLine] = []
    left_out: list[Box] = []
    for line in lines:
        good = [char.font not in fonts and is_text(char) for char in line.chars]
        bad = len(good) - sum(good)
        if bad > MANY_IN_LINE * len(good) or _PLACEHOLDER.search(line.text):
            left_out.append(line.box)
            continue
        kept += pieces(line, good)
        left_out += [char.cell for char, fine in zip(line.chars, good, strict=True) if not fine]
    return Sorted(tuple(kept), tuple(left_out))
