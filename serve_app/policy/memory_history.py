"""Who held the memory over the last hour: a ring of samples per domain. Pure.

In columns, since it is sent whole to everybody who opens the page: 30 KB a domain, packed 3.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from serve_app.messages import Level
from serve_app.policy.registry_views import DomainView

WINDOW_S = 3600.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One domain at one moment (seconds since the epoch). Bytes; ``models``: of their engines."""

    at: float
    used_bytes: int
    ours_bytes: int
    level: Level
    models: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Track:
    view: DomainView
    samples: deque[Sample]


class MemoryHistory:
    """Takes samples; forgets those that are older than an hour, and domains without one.

    Args:
        interval_s: between two samples.
    """

    def __init__(self, interval_s: float) -> None:
        self.interval_s, self._length = interval_s, max(2, int(WINDOW_S / interval_s))
        self._tracks: dict[str, _Track] = {}

    def add(self, views: Iterable[DomainView], at: float) -> None:
        """As it is at this moment."""
        for view in views:
            known = self._tracks.get(view.domain)
            samples = known.samples if known else deque[Sample](maxlen=self._length)
            samples.append(_sample(view, at))
            self._tracks[view.domain] = _Track(view, samples)
        for domain, track in list(self._tracks.items()):
            if track.samples[-1].at < at - WINDOW_S:
                del self._tracks[domain]

    def since(self, after: float) -> list[dict[str, Any]]:
        """The samples after this moment, in columns; one entry per domain."""
        return [
            _columns(track.view, [one for one in track.samples if one.at > after])
            for track in self._tracks.values()
        ]


def _sample(view: DomainView, at: float) -> Sample:
    models: Counter[str] = Counter()
    for engine in view.engines:
        models[engine.model] += engine.facts.memory_bytes
    return Sample(round(at, 1), view.used_bytes, view.ours_bytes, view.level, dict(models))


def _columns(view: DomainView, samples: list[Sample]) -> dict[str, Any]:
    names = sorted({name for one in samples for name in one.models})
    return {
        "domain": view.domain,
        "kind": view.kind,
        "total_bytes": view.total_bytes,
        "at": [one.at for one in samples],
        "used_bytes": [one.used_bytes for one in samples],
        "ours_bytes": [one.ours_bytes for one in samples],
        "level": [one.level for one in samples],
        "models": {name: [one.models.get(name, 0) for one in samples] for name in names},
    }
