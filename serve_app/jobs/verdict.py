"""What becomes of a job after a turn: from its pages, or from what its turn raised."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from serve_app.clock import epoch
from serve_app.errors import (
    DeadlineExceeded,
    JobsUnavailable,
    MemoryPressure,
    NoWorker,
    OcrServeError,
    PageFailed,
    QueueFull,
    ReplicaUnavailable,
    ServerStopping,
    StorageFull,
)
from serve_app.jobs.records import StoredPage
from serve_app.jobs.turn import Turn
from serve_app.policy.job import Change, Fault, JobRules, ended, handed_back, overdue, put_off

# There is no room now: waited for as long as the job's deadline allows.
NO_ROOM = (
    QueueFull,
    MemoryPressure,
    NoWorker,
    ReplicaUnavailable,
    ServerStopping,
    StorageFull,
    JobsUnavailable,
)


def after_pages(turn: Turn, pages: Sequence[StoredPage], rules: JobRules) -> Change:
    """Done with the last page; failed, if none has a result; else it goes back to the queue."""
    now = epoch()
    if len(pages) < turn.job.pages:
        if not turn.over:
            raise disclosed(PageFailed("not all pages came back"))
        return partial(handed_back, token=turn.token, now=now)
    faults = [page.fault for page in pages if page.fault is not None]
    end = partial(ended, token=turn.token, now=now, rules=rules)
    if faults and len(faults) == len(pages):
        return partial(end, state="failed", fault=faults[0])
    return partial(end, state="done")


def disclosed(error: OcrServeError) -> OcrServeError:
    """``error``, whose text is our own: clients may read it."""
    error.outside = None
    return error


def after_error(turn: Turn, error: Exception, rules: JobRules) -> Change:
    """What may pass is tried again; the rest is the job's own fault."""
    now = epoch()
    fault = Fault(OcrServeError.code, "Internal server error")
    if isinstance(error, OcrServeError):
        fault = Fault(error.code, error.client_message)
    if isinstance(error, DeadlineExceeded):
        if now >= turn.job.deadline_at:
            return partial(overdue, now=now, rules=rules)
    elif not isinstance(error, OcrServeError) or error.retry_after_s is None:
        return partial(ended, token=turn.token, state="failed", now=now, rules=rules, fault=fault)
    counts = not isinstance(error, NO_ROOM)
    return partial(put_off, token=turn.token, now=now, fault=fault, rules=rules, counts=counts)
