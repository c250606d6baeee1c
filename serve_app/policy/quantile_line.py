"""A non-decreasing line through the upper part of a cloud of points. Pure numbers.

    y = intercept + slope * min(x, cap),   slope >= 0

Quantile regression (Koenker & Bassett, 1978): the line that minimises the pinball loss has about
``quantile`` of the points at or below it, and a single wild point hardly moves it. The loss is
measured relative to y, so that small pages count as much as large ones. Slope and cap are taken
from a grid and the best intercept of each pair is a quantile of the residuals, which needs no
solver: 24 slopes x 7 caps x 200 points take about 0.2 ms.

``cap`` is there because pipelines scale large pages down: beyond some size memory stops growing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Pixels. 0.25 to 8 megapixels by doubling, and "never".
_CAPS = np.array([2.5e5, 5e5, 1e6, 2e6, 4e6, 8e6, np.inf])
# Around the slope from the lowest to the highest point: 8 times steeper down to 1/500 of it.
_SLOPE_FACTORS = np.concatenate([[0.0], 8 * 0.7 ** np.arange(24)])
# Decides between equally good lines for the flatter one, whatever the rounding.
_TIE = 1e-9


@dataclass(frozen=True, slots=True)
class QuantileLine:
    """See the module's docstring. ``floor``: the line is cut off below it."""

    intercept: float
    slope: float
    cap: float
    floor: float = 0.0

    def at(self, x: float) -> float:
        """Value at x; non-decreasing in x."""
        return max(self.intercept + self.slope * min(x, self.cap), self.floor)


@dataclass(frozen=True, slots=True)
class Point:
    """y = offset + line(x): ``offset`` is the part of y that is known. y > 0."""

    x: float
    y: float
    offset: float = 0.0


def fit(points: Sequence[Point], quantile: float) -> QuantileLine:
    """The line through at least one point. Never below the lowest y - offset."""
    x = np.array([point.x for point in points])
    y = np.array([point.y for point in points])
    rest = y - np.array([point.offset for point in points])
    width = float(np.ptp(x))
    slopes = _SLOPE_FACTORS * (float(np.ptp(rest)) / width) if width else np.zeros(1)
    rises = slopes[:, None, None] * np.minimum(x[None, :], _CAPS[:, None])
    residuals = rest - rises
    rank = int(quantile * (len(points) - 1))
    intercepts = np.partition(residuals, rank, axis=2)[:, :, rank]
    misses = (residuals - intercepts[:, :, None]) / y
    loss = np.maximum(quantile * misses, (quantile - 1) * misses).sum(axis=2)
    loss += _TIE * slopes[:, None] / max(float(slopes.max()), 1e-300)
    best, cap = np.unravel_index(int(loss.argmin()), loss.shape)
    return QuantileLine(
        float(intercepts[best, cap]), float(slopes[best]), float(_CAPS[cap]), float(rest.min())
    )
