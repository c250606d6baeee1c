"""Arithmetic of boxes: left, top, right, bottom."""

from __future__ import annotations

import math
from collections.abc import Iterable

from serve_app.document import Box

# Larger than any page; keeps sums of absurd coordinates finite.
_FAR = 1e7


def sound(box: Iterable[float]) -> Box:
    """The box with finite numbers, and its corners in order."""
    left, top, right, bottom = (_finite(number) for number in box)
    return min(left, right), min(top, bottom), max(left, right), max(top, bottom)


def _finite(number: float) -> float:
    number = float(number)
    return 0.0 if math.isnan(number) else max(-_FAR, min(_FAR, number))


def union(boxes: Iterable[Box]) -> Box:
    """The smallest box around ``boxes``; all zeros for none."""
    all_ = list(boxes)
    if not all_:
        return 0.0, 0.0, 0.0, 0.0
    return (
        min(box[0] for box in all_),
        min(box[1] for box in all_),
        max(box[2] for box in all_),
        max(box[3] for box in all_),
    )


def area(box: Box) -> float:
    """Width times height."""
    return (box[2] - box[0]) * (box[3] - box[1])


def shared(low_a: float, high_a: float, low_b: float, high_b: float) -> float:
    """Length that two intervals have in common; 0 if they are apart."""
    return max(0.0, min(high_a, high_b) - max(low_a, low_b))


def covered(inner: Box, outer: Box) -> float:
    """Which fraction of ``inner`` lies in ``outer``; a box without area counts by its centre."""
    size = area(inner)
    if size <= 0:
        x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
        return float(outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3])
    wide = shared(inner[0], inner[2], outer[0], outer[2])
    return wide * shared(inner[1], inner[3], outer[1], outer[3]) / size
