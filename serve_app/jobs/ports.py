"""The two stores behind the jobs, as protocols. ``tests/unit/job_store_contract.py`` has the tests
that every implementation passes.

Records and files are apart, because clusters keep them in different places. Several processes use
the same stores at once; what two of them must not do at the same time is one method here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from serve_app.document import FileBytes
from serve_app.jobs.records import JobSpec, StoredPage, Totals
from serve_app.policy.job import Change, Job, JobRules, Lease
from serve_app.policy.job_queue import QueueBounds, QueueView


class JobStore(Protocol):
    """Records. Every method is atomic, also against other processes, and durable when it returns.

    Raises (all of them): JobsUnavailable: the store cannot be used.
    """

    async def add(self, job: Job, spec: JobSpec, bounds: QueueBounds) -> Job:
        """Queue the job; or the one that its owner has submitted with the same idempotency key.

        Raises:
            OcrServeError: see ``job_queue.refusal``.
        """
        ...

    async def get(self, job_id: str) -> Job | None:
        """The job, if there is one."""
        ...

    async def spec(self, job_id: str) -> JobSpec | None:
        """What was asked for."""
        ...

    async def submitted(self, owner: str, idempotency_key: str) -> Job | None:
        """The job that the owner has submitted with this key."""
        ...

    async def listed(
        self, owner: str | None, *, batch: str | None = None, before: str | None = None, limit: int
    ) -> Sequence[Job]:
        """Jobs of the owner (None: of all), newest first; of a batch; older than the job
        ``before``."""
        ...

    async def update(self, job_id: str, change: Change) -> Job:
        """Replace the record by ``change`` of it. ``change`` may be called more than once; what it
        raises is raised here, and nothing has changed.

        Raises:
            JobNotFound: there is no such job.
        """
        ...

    async def claim(
        self, lease: Lease, now: float, models: Collection[str], rules: JobRules
    ) -> Job | None:
        """Let the lease's holder drive the job whose turn it is, of those for these models.

        The job may come back as failed: see ``job.claimed``. None: nobody waits.
        """
        ...

    async def store_page(self, job_id: str, token: str, page: StoredPage, now: float) -> Job:
        """Note that the page has ended, and that its owner has had one more.

        Raises:
            LeaseLost: the lease is not this one; nothing is noted. JobNotFound.
        """
        ...

    async def pages(self, job_id: str, after: int = 0) -> Sequence[StoredPage]:
        """Those whose number is above ``after``, by their number."""
        ...

    async def page(self, job_id: str, index: int) -> StoredPage | None:
        """One of them, by its place in the file."""
        ...

    async def queue(self, now: float, models: Collection[str]) -> QueueView:
        """Who waits for a driver."""
        ...

    async def place(self, job: Job) -> int | None:
        """The place of a queued job in the queue, from 1; None if it is not queued any more."""
        ...

    async def due(self, now: float, limit: int) -> Sequence[Job]:
        """Those past their deadline that have not ended, and ended ones past their retention."""
        ...

    async def callbacks_due(self, now: float, limit: int) -> Sequence[Job]:
        """Those whose callback is to be told by now, the longest due first."""
        ...

    async def totals(self) -> Totals:
        """Of all owners."""
        ...

    async def remove(self, job_id: str) -> None:
        """Forget the job and its pages, if there is one."""
        ...

    async def secret(self) -> bytes:
        """32 random bytes, the same for all who use the store: URLs are signed with them."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class FileStore(Protocol):
    """Files of jobs, by job and name. Whole or not there; durable when ``put`` returns.

    Raises (all of them): JobsUnavailable: the store cannot be used. StorageFull.
    """

    async def put(self, job_id: str, name: str, parts: Iterable[FileBytes]) -> int:
        """Write a file, in place of one of that name; its bytes."""
        ...

    async def get(self, job_id: str, name: str) -> bytes | None:
        """A file, if it is there."""
        ...

    async def delete(self, job_id: str, name: str | None = None) -> None:
        """One file, or all of the job's; those that are there."""
        ...

    async def older_than(self, age_s: float) -> Sequence[str]:
        """The jobs none of whose files is newer than this: some may have no record."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...
