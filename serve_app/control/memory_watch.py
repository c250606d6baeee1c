"""MemoryWatch: what every memory domain of the cluster is like now. One replica; off the hot path.

Replicas read their own devices and act on what they read; this is where the readings meet, so that
a crossing is one log line and one count, and the gateway has one snapshot to look at. It holds
nothing that the next reports do not bring back.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from serve_app import clock
from serve_app.changes import Changes
from serve_app.messages import DomainReading, Level, PressureSnapshot
from serve_app.policy.memory_pressure import Crossing, PressureGauge
from serve_app.settings import AppSettings
from serve_app.telemetry import metrics
from serve_app.telemetry.logs import configure_logging

log = logging.getLogger("ocr_serve.memory")

# A domain of which nobody reports any more is forgotten: its replicas are gone.
FORGET_AFTER_S = 10.0


@dataclass(slots=True)
class _Known:
    reading: DomainReading
    heard_at: float


class MemoryWatch:
    """A plain class; ``app.py`` turns it into a deployment."""

    def __init__(self, settings: AppSettings) -> None:
        configure_logging(settings.log_level)
        self._gauge = PressureGauge(settings.pressure)
        self._domains: dict[str, _Known] = {}
        self._changes = Changes()

    async def report(self, readings: tuple[DomainReading, ...]) -> None:
        """Take one replica's readings."""
        now, before = clock.now(), self._gauge.levels
        for reading in readings:
            self._domains[reading.domain] = _Known(reading, now)
            if crossing := self._gauge.update(reading):
                log_crossing(crossing)
                metrics.level_crossings.inc(tags={"kind": reading.kind, "level": crossing.after})
        for domain in [d for d, known in self._domains.items() if _is_stale(known, now)]:
            del self._domains[domain]
            self._gauge.forget(domain)
        if self._gauge.levels != before:
            self._changes.tell()

    async def levels(self, known: Mapping[str, Level], wait_s: float) -> PressureSnapshot:
        """The levels of all domains: once they differ from ``known``, at last after ``wait_s``.

        So a crossing is told at once, and silence costs a call every ``wait_s`` seconds.
        """
        if self._gauge.levels == known:
            await self._changes.wait(wait_s)
        return PressureSnapshot(self._gauge.levels)


def log_crossing(crossing: Crossing) -> None:
    """One line per crossing: a warning when the pressure rises, else information."""
    reading = crossing.reading
    fields = {
        "domain": reading.domain,
        "before": crossing.before,
        "after": crossing.after,
        "used_bytes": reading.used_bytes,
        "total_bytes": reading.total_bytes,
        "used_fraction": round(reading.used_fraction, 4),
    }
    log.log(
        logging.WARNING if crossing.rising else logging.INFO, "memory level crossed", extra=fields
    )


def _is_stale(known: _Known, now: float) -> bool:
    return now - known.heard_at > FORGET_AFTER_S
