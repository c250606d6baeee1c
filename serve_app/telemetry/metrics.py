"""Every metric by name, with unit and meaning, on Ray's Prometheus endpoint (prefix ``ray_``).

Label values are names of the configuration or of a fixed list, never ids.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class LazyMetric:
    """A Ray metric that is made when first used: importing this module starts nothing."""

    def __init__(self, kind: str, name: str, description: str, tags: tuple[str, ...], **more: Any):
        self._make = (kind, name, description, tags, more)
        self._metric: Any = None

    @property
    def name(self) -> str:
        """Without Ray's prefix."""
        return self._make[1]

    def inc(self, value: float = 1.0, tags: dict[str, str] | None = None) -> None:
        """Add to a counter."""
        self._real().inc(value, tags=tags)

    def set(self, value: float, tags: dict[str, str] | None = None) -> None:
        """Set a gauge."""
        self._real().set(value, tags=tags)

    def observe(self, value: float, tags: dict[str, str] | None = None) -> None:
        """Add to a histogram."""
        self._real().observe(value, tags=tags)

    def _real(self) -> Any:
        if self._metric is None:
            from ray.util import metrics as ray_metrics

            kind, name, description, tags, more = self._make
            self._metric = getattr(ray_metrics, kind)(
                name, description=description, tag_keys=tags, **more
            )
        return self._metric


_SECONDS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300]

level_crossings = LazyMetric(
    "Counter",
    "ocr_memory_level_crossings_total",
    "Crossings of a memory level, by kind of domain (gpu, ram) and the level entered.",
    ("kind", "level"),
)
pages = LazyMetric(
    "Counter",
    "ocr_pages_total",
    "Pages that ended, by model, pool and outcome (success, failed, cancelled, rejected).",
    ("model", "pool", "outcome"),
)
page_queue_seconds = LazyMetric(
    "Histogram",
    "ocr_page_queue_seconds",
    "Seconds that a page waited for its turn, its memory and its engine.",
    ("model", "pool"),
    boundaries=_SECONDS,
)
page_run_seconds = LazyMetric(
    "Histogram",
    "ocr_page_run_seconds",
    "Seconds that a page ran in its engine.",
    ("model", "pool"),
    boundaries=_SECONDS,
)
queue_length = LazyMetric(
    "Gauge", "ocr_queue_pages", "Pages that wait in this replica.", ("model", "pool")
)
estimate_ratio = LazyMetric(
    "Histogram",
    "ocr_peak_to_estimate_ratio",
    "Measured peak memory of a page's engine / its estimate.",
    ("model", "pool"),
    boundaries=[0.25, 0.5, 0.67, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0],
)
under_estimates = LazyMetric(
    "Counter",
    "ocr_under_estimates_total",
    "Pages that measured above their estimate.",
    ("model", "pool"),
)
recycles = LazyMetric(
    "Counter",
    "ocr_engine_recycles_total",
    "Engines replaced, by reason (drift, max_pages, over_budget, unreliable).",
    ("model", "pool", "reason"),
)
open_entries = LazyMetric(
    "Gauge",
    "ocr_ledger_open_entries",
    "What tasks hold now, by deployment and kind (policy/ledger.py: Kind).",
    ("deployment", "kind"),
)


def ledger_gauge(deployment: str) -> Callable[[str, int], None]:
    """Shows the counts of a process's ledger; each process has a series of its own."""

    def show(kind: str, count: int) -> None:
        open_entries.set(count, tags={"deployment": deployment, "kind": kind})

    return show
