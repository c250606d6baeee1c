"""What of a text layer can be seen: the page drawn with and without its text, compared.

This finds text of the colour of its ground, text below pictures, clipped text and whatever else
hides it, by what is on the page in the end and not by a list of tricks. Text that paints nothing
(mode 3: somebody's OCR below a scan) is left out by what it says itself, since the letters that
another text paints in the same place are not its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from serve_app.documents.text_layer.values import (
    Char,
    Pixels,
    banded,
    is_finite,
    strongest,
)

# Of 255: what text and ground must differ by at least in one place of a glyph.
CONTRAST = 16


def by_visibility(
    chars: Sequence[Char], page: Pixels, bare: Pixels
) -> tuple[list[Char], list[Char]]:
    """Those that can be seen on ``page``, given it without its text; and the others.

    Spaces are among both: they have no ink, and lines need them.
    """
    seen: list[Char] = []
    hidden: list[Char] = []
    for char, changes in zip(chars, _changes(chars, page, bare), strict=True):
        if char.text.isspace():
            seen.append(char)
            hidden.append(char)
        elif changes and char.drawn:
            seen.append(char)
        else:
            hidden.append(char)
            if char.breaks and seen:  # a line ends, whoever was its last character
                seen[-1] = seen[-1]._replace(breaks=char.breaks)
    return seen, hidden


def _changes(chars: Sequence[Char], page: Pixels, bare: Pixels) -> npt.NDArray[np.bool_]:
    """Of each character, whether anything in its box (and a pixel around it) changes."""
    height, width = page.shape[:2]
    change: Pixels = np.empty((height, width), dtype=np.uint8)
    for rows, _ in banded(height):
        step = strongest(cv2.absdiff(page[rows], bare[rows]))
        change[rows] = cv2.threshold(step, CONTRAST - 1, 1, cv2.THRESH_BINARY)[1]
    sums: Any = cv2.integral(change)
    boxes = np.array([c.ink if _has_ink(c) else c.cell for c in chars], dtype=float)
    boxes = np.nan_to_num(boxes, nan=-1.0, posinf=-1.0, neginf=-1.0).clip(-1e6, 1e6)
    left, top = (np.floor(boxes[:, i]).astype(int) - 1 for i in (0, 1))
    right, bottom = (np.ceil(boxes[:, i]).astype(int) + 1 for i in (2, 3))
    left, right = (np.clip(x, 0, width) for x in (left, right))
    top, bottom = (np.clip(y, 0, height) for y in (top, bottom))
    count = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return np.asarray(count > 0, dtype=bool)


def _has_ink(char: Char) -> bool:
    return is_finite(char.ink) and char.ink[2] > char.ink[0] and char.ink[3] > char.ink[1]
