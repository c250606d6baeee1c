"""Which idle models to unload because a memory domain is too full. Pure.

    normal, warning   none
    critical          idle ones, least recently used first, until the domain would be below
                      ``target_fraction``; not pinned ones
    emergency         everything idle at once, pinned ones too: a device that runs full takes
                      the running pages of every tenant with it

Only engines in that domain, never one that is held or waited for. What is being unloaded already
counts as given back, so that slow unloads do not drag more models with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from serve_app.messages import DomainReading, Level, ModelFacts, ReplicaReport, Unload
from serve_app.policy.idle import is_idle


@dataclass(frozen=True, slots=True)
class Held:
    """A model in a replica, and what it holds in the domain that is too full.

    Attributes:
        age_s: of the report it was read from; makes idle times comparable.
    """

    replica: str
    model: ModelFacts
    held_bytes: int
    age_s: float = 0.0

    @property
    def key(self) -> tuple[str, str]:
        """(replica, model)."""
        return self.replica, self.model.model


def pressure_unloads(
    reports: Iterable[ReplicaReport],
    levels: Mapping[str, Level],
    *,
    target_fraction: float,
    pinned: Set[str] = frozenset(),
    leaving: Set[tuple[str, str]] = frozenset(),
    ages_s: Mapping[str, float] | None = None,
) -> list[tuple[str, Unload]]:
    """What to unload, as (replica, directive), the most urgent first.

    Args:
        reports: the last one of each replica.
        levels: by domain.
        target_fraction: where a critical domain ends being critical: its threshold less the
            hysteresis.
        leaving: (replica, model) that were told to unload and have not reported it yet.
        ages_s: seconds since each replica's report.
    """
    reports, ages_s = list(reports), ages_s or {}
    chosen: dict[tuple[str, str], tuple[str, Unload]] = {}
    for domain, level in sorted(levels.items()):
        if level not in ("critical", "emergency"):
            continue
        held = [one for report in reports for one in _held_in(report, domain, ages_s)]
        gone = set(leaving) | set(chosen)
        gone.update(one.key for one in held if one.model.state == "UNLOADING")
        candidates = [one for one in held if one.key not in gone and is_idle(one.model)]
        candidates.sort(key=lambda one: -((one.model.idle_s or 0.0) + one.age_s))
        if level == "critical":
            freed = sum(one.held_bytes for one in held if one.key in gone)
            over = _over_bytes(reports, domain, target_fraction, ages_s) - freed
            candidates = _enough(candidates, over, pinned)
        for one in candidates:
            unload = Unload(one.model.model, one.model.generation, level)
            chosen[one.key] = (one.replica, unload)
    return list(chosen.values())


def _enough(candidates: list[Held], over_bytes: int, pinned: Set[str]) -> list[Held]:
    taken: list[Held] = []
    for one in candidates:
        if over_bytes <= 0:
            break
        if one.model.model not in pinned and one.held_bytes > 0:
            taken.append(one)
            over_bytes -= one.held_bytes
    return taken


def _over_bytes(
    reports: list[ReplicaReport], domain: str, target_fraction: float, ages_s: Mapping[str, float]
) -> int:
    """How far the domain is above the target, by its newest reading."""
    readings = [
        (ages_s.get(report.replica, 0.0), place, reading)
        for place, report in enumerate(reports)
        for reading in report.domains
        if reading.domain == domain
    ]
    if not readings:
        return 0
    reading = min(readings)[2]
    return reading.used_bytes - int(target_fraction * reading.total_bytes)


def _held_in(report: ReplicaReport, domain: str, ages_s: Mapping[str, float]) -> list[Held]:
    """The replica's models with their part of what the replica holds in this domain."""
    reading = next((one for one in report.domains if one.domain == domain), None)
    if reading is None:
        return []
    age_s = ages_s.get(report.replica, 0.0)
    return [
        Held(report.replica, model, _share(report, reading, model), age_s)
        for model in report.models
    ]


def _share(report: ReplicaReport, reading: DomainReading, model: ModelFacts) -> int:
    """Bytes of a model in a domain.

    Engines report the memory of their own device. In another domain (the node's RAM under a GPU
    pool) the replica's part is known as a whole only: shared out by the same proportions.
    """
    if (reading.kind == "gpu") == (report.device == "gpu"):
        return model.memory_bytes
    total = sum(one.memory_bytes for one in report.models)
    return reading.ours_bytes * model.memory_bytes // total if total else 0
