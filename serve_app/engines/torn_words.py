"""Korean words that a line's end divides, without a hyphen: what the file writes there tells.

Korean has spaces between words, but its lines end anywhere in a word. Where a line's last word is
whole, most files have a space after it; on a page with such spaces a line without one is torn.
"""

from __future__ import annotations

from collections.abc import Sequence

from serve_app.documents.text_layer.values import LayerLine
from serve_app.layout.script import is_hangul

# Of the lines that end in hangul, so many end with a space where the file writes them.
_LEAST, _LEAST_PART = 3, 0.15
# Of the font's size: white space at a line's end that had been enough for a syllable.
_ROOM = 1.5


def torn_lines(lines: Sequence[LayerLine]) -> frozenset[int]:
    """Indexes of lines whose last word goes on in the next one."""
    ends = [
        index
        for index, line in enumerate(lines)
        if line.chars and line.upright and is_hangul(line.chars[-1].text[-1:])
    ]
    torn = frozenset(index for index in ends if lines[index].chars[-1].breaks == "\n")
    spaces = len(ends) - len(torn)
    torn -= {index for index in torn if _has_room(lines, index)}
    return torn if spaces >= max(_LEAST, _LEAST_PART * len(ends)) else frozenset()


def _has_room(lines: Sequence[LayerLine], index: int) -> bool:
    """Whether the next line goes on farther than this one, which ended where it was to end."""
    if index + 1 == len(lines):
        return False
    line, below = lines[index], lines[index + 1]
    return below.box[2] - line.box[2] > _ROOM * line.chars[-1].size
