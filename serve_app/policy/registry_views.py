"""What the registry shows: models over all replicas, and memory by domain. Pure.

Behind GET /v1/models and GET /v1/memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Literal

from serve_app.messages import (
    DeviceKind,
    DomainReading,
    EngineFacts,
    Level,
    ModelFacts,
    ReplicaReport,
)

# A model that is in several states at once is in the first of these.
_BEST_FIRST = ("READY", "LOADING", "UNLOADING", "FAILED", "UNLOADED")


@dataclass(frozen=True, slots=True)
class Heard:
    """The last report of a replica, and the registry's clock when it came (seconds)."""

    report: ReplicaReport
    at: float


@dataclass(frozen=True, slots=True)
class ModelCopy:
    """A model in one replica. ``age_s``: of the report."""

    replica: str
    pool: str
    node: str
    device: DeviceKind
    age_s: float
    facts: ModelFacts


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model over all replicas.

    Attributes:
        state: the best one of its copies.
        idle_timeout_s: None if this configuration does not declare the model.
        memory_bytes: of all its engines.
    """

    model: str
    state: str
    pinned: bool
    idle_timeout_s: float | None
    references: int
    waiting: int
    memory_bytes: int
    copies: tuple[ModelCopy, ...]


@dataclass(frozen=True, slots=True)
class EngineView:
    """An engine process, with where it runs."""

    replica: str
    model: str
    facts: EngineFacts


@dataclass(frozen=True, slots=True)
class DomainView:
    """One GPU, or one node's RAM. Bytes.

    Attributes:
        used_bytes: by anybody; ``ours_bytes`` by our engines, ``others_bytes`` by the rest.
        budget_bytes, reserved_bytes: of the replicas that run on this device.
        age_s: of the reading.
        engines: of the replicas that run on this device.
        open_entries: by replica that runs on this device: what its pages hold, per its ledger.
    """

    domain: str
    kind: Literal["gpu", "ram"]
    level: Level
    total_bytes: int
    used_bytes: int
    ours_bytes: int
    others_bytes: int
    budget_bytes: int
    reserved_bytes: int
    age_s: float
    replicas: tuple[str, ...]
    engines: tuple[EngineView, ...]
    open_entries: Mapping[str, int]


def model_views(
    heard: Iterable[Heard], idle_timeouts_s: Mapping[str, float], pinned: Set[str], now: float
) -> list[ModelView]:
    """Declared models, loaded or not, and what replicas of another version hold besides."""
    copies: dict[str, list[ModelCopy]] = {model: [] for model in idle_timeouts_s}
    for one in heard:
        report = one.report
        where = (report.replica, report.pool, report.node, report.device, now - one.at)
        for facts in report.models:
            copies.setdefault(facts.model, []).append(ModelCopy(*where, facts))
    return [
        ModelView(
            model=model,
            state=_best(copy.facts.state for copy in found),
            pinned=model in pinned,
            idle_timeout_s=idle_timeouts_s.get(model),
            references=sum(copy.facts.references for copy in found),
            waiting=sum(copy.facts.waiting for copy in found),
            memory_bytes=sum(copy.facts.memory_bytes for copy in found),
            copies=tuple(found),
        )
        for model, found in copies.items()
    ]


def domain_views(
    heard: Iterable[Heard], levels: Mapping[str, Level], now: float
) -> list[DomainView]:
    """Every domain that a replica reports. The newest reading wins; our parts are summed."""
    readings: dict[str, list[tuple[Heard, DomainReading]]] = {}
    for one in heard:
        for reading in one.report.domains:
            readings.setdefault(reading.domain, []).append((one, reading))
    level = levels.get
    return [_domain(found, level(name, "normal"), now) for name, found in readings.items()]


def device_domain(report: ReplicaReport) -> str | None:
    """The domain of the device that a replica computes on; None if it reports none."""
    kind = "gpu" if report.device == "gpu" else "ram"
    return next((reading.domain for reading in report.domains if reading.kind == kind), None)


def _domain(found: list[tuple[Heard, DomainReading]], level: Level, now: float) -> DomainView:
    newest, reading = max(found, key=lambda pair: pair[0].at)
    ours = sum(one.ours_bytes for _, one in found)
    residents = [one.report for one, _ in found if device_domain(one.report) == reading.domain]
    return DomainView(
        domain=reading.domain,
        kind=reading.kind,
        level=level,
        total_bytes=reading.total_bytes,
        used_bytes=reading.used_bytes,
        ours_bytes=ours,
        others_bytes=max(0, reading.used_bytes - ours),
        budget_bytes=sum(report.budget_bytes for report in residents),
        reserved_bytes=sum(report.committed_bytes for report in residents),
        age_s=now - newest.at,
        replicas=tuple(one.report.replica for one, _ in found),
        engines=tuple(
            EngineView(report.replica, model.model, engine)
            for report in residents
            for model in report.models
            for engine in model.engines
        ),
        open_entries={report.replica: report.open_entries for report in residents},
    )


def _best(states: Iterable[str]) -> str:
    found = set(states)
    return next((state for state in _BEST_FIRST if state in found), "UNLOADED")
