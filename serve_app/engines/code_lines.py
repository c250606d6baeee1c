"""Listings of programs in a text layer: lines in a font whose letters are all as wide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median

from serve_app.documents.text_layer.values import Char, LayerLine

# Letters that are narrow, and wide, in every other font: at least 1.4 times as wide.
_NARROW = frozenset("iljtfrI.,;:'|!()[]")
_WIDE = frozenset("abdeghnopqumwABCDEGHKNOPQRUVXYMW=+<>")
_LEAST_NARROW, _LEAST_WIDE = 2, 4
_SAME = 1.06
# Of a page's characters: where more are in such fonts, it is typed, and its text is text.
_MOST = 0.7


def code_lines(lines: Sequence[LayerLine]) -> frozenset[int]:
    """Indexes of lines that are wholly in such a font, on a page that has others, too."""
    fixed = _fixed_fonts(char for line in lines for char in line.chars)
    found = [
        index
        for index, line in enumerate(lines)
        if line.upright and line.fonts and line.fonts <= fixed
    ]
    total = sum(len(line.chars) for line in lines)
    if sum(len(lines[index].chars) for index in found) > _MOST * total:
        return frozenset()
    return frozenset(found)


def spaced(line: LayerLine) -> str:
    """The text of a line of code, with as many spaces as there is room for.

    A PDF has no spaces but gaps; the layer's text has one for each of them, also for those that
    are none (listings are set on a grid that is wider than the letters).
    """
    steps = [after.cell[0] - before.cell[0] for before, after in pairwise(line.chars)]
    widest = max(char.cell[2] - char.cell[0] for char in line.chars)
    near = [step for step in steps if 0 < step < 1.5 * widest]
    pitch = median(near) if near else widest
    parts = [line.chars[0].text]
    for before, after, step in zip(line.chars, line.chars[1:], steps, strict=False):
        columns = round(step / pitch) if pitch > 0 else 1
        parts.append(" " * max(columns - len(before.text), 0) + after.text)
    return "".join(parts)


def _fixed_fonts(chars: Iterable[Char]) -> frozenset[int]:
    widths: dict[int, dict[str, float]] = defaultdict(dict)
    for char in chars:
        if char.size > 0:
            widths[char.font][char.text] = (char.cell[2] - char.cell[0]) / char.size
    return frozenset(font for font, known in widths.items() if _is_fixed(known))


def _is_fixed(widths: dict[str, float]) -> bool:
    narrow = [widths[char] for char in widths.keys() & _NARROW]
    wide = [widths[char] for char in widths.keys() & _WIDE]
    if len(narrow) < _LEAST_NARROW or len(wide) < _LEAST_WIDE:
        return False
    return max(wide) <= _SAME * min(narrow) and max(narrow) <= _SAME * min(wide)
