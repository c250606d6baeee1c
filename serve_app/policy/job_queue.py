"""Which job is driven next: interactive before batch, then the owner who was served least. Pure.

What is counted is pages, not jobs: an owner with one job of 500 pages and one with 500 of a page
get as many. A long job gives its place up between two pages (``should_yield``), and goes on later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from serve_app.errors import OcrServeError, QueueFull, StorageFull, TooManyRequests
from serve_app.messages import Priority

# A job that finds the queue or the store full may as well come back in a minute.
RETRY_S = 30.0


@dataclass(frozen=True, slots=True)
class Head:
    """The first job of an owner and a priority that waits for a driver; ``number``: its place in
    the order of submission."""

    job_id: str
    owner: str
    priority: Priority
    number: int


@dataclass(frozen=True, slots=True)
class OwnerUse:
    """What an owner has got: pages, on a scale on which all who want some stand close together
    (``entry``); and jobs that are driven now."""

    served: float = 0.0
    running: int = 0


@dataclass(frozen=True, slots=True)
class QueueView:
    """Who waits, and what the owners have had."""

    heads: Sequence[Head] = ()
    uses: Mapping[str, OwnerUse] = field(default_factory=dict)


def choose(view: QueueView) -> Head | None:
    """The job to drive next."""
    return min(view.heads, key=lambda head: _rank(head, view), default=None)


def should_yield(
    owner: str, priority: Priority, pages: int, view: QueueView, quantum_pages: int
) -> bool:
    """Whether a driven job is to make way after ``pages`` in its turn.

    For an interactive job at once, if it is batch; else for an owner who has had a quantum less.
    """
    others = [head for head in view.heads if head.owner != owner and head.priority == priority]
    if priority == "batch" and any(head.priority == "interactive" for head in view.heads):
        return True
    enough = _use(view, owner).served - quantum_pages
    return pages >= quantum_pages and any(_use(view, one.owner).served <= enough for one in others)


def entry(served: float, active: Iterable[float]) -> float:
    """Where an owner stands who had no job and now has one.

    Not behind those who have: time without a job is no credit to be spent on all the others.
    """
    return max(served, min(active, default=served))


def place(before_own: int, others: Iterable[int], before_all: int) -> int:
    """The place in the queue of a job, from 1: if owners take turns, job by job.

    Args:
        before_own: jobs of the same owner and priority before it.
        others: how many jobs each other owner has waiting in this priority.
        before_all: jobs of a higher priority.
    """
    rounds = before_own + 1
    return before_all + rounds + sum(min(count, rounds - 1) for count in others)


@dataclass(frozen=True, slots=True)
class QueueBounds:
    """How much may wait and be stored.

    Attributes:
        max_queued: jobs that have not ended, of all owners.
        max_queued_per_owner: and of one.
        max_stored_bytes: of files and results.
        max_uploads_per_owner, max_upload_bytes_per_owner: files that one owner has uploaded for
            later, and their bytes, also those that have not come yet.
    """

    max_queued: int
    max_queued_per_owner: int
    max_stored_bytes: int
    max_uploads_per_owner: int
    max_upload_bytes_per_owner: int


def refusal(
    queued: int, of_owner: int, stored_bytes: int, new_bytes: int, bounds: QueueBounds
) -> OcrServeError | None:
    """Why one more job of ``new_bytes`` cannot be taken; None if it can."""
    if of_owner >= bounds.max_queued_per_owner:
        what, most = "The number of your jobs that have not ended", bounds.max_queued_per_owner
        return TooManyRequests(what, of_owner + 1, most, "jobs.max_queued_per_owner", RETRY_S)
    if queued >= bounds.max_queued:
        return QueueFull(f"{queued} jobs have not ended (jobs.max_queued)", RETRY_S)
    if stored_bytes + new_bytes > bounds.max_stored_bytes:
        most = bounds.max_stored_bytes
        text = f"{stored_bytes} of {most} bytes are stored (jobs.max_stored_bytes)"
        return StorageFull(f"{text}, and the file has {new_bytes}", RETRY_S)
    return None


def upload_refusal(
    count: int, kept_bytes: int, new_bytes: int, bounds: QueueBounds
) -> OcrServeError | None:
    """Why an owner cannot upload one more file; None if it can.

    Args:
        count, kept_bytes: uploads that the owner has.
    """
    if count >= bounds.max_uploads_per_owner:
        what, most = "The number of your uploaded files", bounds.max_uploads_per_owner
        return TooManyRequests(what, count + 1, most, "jobs.max_uploads_per_owner", RETRY_S)
    most = bounds.max_upload_bytes_per_owner
    if kept_bytes + new_bytes > most:
        what, key = "The bytes of your uploaded files", "jobs.max_upload_bytes_per_owner"
        return TooManyRequests(what, kept_bytes + new_bytes, most, key, RETRY_S)
    return None


def _rank(head: Head, view: QueueView) -> tuple[bool, float, int, int]:
    use = _use(view, head.owner)
    return head.priority != "interactive", use.served, use.running, head.number


def _use(view: QueueView, owner: str) -> OwnerUse:
    return view.uses.get(owner, OwnerUse())
