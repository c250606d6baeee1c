"""A line with characters taken out of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from serve_app.documents.text_layer.values import LayerLine, around


def pieces(line: LayerLine, kept: Sequence[bool]) -> list[LayerLine]:
    """What is left of ``line``, cut where characters go.

    Args:
        line: its ``text`` without spaces is that of its ``chars``.
        kept: for each of them, whether it stays.
    """
    if all(kept):
        return [line]
    runs = groupby(range(len(kept)), key=lambda index: bool(kept[index]))
    return [_piece(line, list(run)) for keep, run in runs if keep]


def _piece(line: LayerLine, indexes: Sequence[int]) -> LayerLine:
    chars = line.chars[indexes[0] : indexes[-1] + 1]
    left, top, right, bottom = around([char.cell for char in chars])
    if line.angle % 180 == 0 and not line.vertical:
        top, bottom = line.box[1], line.box[3]
    elif line.angle % 180 == 90 or line.vertical:
        left, right = line.box[0], line.box[2]
    text = "".join(_text(line, indexes[0], indexes[-1])).strip()
    return LayerLine(text, (left, top, right, bottom), chars, line.angle, line.vertical)


def _text(line: LayerLine, first: int, last: int) -> Iterator[str]:
    """From character ``first`` to ``last``, with the spaces between them."""
    start = sum(len(char.text) for char in line.chars[:first])
    end = start + sum(len(char.text) for char in line.chars[first : last + 1])
    seen = 0
    for point in line.text:
        if start <= seen < end:
            yield point
        if not point.isspace():
            seen += 1
