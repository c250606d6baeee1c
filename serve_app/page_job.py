"""A page to predict, and what it has cost so far: what travels along a page's way."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from serve_app.document import FileKind, PredictOptions
from serve_app.messages import DeviceKind, Outcome, PageLoad, Priority, TaskRecord
from serve_app.policy.admission import FallbackFacts


@dataclass(frozen=True, slots=True)
class PageJob:
    """One page to predict.

    Attributes:
        model: declared name.
        kind, index: format of the file and the page's place in it.
        options: of the request.
        pixels: of the page, from the file's headers.
        request_id: for the record and the log; the client may have chosen it.
        fallback: another pool that may take the page, if it may.
        fell_back: whether this pool is that other one.
        owner: the request's unique id: its pages take turns with those of others.
        waited_s: since the gateway had it, for a worker and in the pool that was asked before.
        load: what it asks of an engine's memory; by default computed on as many pixels.
    """

    model: str
    kind: FileKind
    index: int
    options: PredictOptions
    pixels: int = 0
    request_id: str = ""
    priority: Priority = "interactive"
    fallback: FallbackFacts | None = None
    fell_back: bool = False
    owner: str = ""
    waited_s: float = 0.0
    load: PageLoad | None = None

    @property
    def needs(self) -> PageLoad:
        """What admission estimates, and what the estimate is learned on."""
        return self.load or PageLoad(self.pixels)


@dataclass(slots=True)
class PageCost:
    """What is known of a page's cost so far.

    Attributes:
        arrived_at: when, on the replica's clock.
        task: unique id of this page in this worker; of its record, too.
        started: whether an engine has it.
    """

    arrived_at: float
    task: str = field(default_factory=lambda: uuid.uuid4().hex)
    estimate_bytes: int = 0
    peak_bytes: int = 0
    queue_s: float = 0.0
    load_s: float = 0.0
    run_s: float = 0.0
    cold: bool = False
    engine_pid: int = 0
    attempt: int = 1
    started: bool = False

    def got(self, engine_pid: int, attempt: int, load_s: float | None) -> None:
        """An engine has the page; it was loaded for it in ``load_s``, if it was."""
        self.started = True
        self.engine_pid, self.attempt = engine_pid, attempt
        self.cold, self.load_s = load_s is not None, load_s or 0.0

    def record(
        self, job: PageJob, pool: str, device: DeviceKind, outcome: Outcome, code: str | None
    ) -> TaskRecord:
        """The page's record, now that it has ended."""
        return TaskRecord(
            task_id=self.task,
            request_id=job.request_id,
            model=job.model,
            pool=pool,
            device=device,
            page=job.index + 1,
            pixels=job.pixels,
            estimate_bytes=self.estimate_bytes,
            peak_bytes=self.peak_bytes,
            queue_s=round(self.queue_s, 4),
            load_s=round(self.load_s, 4),
            run_s=round(self.run_s, 4),
            outcome=outcome,
            fallback=job.fell_back,
            cold=self.cold,
            engine_pid=self.engine_pid,
            attempt=self.attempt,
            error=code,
        )
