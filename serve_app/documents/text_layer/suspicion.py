"""Fonts whose characters are no text, told from the characters alone.

A font without a map to Unicode, or with a broken one, gives characters that nobody writes:
controls, unassigned ones, those of the private area, the replacement character. A few of them cost
their line its trust, many of them the font. A map that names wrong letters throughout is not
noticed here: that takes a look at the page (``engines/layer_check.py``).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from serve_app.document import DistrustedText
from serve_app.documents.text_layer.values import Char, LayerLine

# Of a font's characters.
MANY_FRACTION = 0.05

_NO_TEXT = frozenset({"Cc", "Cn", "Co", "Cs"})
# What other tools write where they find no map, and what then gets copied into a layer.
_PLACEHOLDER = re.compile(r"\(cid:\d+\)")


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
        if count > MANY_FRACTION * total[font]
    }


def is_suspicious(line: LayerLine) -> bool:
    """Whether a character of it is no text."""
    return bool(_PLACEHOLDER.search(line.text)) or not all(map(is_text, line.chars))
