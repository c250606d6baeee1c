"""How full a memory domain is, as a level with hysteresis, and what each level asks for. Pure.

    emergency   everything idle is unloaded at once
    critical    idle engines are evicted; new work goes to another pool or is refused
    warning     nothing is loaded ahead of need, batch work waits, engines are trimmed
    normal

A level is entered at its threshold (used / total, by anybody) and left below
threshold - hysteresis; a domain that jumps over levels crosses once. Not covered here: which engine
goes first (eviction), and whether one page is let in (admission).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from serve_app.messages import LEVELS, DomainReading, Level
from serve_app.settings import PressureSettings

# What a level has done to engines; which pages are let in is decided in ``admission``.
PressureAction = Literal[
    "trim",  # ask free engines for unused heap pages
    "evict_idle",  # unload idle engines of the domain, until the level is left
    "unload_idle",  # unload every idle engine of the domain at once
]

_WARNING: frozenset[PressureAction] = frozenset({"trim"})
_CRITICAL: frozenset[PressureAction] = _WARNING | {"evict_idle"}
_EMERGENCY: frozenset[PressureAction] = _CRITICAL | {"unload_idle"}

ACTIONS: Mapping[Level, frozenset[PressureAction]] = MappingProxyType(
    {
        "normal": frozenset(),
        "warning": _WARNING,
        "critical": _CRITICAL,
        "emergency": _EMERGENCY,
    }
)


@dataclass(frozen=True, slots=True)
class Crossing:
    """A domain's level changed: worth one log line and one count."""

    before: Level
    after: Level
    reading: DomainReading

    @property
    def domain(self) -> str:
        """The domain that crossed."""
        return self.reading.domain

    @property
    def used_fraction(self) -> float:
        """Used / total at the crossing."""
        return self.reading.used_fraction

    @property
    def rising(self) -> bool:
        """Whether the pressure grew."""
        return LEVELS.index(self.after) > LEVELS.index(self.before)


class PressureGauge:
    """The level of every domain that was read. A domain never read is normal."""

    def __init__(self, settings: PressureSettings) -> None:
        self._thresholds = (settings.warning, settings.critical, settings.emergency)
        self._hysteresis = settings.hysteresis
        self._levels: dict[str, Level] = {}

    def update(self, reading: DomainReading) -> Crossing | None:
        """Take a reading; a crossing if it changes the domain's level."""
        before = self.level(reading.domain)
        after = self._next(before, reading.used_fraction)
        self._levels[reading.domain] = after
        return Crossing(before, after, reading) if after != before else None

    def level(self, domain: str) -> Level:
        """The level after the last reading."""
        return self._levels.get(domain, "normal")

    @property
    def levels(self) -> dict[str, Level]:
        """Of every domain that was read and not forgotten, normal ones included; a copy."""
        return dict(self._levels)

    def forget(self, domain: str) -> None:
        """The domain is gone; should it come back, it starts as normal."""
        self._levels.pop(domain, None)

    def _next(self, before: Level, fraction: float) -> Level:
        entered = self._rank(fraction, slack=0.0)
        kept = min(LEVELS.index(before), self._rank(fraction, slack=self._hysteresis))
        return LEVELS[max(entered, kept)]

    def _rank(self, fraction: float, slack: float) -> int:
        """Thresholds reached, of those that rise in order: the index in LEVELS."""
        return sum(fraction >= threshold - slack for threshold in self._thresholds)
