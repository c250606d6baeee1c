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

    @property
    def kind(self) -> str:
        """Counter, Gauge or Histogram."""
        return self._make[0]

    @property
    def description(self) -> str:
        """Unit and meaning."""
        return self._make[2]

    @property
    def labels(self) -> tuple[str, ...]:
        """Ours; Ray adds those of the process (WorkerId, NodeAddress, …)."""
        return self._make[3]

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
jobs = LazyMetric(
    "Counter",
    "ocr_jobs_total",
    "Jobs that ended, by model and state (done, failed, cancelled, expired).",
    ("model", "state"),
)
stored_jobs = LazyMetric(
    "Gauge",
    "ocr_jobs",
    "Jobs that wait and that are driven, by state (queued, running); each gateway tells of all.",
    ("state",),
)
stored_job_bytes = LazyMetric(
    "Gauge",
    "ocr_jobs_stored_bytes",
    "Bytes of jobs' files and results (bound: jobs.max_stored_bytes); each gateway tells of all.",
    (),
)
page_queue_seconds = LazyMetric(
    "Histogram",
    "ocr_page_queue_seconds",
    "Seconds that a page waited for its turn and its memory, in the pools asked before, too.",
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
lines = LazyMetric(
    "Counter",
    "ocr_lines_total",
    "Lines of text in the results of pages, by source: ocr, or layer (a PDF's own text).",
    ("model", "pool", "source"),
)
keys_unreadable = LazyMetric(
    "Gauge",
    "ocr_api_keys_unreadable",
    "1 while the list of API keys cannot be read (the keys from before are used), else 0.",
    (),
)
no_worker = LazyMetric(
    "Gauge",
    "ocr_pool_no_worker",
    "1 while the pool has no worker and none can be placed on any node, else 0.",
    ("pool",),
)
queue_length = LazyMetric("Gauge", "ocr_queue_pages", "Pages that wait in this replica.", ("pool",))
running_pages = LazyMetric(
    "Gauge", "ocr_running_pages", "Pages that run in this replica.", ("pool",)
)
fallbacks = LazyMetric(
    "Counter",
    "ocr_fallback_pages_total",
    "Pages that ended in this pool and were first meant for another one.",
    ("model", "pool"),
)
requests = LazyMetric(
    "Counter",
    "ocr_requests_total",
    "Requests that were read and valid, by model, the pools of their pages (joined by commas; "
    "empty if none was predicted) and outcome (as of pages).",
    ("model", "pool", "outcome"),
)
request_seconds = LazyMetric(
    "Histogram",
    "ocr_request_seconds",
    "Seconds from a request's arrival until its answer was written, by model and outcome.",
    ("model", "outcome"),
    boundaries=_SECONDS,
)
request_errors = LazyMetric(
    "Counter",
    "ocr_request_errors_total",
    "Answers that were errors, by the code in them (memory_pressure, queue_full, rate_limited, "
    "invalid_file, and so on): rejections by reason among them.",
    ("code",),
)
load_seconds = LazyMetric(
    "Histogram",
    "ocr_model_load_seconds",
    "Seconds from the decision to load an engine until it is ready, its wait for other loads "
    "included; outcome: success or failed.",
    ("model", "pool", "outcome"),
    boundaries=_SECONDS,
)
unload_seconds = LazyMetric(
    "Histogram",
    "ocr_model_unload_seconds",
    "Seconds from the order to stop an engine until its memory was back, by reason (idle, "
    "evicted, critical, emergency, operator, drift, max_pages, over_budget, unreliable, killed).",
    ("model", "pool", "reason"),
    boundaries=_SECONDS,
)
engine_deaths = LazyMetric(
    "Counter",
    "ocr_engine_deaths_total",
    "Engines that ended without being told to.",
    ("model", "pool"),
)
model_state = LazyMetric(
    "Gauge",
    "ocr_model_state",
    "1 for the state that the model is in in this replica, 0 for the others (policy/"
    "model_lifecycle.py: ModelState).",
    ("model", "pool", "state"),
)
model_references = LazyMetric(
    "Gauge",
    "ocr_model_references",
    "Pages of this replica that use the model, or are about to.",
    ("model", "pool"),
)
engine_bytes = LazyMetric(
    "Gauge",
    "ocr_engine_memory_bytes",
    "Bytes that the model's engines in this replica hold on its device.",
    ("model", "pool"),
)
budget_bytes = LazyMetric(
    "Gauge",
    "ocr_budget_bytes",
    "Bytes that this replica's engines may hold (share: total), and those that are held or "
    "promised (reserved).",
    ("pool", "share"),
)
device_bytes = LazyMetric(
    "Gauge",
    "ocr_device_bytes",
    "Bytes of a memory domain as this replica reads it, by kind (gpu, ram) and share: total, used "
    "(by anybody), ours (by this replica's engines). Replicas on one device read the same domain.",
    ("kind", "share"),
)
device_level = LazyMetric(
    "Gauge",
    "ocr_device_level",
    "Level of a memory domain as this replica reads it: 0 normal, 1 warning, 2 critical, 3 "
    "emergency.",
    ("kind",),
)
cluster_bytes = LazyMetric(
    "Gauge",
    "ocr_cluster_bytes",
    "Bytes of all memory domains with a replica, by kind (gpu, ram) and share: total, used, ours "
    "(by our engines), others (the rest of used). From the registry, every 5 s.",
    ("kind", "share"),
)
cluster_replicas = LazyMetric(
    "Gauge",
    "ocr_cluster_replicas",
    "Replicas that report to the registry, every 5 s.",
    ("pool",),
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


def declared() -> dict[str, LazyMetric]:
    """Every metric of this file, by its name without Ray's prefix."""
    found = (value for value in globals().values() if isinstance(value, LazyMetric))
    return {metric.name: metric for metric in found}


def ledger_gauge(deployment: str) -> Callable[[str, int], None]:
    """Shows the counts of a process's ledger; each process has a series of its own."""

    def show(kind: str, count: int) -> None:
        open_entries.set(count, tags={"deployment": deployment, "kind": kind})

    return show
