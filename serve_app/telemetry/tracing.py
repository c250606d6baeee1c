"""One span per stage of a request, where Serve's ``tracing_config`` is on; else nothing.

Serve makes the spans of its own calls (proxy, gateway, worker) and carries the context from one
process to the next; ours are children of those. No document text and no file names in attributes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import trace

from serve_app.messages import TaskRecord

_TRACER = trace.get_tracer("ocr_serve")

Attribute = str | int | float | bool


@contextmanager
def stage(name: str, attributes: Mapping[str, Attribute] | None = None) -> Iterator[None]:
    """A span for the length of the block."""
    with _TRACER.start_as_current_span(name, attributes=attributes):
        yield


def page_stages(record: TaskRecord, wait_s: float) -> None:
    """The spans ``queue``, ``load`` (if it was cold) and ``run`` of a page that has just ended.

    From its record, so that traces, headers and metrics say the same.

    Args:
        wait_s: seconds since the page came.
    """
    attributes = {
        "ocr.task_id": record.task_id,
        "ocr.request_id": record.request_id,
        "ocr.model": record.model,
        "ocr.pool": record.pool,
        "ocr.outcome": record.outcome,
    }
    at = time.time_ns() - _nanoseconds(wait_s)
    stages: Sequence[tuple[str, float]] = [("queue", record.queue_s)]
    if record.cold:
        stages = [*stages, ("load", record.load_s)]
    if record.run_s:
        stages = [*stages, ("run", record.run_s)]
    for name, seconds in stages:
        span = _TRACER.start_span(name, attributes=attributes, start_time=at)
        at += _nanoseconds(seconds)
        span.end(at)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
