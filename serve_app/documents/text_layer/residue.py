"""Whether a page without its layer's text still shows something that may be text.

Letters of a picture and outlines of letters are many small shapes with insides; what a digital page
has beside its text are mostly rules, frames and filled areas. Where only those are left, there is
nothing to detect.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from serve_app.document import Box
from serve_app.documents.text_layer.values import Pixels, around, banded, strongest

# Of 255: a step of brightness that counts as an edge.
EDGE = 33
# Thin straight edges of at least this length are rules.
RULE_PIXELS = 40
# A shape smaller than this, with none beside it, is a bullet.
BULLET_PIXELS = 14
SPECK_PIXELS = 5
# A line of two pixels has edges of four.
THIN_PIXELS = 5
# How far inwards the edges of a frame's line reach.
FRAME_PIXELS = 5


def text_like(bare: Pixels) -> Box | None:
    """The box around all that may be text in a picture (BGR); None if nothing may."""
    shapes = _shapes(_without_rules(_edges(bare)))
    letters = [shape for shape in shapes if not _is_bullet(shape, shapes)]
    return around(letters) if letters else None


def _edges(picture: Pixels) -> Pixels:
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3))
    height, width = picture.shape[:2]
    edges: Pixels = np.empty((height, width), dtype=np.uint8)
    for rows, own in banded(height, overlap=1):
        step = strongest(cv2.morphologyEx(picture[rows], cv2.MORPH_GRADIENT, kernel)[own])
        edges[rows][own] = cv2.threshold(step, EDGE - 1, 1, cv2.THRESH_BINARY)[1]
    return edges


def _without_rules(edges: Pixels) -> Pixels:
    left: Pixels = edges.copy()
    for size in ((RULE_PIXELS, 1), (1, RULE_PIXELS)):
        kernel = cv2.getStructuringElement(cv2.MORPH_RECT, size)
        left[cv2.morphologyEx(edges, cv2.MORPH_OPEN, kernel) > 0] = 0
    return left


def _shapes(edges: Pixels) -> list[Box]:
    """Boxes of the connected parts that are neither specks nor frames."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(edges, connectivity=8)
    found: list[Box] = []
    for label in range(1, count):
        x, y, width, height, _ = (int(value) for value in stats[label])
        if max(width, height) <= SPECK_PIXELS or min(width, height) <= THIN_PIXELS:
            continue
        if _is_frame(labels[y : y + height, x : x + width] == label):
            continue
        found.append((x, y, x + width, y + height))
    return found


def _is_frame(shape: npt.NDArray[np.bool_]) -> bool:
    """Whether all of it runs along the sides of its box, into the corners: an area or a frame."""
    height, width = shape.shape
    margin = max(FRAME_PIXELS, min(height, width) // 8)
    if min(height, width) <= 2 * margin:
        return False
    if shape[margin:-margin, margin:-margin].any():
        return False
    corners = (shape[:3, :3], shape[:3, -3:], shape[-3:, :3], shape[-3:, -3:])
    return min(height, width) > 4 * BULLET_PIXELS or all(corner.any() for corner in corners)


def _is_bullet(shape: Box, shapes: list[Box]) -> bool:
    left, top, right, bottom = shape
    size = max(right - left, bottom - top)
    if size > BULLET_PIXELS:
        return False
    reach = 3 * size
    return not any(
        other is not shape
        and min(bottom, other[3]) > max(top, other[1])
        and other[0] - right <= reach
        and left - other[2] <= reach
        for other in shapes
    )
