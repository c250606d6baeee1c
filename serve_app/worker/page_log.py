"""What became of pages: one record each, for the log, the metrics and the registry."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter, deque
from collections.abc import Iterable

from serve_app.document import Line
from serve_app.messages import TaskRecord
from serve_app.telemetry import metrics

log = logging.getLogger("ocr_serve.pages")

# Kept while the registry is away; older ones are lost to it, not to the log and the metrics.
MAX_UNSENT = 1000


class PageLog:
    """Takes records; hands them to the registry until it has answered."""

    def __init__(self) -> None:
        self._unsent: deque[TaskRecord] = deque(maxlen=MAX_UNSENT)

    def add(self, record: TaskRecord) -> None:
        """Write the record down."""
        self._unsent.append(record)
        level = logging.INFO if record.outcome == "success" else logging.WARNING
        log.log(level, "page done", extra=dataclasses.asdict(record))
        where = {"model": record.model, "pool": record.pool}
        metrics.pages.inc(tags={**where, "outcome": record.outcome})
        if record.fallback:
            metrics.fallbacks.inc(tags=where)
        metrics.page_queue_seconds.observe(record.queue_s, tags=where)
        if record.outcome != "success":
            return
        metrics.page_run_seconds.observe(record.run_s, tags=where)
        if record.ratio is not None:
            metrics.estimate_ratio.observe(record.ratio, tags=where)
            if record.ratio > 1:
                metrics.under_estimates.inc(tags=where)

    def add_lines(self, lines: Iterable[Line], model: str, pool: str) -> None:
        """Count the lines of a page's result."""
        for source, count in Counter(line.source for line in lines).items():
            metrics.lines.inc(count, tags={"model": model, "pool": pool, "source": source})

    def unsent(self) -> tuple[TaskRecord, ...]:
        """What the registry has not heard of."""
        return tuple(self._unsent)

    def sent(self, records: tuple[TaskRecord, ...]) -> None:
        """The registry has them."""
        for record in records:
            if self._unsent and self._unsent[0] is record:
                self._unsent.popleft()
