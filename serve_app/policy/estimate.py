"""How much memory an engine will hold at the peak of a page, learned from what pages needed.

One ``PeakEstimator`` per (model, device kind). A peak is the highest resident size (GPU: device
bytes) of the whole engine process during the page, so it has two causes:

* **the page**: a fresh engine grows from its base with the size of the page;
* **the engine's past**: it never shrinks below what earlier, larger pages left behind, until it
  is recycled or unloaded.

Measured with the bundled PP-StructureV3 on a CPU: 0.46 GB loaded, 1.4 GB after a page of
4.6 megapixels, 2.5 GB after one of 12, and then every page peaks there, a postage stamp too. So
the estimate is the larger of two learned values (``resident_bytes``: the engine's size before the
page, 0 if it is not known or nothing is loaded):

    estimate = max(page curve(pixels), resident_bytes + growth curve(pixels)) * drift

* page curve: a ``QuantileLine`` through the peaks of pages that say something about pages, that
  is, from fresh engines, or far above what the engine held before;
* growth curve: one through peak - resident_bytes of the other pages;
* both are lifted to an upper confidence bound of the quantile (see ``_upper``): the plain
  empirical 95th percentile of 50 pages lies below the true one half of the time;
* drift: when the last few pages were above their estimates (a new kind of document, a caller
  that does not know ``resident_bytes`` and an engine that just grew), by the second worst of
  them, so that two pages are enough to adapt and one wild measurement is not.

Pixels are those that the pipeline computes on, and peaks are without the page's picture
(``page_load.py``, ``model_estimators.py``).

It starts from the configured hints. Up to the largest page seen they do not matter any more;
beyond it the estimate grows by the hint, since nothing else is known there. A few peaks far above
all that are comparable are ignored. Windows are ``_WINDOW`` pages, so an estimate forgets what is
no longer true.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

from serve_app.messages import EstimatorState, MeasuredPage
from serve_app.policy.quantile_line import Point, QuantileLine, fit

# Pages remembered: at one page a second a few minutes, and enough for a 95th percentile.
_WINDOW = 200
# Fitted after every page while there are few, then after every so many: it costs some 0.2 ms.
_FIT_ALWAYS, _FIT_EVERY = 50, 8
# The curve's own quantile: below the target, so that a wild point among few does not carry it;
# the rest of the way is the confidence bound.
_CURVE_QUANTILE = 0.9
# On top of everything: repeated peaks of the same page on the same engine differ by 2 to 4 %.
_HEADROOM = 1.05
_CONFIDENCE = 0.9
# An engine of up to this multiple of the smallest one seen counts as fresh, and a peak of more than
# this multiple of what the engine held before was made by the page.
_FRESH = 1.25
# A few ratios above this multiple of the next one are wild: a rare page, a wrong reading.
_WILD = 1.5
_DRIFT_PAGES = 5


class PeakEstimator:
    """See the module's docstring.

    Args:
        base_bytes: hint: a loaded engine before any page.
        bytes_per_pixel: hint: growth per pixel that is computed.
        quantile: share of pages that shall peak at or below their estimate.
    """

    def __init__(self, base_bytes: int, bytes_per_pixel: int, quantile: float = 0.95) -> None:
        self._base_bytes, self._bytes_per_pixel = base_bytes, bytes_per_pixel
        self._quantile = quantile
        self._curve_pages: deque[MeasuredPage] = deque(maxlen=_WINDOW)
        self._recent: deque[MeasuredPage] = deque(maxlen=_WINDOW)
        self._misses: deque[float] = deque(maxlen=_DRIFT_PAGES)
        self._page_curve: _Curve | None = None
        self._growth_curve: _Curve | None = None
        # Most pixels of all pages, highest peak, smallest engine.
        self._largest = self._highest = self._smallest = 0
        self.observations = 0
        self.under_estimates = 0

    def estimate(self, pixels: int, resident_bytes: int = 0) -> int:
        """Expected peak in bytes; never less for more pixels or for a larger engine."""
        return math.ceil(self._steady(pixels, resident_bytes) * self._drift)

    def observe(self, pixels: int, peak_bytes: int, resident_bytes: int = 0) -> None:
        """A page was measured. A peak of 0 means that nothing was, and is ignored.

        With 0 pixels it is a load: ``observe(0, bytes of the loaded engine)``.
        """
        if peak_bytes <= 0:
            return
        self.observations += 1
        steady = self._steady(pixels, resident_bytes)
        self.under_estimates += peak_bytes > math.ceil(steady * self._drift)
        self._misses.append(peak_bytes / steady)
        page = MeasuredPage(pixels, resident_bytes, peak_bytes)
        self._recent.append(page)
        self._remember_extremes()
        if self._says_something_about_pages(page):
            self._curve_pages.append(page)
        if self.observations <= _FIT_ALWAYS or self.observations % _FIT_EVERY == 0:
            self._fit_curves()

    def to_state(self) -> EstimatorState:
        """For the registry, or for another replica."""
        return EstimatorState(
            tuple(self._curve_pages),
            tuple(self._recent),
            self.observations,
            self.under_estimates,
        )

    @classmethod
    def from_state(
        cls,
        state: EstimatorState,
        base_bytes: int,
        bytes_per_pixel: int,
        quantile: float = 0.95,
    ) -> PeakEstimator:
        """An estimator that knows what another one learned. Hints come from the configuration."""
        estimator = cls(base_bytes, bytes_per_pixel, quantile)
        estimator._curve_pages.extend(state.curve)
        estimator._recent.extend(state.recent)
        estimator.observations = state.observations
        estimator.under_estimates = state.under_estimates
        if state.recent:
            estimator._remember_extremes()
            estimator._fit_curves()
        return estimator

    # what an estimate is made of

    def _steady(self, pixels: int, resident_bytes: int) -> float:
        """The estimate without the correction for drift."""
        if self._growth_curve is None:
            return max(self._of_page(pixels), resident_bytes * _HEADROOM)
        return max(self._of_page(pixels), self._growth_curve.at(pixels, resident_bytes))

    def _of_page(self, pixels: int) -> float:
        if self._page_curve is None:
            return float(self._base_bytes + self._bytes_per_pixel * pixels)
        beyond = self._bytes_per_pixel * max(0, pixels - self._page_curve.reach)
        # No page up to the largest one seen made any engine peak above the highest peak.
        unseen = self._bytes_per_pixel * max(0, pixels - self._largest)
        ceiling = self._highest * _HEADROOM + unseen
        return min(self._page_curve.at(pixels) + beyond, ceiling)

    @property
    def _drift(self) -> float:
        if len(self._misses) < 3:
            return 1.0
        return max(1.0, sorted(self._misses)[-2] * _HEADROOM)

    # learning

    def _remember_extremes(self) -> None:
        self._largest = max(page.pixels for page in self._recent)
        self._highest = max(page.peak_bytes for page in self._recent)
        known = [page.resident_bytes for page in (*self._recent, *self._curve_pages)]
        self._smallest = min((size for size in known if size), default=0)

    def _says_something_about_pages(self, page: MeasuredPage) -> bool:
        fresh = page.resident_bytes <= _FRESH * self._smallest
        return fresh or page.peak_bytes > _FRESH * page.resident_bytes

    def _fit_curves(self) -> None:
        # Asked again: the first engines may have been old ones, and looked fresh then.
        pages = [page for page in self._curve_pages if self._says_something_about_pages(page)]
        points = [Point(page.pixels, page.peak_bytes) for page in pages or self._curve_pages]
        self._page_curve = _Curve.through(points, self._quantile)
        grown = [
            Point(page.pixels, page.peak_bytes, page.resident_bytes)
            for page in self._recent
            # Where the engine's past explains more than the page does, or nearly.
            if page.resident_bytes * _FRESH >= self._of_page(page.pixels)
        ]
        self._growth_curve = _Curve.through(grown, self._quantile) if grown else None


def knows_much_more(theirs: int, own: int) -> bool:
    """Whether an estimator made of ``own`` observations should give way to one of ``theirs``.

    At twice as many: what this engine itself needed counts for something. Never above half a
    window, where it knows by itself.
    """
    return theirs > 0 and min(theirs, _WINDOW) >= 2 * own


@dataclass(frozen=True, slots=True)
class _Curve:
    """A line, lifted to cover the wanted share of the points. ``reach``: the largest x."""

    line: QuantileLine
    lift: float
    reach: float

    @classmethod
    def through(cls, points: Sequence[Point], quantile: float) -> _Curve:
        line = fit(points, _CURVE_QUANTILE)
        ratios = (point.y / (point.offset + line.at(point.x)) for point in points)
        lift = max(1.0, _upper(ratios, quantile))
        return cls(line, lift, max(point.x for point in points))

    def at(self, x: float, offset: float = 0.0) -> float:
        return (offset + max(0.0, self.line.at(min(x, self.reach)))) * self.lift * _HEADROOM


def _upper(ratios: Iterable[float], quantile: float) -> float:
    """Upper confidence bound of a quantile, without a few wild values (1, and 1 in 50)."""
    ordered = sorted(ratios)
    for wild in range(1 + len(ordered) // 50, 0, -1):
        if len(ordered) >= 5 * wild and ordered[-wild] > _WILD * ordered[-wild - 1]:
            del ordered[-wild:]
            break
    return ordered[_rank(len(ordered), quantile) - 1]


@lru_cache(maxsize=1024)
def _rank(count: int, quantile: float) -> int:
    """The smallest rank whose value is at or above the quantile with ``_CONFIDENCE``.

    The number of values below the true quantile is binomial; in its normal approximation, and the
    largest value where even that one is not certain enough (45 values for 0.95 and 0.9).
    """
    z = NormalDist().inv_cdf(_CONFIDENCE)
    spread = z * math.sqrt(count * quantile * (1 - quantile))
    return min(count, math.ceil(count * quantile + spread))
