"""What of a text layer can be seen: the page drawn with and without its text, compared.

This finds text of the colour of its ground, text below pictures, clipped text and whatever else
hides it, by what is on the page in the end and not by a list of tricks. Text that paints nothing
(mode 3: somebody's OCR below a scan) is left out by what it says itself, since the letters that
another text paints in the same place are not its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from serve_app.documents.text_layer.pieces import pieces
from serve_app.documents.text_layer.values import Char, LayerLine, Pixels, is_finite, strongest

# Of 255: what text and ground must differ by at least in one place of a glyph.
CONTRAST = 16
# Of a line's characters, that must be seen for the line to be there at all.
SEEN_FRACTION = 0.5
# Characters in a row, that may be hidden within a line.
HIDDEN_INSIDE = 2


class Visibility:
    """Where the page changes with its text."""

    def __init__(self, page: Pixels, bare: Pixels) -> None:
        step = strongest(cv2.absdiff(page, bare))
        change = cv2.threshold(step, CONTRAST - 1, 1, cv2.THRESH_BINARY)[1]
        self._height, self._width = change.shape
        self._sums: Any = cv2.integral(change)

    def seen(self, chars: Sequence[Char]) -> npt.NDArray[np.bool_]:
        """Of each character, whether anything in its box (and a pixel around it) changes."""
        boxes = np.array([c.ink if _has_ink(c) else c.cell for c in chars], dtype=float)
        if not len(boxes):
            return np.zeros(0, dtype=bool)
        left, top = (np.floor(boxes[:, i]).astype(int) - 1 for i in (0, 1))
        right, bottom = (np.ceil(boxes[:, i]).astype(int) + 1 for i in (2, 3))
        left, right = (np.clip(x, 0, self._width) for x in (left, right))
        top, bottom = (np.clip(y, 0, self._height) for y in (top, bottom))
        sums = self._sums
        count = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        drawn = np.array([char.drawn for char in chars], dtype=bool)
        return np.asarray((count > 0) & drawn, dtype=bool)


def visible_parts(line: LayerLine, visibility: Visibility) -> list[LayerLine]:
    """The line without what is not to be seen of it; nothing if that is most of it.

    Of a few characters in its middle nothing may be seen but where others are: they stay.
    """
    seen = visibility.seen(line.chars)
    if not seen.any() or seen.mean() < SEEN_FRACTION:
        return []
    runs = [(bool(key), len(list(run))) for key, run in groupby(seen)]
    kept: list[bool] = []
    for number, (visible, length) in enumerate(runs):
        inside = 0 < number < len(runs) - 1 and length <= HIDDEN_INSIDE
        kept += [visible or inside] * length
    return pieces(line, kept)


def _has_ink(char: Char) -> bool:
    return is_finite(char.ink) and char.ink[2] > char.ink[0] and char.ink[3] > char.ink[1]
