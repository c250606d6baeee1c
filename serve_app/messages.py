"""What replicas tell the registry, and what they hear back. Frozen, picklable, no behaviour.

Times are ages in seconds ("idle for"), never clock readings: clocks differ between machines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

DeviceKind = Literal["cpu", "gpu"]
Priority = Literal["interactive", "batch"]
Level = Literal["normal", "warning", "critical", "emergency"]
TaskKind = Literal["page", "request"]
Outcome = Literal["success", "failed", "cancelled", "rejected"]

LEVELS: tuple[Level, ...] = ("normal", "warning", "critical", "emergency")


@dataclass(frozen=True, slots=True)
class DomainReading:
    """One memory domain, read at one moment.

    Attributes:
        domain: "gpu:<uuid>" or "ram:<node id>".
        kind: which of the two.
        total_bytes: size of the domain (RAM: the cgroup's limit if there is one).
        used_bytes: used by anybody on the device.
        ours_bytes: the part of it that the reporting replica's engines hold.
    """

    domain: str
    kind: Literal["gpu", "ram"]
    total_bytes: int
    used_bytes: int
    ours_bytes: int = 0

    @property
    def used_fraction(self) -> float:
        """0.0 to 1.0."""
        return self.used_bytes / self.total_bytes if self.total_bytes else 0.0


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """One engine process.

    Attributes:
        engine: number within its model and replica.
        memory_bytes: resident bytes (GPU: device bytes) now.
        baseline_bytes: the same after its first page; 0 before.
    """

    engine: int
    pid: int
    state: str
    memory_bytes: int
    baseline_bytes: int
    pages: int


@dataclass(frozen=True, slots=True)
class EngineEnding:
    """The end of an engine process.

    Attributes:
        reason: idle, evicted, critical, emergency, operator, drift, …, or died.
        held_bytes: before; ``freed_bytes`` came back, measured. 0 of one that died by itself.
        ago_s: seconds since then.
    """

    reason: str
    held_bytes: int
    freed_bytes: int
    ago_s: float


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One model in one replica.

    Attributes:
        generation: grows with every use; a directive for an older one is stale.
        references: leases held and waited for.
        idle_s: seconds since the last use; None while in use or not loaded.
        endings: of its last engines, oldest first.
    """

    model: str
    state: str
    generation: int
    references: int
    waiting: int
    idle_s: float | None
    loads: int
    engines: tuple[EngineFacts, ...] = ()
    error: str | None = None
    endings: tuple[EngineEnding, ...] = ()

    @property
    def memory_bytes(self) -> int:
        """Of all its engines."""
        return sum(engine.memory_bytes for engine in self.engines)


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What one page (or one whole request) cost.

    Attributes:
        task_id, request_id: the task's own, and the client's for the request (``x-request-id``).
        pool, device: where it ran; of a request all pools, joined by commas, and the last page's
            device (None if no page was predicted).
        page: 1-based; None for a whole request.
        pixels: of the predicted page(s); 0 if unknown.
        estimate_bytes: what admission reserved: the engine's expected peak.
        peak_bytes: the engine's measured peak; 0 if nothing ran.
        queue_s, load_s, run_s: where the time went; ``queue_s`` in other pools, too.
        fallback: answered by another pool than the first choice.
        cold: had to load the model.
        engine_pid: of the engine that ran it; 0 if none did.
        attempt: 1, or 2 after an engine died under it.
        error: code of the error, if the outcome is not success.
    """

    task_id: str
    request_id: str
    model: str
    pool: str
    device: DeviceKind | None
    page: int | None
    pixels: int
    estimate_bytes: int
    peak_bytes: int
    queue_s: float
    load_s: float
    run_s: float
    outcome: Outcome
    fallback: bool = False
    cold: bool = False
    engine_pid: int = 0
    attempt: int = 1
    error: str | None = None

    @property
    def kind(self) -> TaskKind:
        """What it is the record of."""
        return "request" if self.page is None else "page"

    @property
    def ratio(self) -> float | None:
        """Measured / estimated; None if one of them is missing."""
        return (
            self.peak_bytes / self.estimate_bytes
            if self.peak_bytes and self.estimate_bytes
            else None
        )


@dataclass(frozen=True, slots=True)
class ReplicaReport:
    """What a replica says once a second, and sooner after a change (``heartbeat.py``).

    Attributes:
        replica: Serve's replica id.
        node: Ray's node id.
        domains: every domain that this replica's engines use.
        budget_bytes: what the replica may hold in its own device's domain.
        committed_bytes: of it, held by engines or promised to pages.
        open_entries: of the ledger: turns, reservations and leases that pages hold.
        running, queued: pages.
        drain_rate: pages that end per second; None before any did.
        finished: records of tasks that ended since the last report that was answered.
    """

    replica: str
    pool: str
    node: str
    device: DeviceKind
    pid: int
    domains: tuple[DomainReading, ...]
    models: tuple[ModelFacts, ...]
    budget_bytes: int
    committed_bytes: int
    open_entries: int = 0
    running: int = 0
    queued: int = 0
    drain_rate: float | None = None
    finished: tuple[TaskRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Unload:
    """Unload the model, if nobody used it since ``generation``.

    ``force``: whatever the generation; still never with a reference.
    """

    model: str
    generation: int
    reason: str
    order: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """Load one engine of the model if there is none."""

    model: str
    order: str


@dataclass(frozen=True, slots=True)
class Trim:
    """Ask free engines to hand unused heap pages back."""


Directive = Unload | Load | Trim


class PageLoad(NamedTuple):
    """What a page asks of an engine's memory.

    Attributes:
        pixels: that the pipeline computes on, after its own resizing; 0 is a load without a page.
        picture_bytes: of the decoded page, with the copies of it that there are at the peak.
        decode_bytes: while it is decoded, before anything is computed.
    """

    pixels: int
    picture_bytes: int = 0
    decode_bytes: int = 0


class MeasuredPage(NamedTuple):
    """One page, and the engine's peak without the page's picture.

    Attributes:
        pixels: that the pipeline computed on.
        resident_bytes: of the engine before the page; 0 if nobody knows.
    """

    pixels: int
    resident_bytes: int
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class EstimatorState:
    """What an estimator learned; picklable, about 10 KB. Bytes and pixels.

    Attributes:
        curve: pages behind the page curve.
        recent: the last pages.
    """

    curve: tuple[MeasuredPage, ...] = ()
    recent: tuple[MeasuredPage, ...] = ()
    observations: int = 0
    under_estimates: int = 0


@dataclass(frozen=True, slots=True)
class HeartbeatAnswer:
    """What the registry answers to a report.

    Attributes:
        directives: to compare with the present and then to act on.
        pinned: models that no timer and no eviction may unload.
        pins_version: of that set; replicas repeat it, for a registry that starts anew.
        known: how many observations the registry's estimates for this kind of device are made of,
            by declared model.
        learned: those that are made of many more than the replica's.
        gap_s: between two reports, but for urgent ones.
    """

    directives: tuple[Directive, ...] = ()
    pinned: frozenset[str] = frozenset()
    pins_version: int = 0
    known: Mapping[str, int] = field(default_factory=dict)
    learned: Mapping[str, EstimatorState] = field(default_factory=dict)
    gap_s: float = 0.0
