"""A job: a document that is parsed page by page, however often its driver dies. Pure.

    queued ──claimed──> running ──all pages──> done
      ^  │                │  │
      │  │                │  └──a fault, or too many in a row──> failed
      │  │                └──turn over, no room, lease lapsed──┐
      └──┼─────────────────────────────────────────────────────┘
         └──── from both: cancelled by its owner, expired by its deadline

Who holds the lease drives the job. Each lease has a token of its own, and nothing is noted for
another one: a driver that was away for too long finds out with its next page. Times are seconds
since the epoch: the record outlives processes and machines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from serve_app.messages import Priority

JobState = Literal["queued", "running", "done", "failed", "cancelled", "expired"]
EndState = Literal["done", "failed", "cancelled", "expired"]

# How much the last interval between two pages counts in their mean.
NEWEST_SHARE = 0.3
# Waits between two tries: 1 s, doubled up to this.
MAX_DELAY_S = 60.0


class LeaseLost(Exception):
    """Another one drives the job, or nobody is to drive it any more. Args: message."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to drive a job.

    Attributes:
        holder: the process, for people.
        token: unique.
        until: lapses then, unless renewed.
    """

    holder: str
    token: str
    until: float


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a job, or a page of it, has no result: a stable word, and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class JobRules:
    """What ends a job.

    Attributes:
        max_failures: tries in a row that failed without a page between them.
        retention_s: an ended job is forgotten after this.
    """

    max_failures: int
    retention_s: float


@dataclass(frozen=True, slots=True)
class Job:
    """One job, as its record has it.

    Attributes:
        id: unguessable.
        owner: whose it is: the name of an API key; "" where no keys are asked for.
        priority: interactive jobs are driven before batch ones.
        pages: asked for.
        deadline_at: it expires then.
        pages_done: with a result, or failed for good.
        pages_failed: of those.
        input_bytes, result_bytes: stored.
        missing_bytes, parts: of a file that comes in parts: what of ``input_bytes`` has not come
            yet, and the names of those that have, in their order (``policy/upload_parts.py``).
        lease: of who drives it.
        not_before: it is not tried again before.
        failures, waits: tries in a row without a page: that failed; that failed or found no room.
        page_s: mean seconds between two pages, while it is driven.
        paged_at: when the last page was stored, or the turn began.
        expires_at: of an ended one: it is forgotten then.
        kind: of the API that it came by.
        asked_model: the name that the client used for the model.
        batch: the client's own name for several jobs.
        idempotency_key: the client's name for the submission; ``fingerprint`` is of its content.
        callback_url: told of the end (``policy/webhook.py``), next at ``callback_at``; None: it
            has not ended, was told, or was given up.
    """

    id: str
    owner: str
    model: str
    priority: Priority
    pages: int
    submitted_at: float
    deadline_at: float
    state: JobState = "queued"
    pages_done: int = 0
    pages_failed: int = 0
    input_bytes: int = 0
    result_bytes: int = 0
    lease: Lease | None = None
    not_before: float = 0.0
    failures: int = 0
    waits: int = 0
    started_at: float | None = None
    page_s: float | None = None
    paged_at: float | None = None
    ended_at: float | None = None
    expires_at: float | None = None
    fault: Fault | None = None
    kind: Literal["v1", "paddle", "docling", "upload"] = "v1"
    asked_model: str = ""
    batch: str | None = None
    idempotency_key: str | None = None
    fingerprint: str = ""
    callback_url: str = ""
    callback_at: float | None = None
    callback_tries: int = 0
    callback_state: Literal["waiting", "delivered", "given_up"] = "waiting"
    missing_bytes: int = 0
    parts: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing happens to it any more."""
        return self.state not in ("queued", "running")

    @property
    def stored_bytes(self) -> int:
        """In the file store."""
        return self.input_bytes + self.result_bytes

    @property
    def seconds_left(self) -> float | None:
        """Until the last page, as long as pages take now; None before one was measured."""
        if self.state != "running" or self.page_s is None:
            return None
        return self.page_s * (self.pages - self.pages_done)


Change = Callable[[Job], Job]


def claimable(job: Job, now: float) -> bool:
    """Whether it waits for a driver: queued, or its driver has not been heard of."""
    if job.deadline_at <= now:
        return False
    if job.state == "queued":
        return job.not_before <= now
    return job.state == "running" and (job.lease is None or job.lease.until <= now)


def claimed(job: Job, lease: Lease, now: float, rules: JobRules) -> Job:
    """Driven by the lease's holder; or failed, if its drivers have died too often.

    Raises:
        LeaseLost: it does not wait for a driver (any more).
    """
    if not claimable(job, now):
        raise LeaseLost(f"the job is {job.state}")
    if job.state == "running":
        died = replace(job, failures=job.failures + 1)
        if died.failures >= rules.max_failures:
            message = f"{died.failures} servers in a row ended while they had this job"
            return _end(died, "failed", now, rules, Fault("job_abandoned", message))
        job = died
    started = now if job.started_at is None else job.started_at
    return replace(job, state="running", lease=lease, started_at=started, paged_at=now)


def renewed(job: Job, token: str, until: float) -> Job:
    """The lease lasts longer.

    Raises:
        LeaseLost: it is not this one.
    """
    return replace(job, lease=replace(_held(job, token), until=until))


def page_stored(job: Job, token: str, now: float, *, size_bytes: int, failed: bool) -> Job:
    """One more page has ended.

    Raises:
        LeaseLost: the page is not noted.
    """
    _held(job, token)
    took_s = max(0.0, now - (now if job.paged_at is None else job.paged_at))
    known_s = took_s if job.page_s is None else job.page_s
    return replace(
        job,
        pages_done=job.pages_done + 1,
        pages_failed=job.pages_failed + failed,
        result_bytes=job.result_bytes + size_bytes,
        page_s=known_s + NEWEST_SHARE * (took_s - known_s),
        paged_at=now,
        failures=0,
        waits=0,
    )


def handed_back(job: Job, token: str, now: float) -> Job:
    """Queued again: its turn is over, or its driver stops.

    Raises:
        LeaseLost: it is somebody else's.
    """
    _held(job, token)
    return replace(job, state="queued", lease=None)


def put_off(
    job: Job, token: str, now: float, fault: Fault, rules: JobRules, *, counts: bool
) -> Job:
    """Queued again for a while; failed, if it was one failure too many.

    Args:
        counts: whether it is a failure; there was only no room otherwise, for as long as the
            deadline allows.

    Raises:
        LeaseLost: it is somebody else's.
    """
    _held(job, token)
    job = replace(job, failures=job.failures + counts, waits=job.waits + 1)
    if job.failures >= rules.max_failures:
        return _end(job, "failed", now, rules, fault)
    delay_s = min(MAX_DELAY_S, 2.0 ** (job.waits - 1))
    return replace(job, state="queued", lease=None, not_before=now + delay_s)


def ended(
    job: Job, token: str, state: EndState, now: float, rules: JobRules, fault: Fault | None = None
) -> Job:
    """Its driver is through with it.

    Raises:
        LeaseLost: it is somebody else's.
    """
    _held(job, token)
    return _end(job, state, now, rules, fault)


def cancelled(job: Job, now: float, rules: JobRules) -> Job:
    """Its owner does not want it any more; one that has ended stays as it is."""
    return job if job.ended else _end(job, "cancelled", now, rules, None)


def overdue(job: Job, now: float, rules: JobRules) -> Job:
    """Expired, if its deadline has passed; else as it is."""
    if job.ended or now < job.deadline_at:
        return job
    done = f"{job.pages_done} of {job.pages} pages were done"
    fault = Fault("deadline_exceeded", f"The job's deadline passed when {done}")
    return _end(job, "expired", now, rules, fault)


def _held(job: Job, token: str) -> Lease:
    if job.state != "running" or job.lease is None or job.lease.token != token:
        raise LeaseLost(f"the job is {job.state}, and not this driver's")
    return job.lease


def _end(job: Job, state: EndState, now: float, rules: JobRules, fault: Fault | None) -> Job:
    return replace(
        job,
        state=state,
        lease=None,
        fault=fault,
        ended_at=now,
        expires_at=now + rules.retention_s,
        # Nobody reads it again, but for a result that the file is a part of.
        input_bytes=job.input_bytes if state == "done" else 0,
        callback_at=now if job.callback_url else None,
    )
