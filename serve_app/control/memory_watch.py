"""MemoryWatch: what every memory domain of the cluster is like now. A part of the registry.

Replicas read their own devices and act on what they read; this is where the readings meet, so that
a crossing is one log line and one count, and the gateway has one snapshot to look at. It holds
nothing that the next reports do not bring back.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from serve_app.messages import DomainReading, Level
from serve_app.policy.memory_pressure import Crossing, PressureGauge
from serve_app.settings import PressureSettings
from serve_app.telemetry import metrics

log = logging.getLogger("ocr_serve.memory")

# A domain of which nobody reports any more is forgotten: its replicas are gone.
FORGET_AFTER_S = 10.0


class MemoryWatch:
    """See the module's docstring. Times are seconds on any clock, the same in all calls."""

    def __init__(self, settings: PressureSettings) -> None:
        self._gauge = PressureGauge(settings)
        self._heard_at: dict[str, float] = {}

    @property
    def levels(self) -> dict[str, Level]:
        """Of every domain that is reported, normal ones included; a copy."""
        return self._gauge.levels

    def heard(self, readings: Iterable[DomainReading], now: float) -> None:
        """Take one replica's readings."""
        for reading in readings:
            self._heard_at[reading.domain] = now
            if crossing := self._gauge.update(reading):
                log_crossing(crossing)
                metrics.level_crossings.inc(tags={"kind": reading.kind, "level": crossing.after})

    def tick(self, now: float) -> None:
        """Time has passed: forget the domains that nobody reports any more."""
        for domain in [d for d, at in self._heard_at.items() if now - at > FORGET_AFTER_S]:
            del self._heard_at[domain]
            self._gauge.forget(domain)


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
