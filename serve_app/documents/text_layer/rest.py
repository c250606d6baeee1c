"""The picture of what the layer does not say, for the detector: cut out, and put together again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from serve_app.document import Box
from serve_app.documents.text_layer.residue import text_like
from serve_app.documents.text_layer.values import Pixels, Rest

MARGIN_PIXELS = 16
# PaddleX's detector enlarges what is smaller (text_det_limit_side_len, text_det_limit_type: min).
MIN_SIDE_PIXELS = 736
_BOX_MARGIN = 2


def rest_of(bare: Pixels) -> Rest | None:
    """The part of a page without its layer's text that may have text; None if no part may.

    At least ``MIN_SIDE_PIXELS`` wide and high where the page is, so that letters in it have the
    size that they have on the page.
    """
    box = text_like(bare)
    if box is None:
        return None
    height, width = bare.shape[:2]
    left, right = _grown(box[0], box[2], width)
    top, bottom = _grown(box[1], box[3], height)
    return Rest(left, top, np.ascontiguousarray(bare[top:bottom, left:right]))


def show(bare: Pixels, pixels: Pixels, boxes: Iterable[Box]) -> None:
    """Put into ``bare`` what the page shows in ``boxes``."""
    for box in boxes:
        left, top, right, bottom = _pixels(box)
        bare[top:bottom, left:right] = pixels[top:bottom, left:right]


def rest_with(rest: Rest | None, pixels: Pixels, boxes: Sequence[Box]) -> Rest | None:
    """``rest`` and what the page shows in ``boxes``, on a plain ground."""
    if not boxes:
        return rest
    ground = np.median(cv2.resize(pixels, (64, 64), interpolation=cv2.INTER_AREA), axis=(0, 1))
    bare = np.empty_like(pixels)
    bare[:] = ground.astype(np.uint8)
    if rest is not None:
        height, width = rest.picture.shape[:2]
        bare[rest.top : rest.top + height, rest.left : rest.left + width] = rest.picture
    show(bare, pixels, boxes)
    return rest_of(bare)


def _grown(low: float, high: float, size: int) -> tuple[int, int]:
    spare = max(MIN_SIDE_PIXELS - (high - low), 2 * MARGIN_PIXELS) / 2
    start, end = int(low - spare), int(high + spare) + 1
    if start < 0:
        start, end = 0, end - start
    if end > size:
        start, end = start - (end - size), size
    return max(start, 0), end


def _pixels(box: Box) -> tuple[int, int, int, int]:
    left, top = (max(int(np.floor(edge)) - _BOX_MARGIN, 0) for edge in box[:2])
    right, bottom = (int(np.ceil(edge)) + _BOX_MARGIN for edge in box[2:])
    return left, top, right, bottom
