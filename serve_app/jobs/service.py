"""Jobs as the HTTP edge sees them: submit, look, wait, cancel, and their stored pages.

Under every protocol is this one. ``driver.py`` drives them, ``sweeper.py`` forgets them.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from serve_app.changes import until_set
from serve_app.clock import epoch, now
from serve_app.document import FileBytes, PageResult
from serve_app.errors import (
    IdempotencyConflict,
    JobNotDone,
    JobNotFound,
    OcrServeError,
    PageNotFound,
    QueueFull,
)
from serve_app.jobs.caller import Caller
from serve_app.jobs.driver import INPUT, Driver, page_name
from serve_app.jobs.job_changes import LOOK_AGAIN_S, JobChanges
from serve_app.jobs.ports import FileStore, JobStore
from serve_app.jobs.records import JobSpec, StoredPage, Totals
from serve_app.jobs.sweeper import Sweeper
from serve_app.jobs.uploads import KIND as UPLOAD
from serve_app.jobs.uploads import StoredUploads
from serve_app.jobs.webhooks import Webhooks
from serve_app.messages import Priority
from serve_app.page_codec import decode_result
from serve_app.policy.job import Job, JobRules, cancelled
from serve_app.policy.job_queue import QueueBounds
from serve_app.ports import DocumentService
from serve_app.settings import AppSettings, JobSettings
from serve_app.task_ledger import TaskLedger

log = logging.getLogger("ocr_serve.jobs")


@dataclass(frozen=True, slots=True)
class Order:
    """A submission: a file that was read and is valid, and what to do with it.

    Attributes:
        deadline_s: seconds from now; None: the configured one.
        asked_model, batch, idempotency_key, callback_url: see ``policy.job.Job``.
    """

    owner: str
    data: FileBytes
    spec: JobSpec
    model: str
    priority: Priority
    deadline_s: float | None = None
    kind: Literal["v1", "paddle", "docling", "upload"] = "v1"
    asked_model: str = ""
    batch: str | None = None
    idempotency_key: str | None = None
    callback_url: str = ""


@dataclass(slots=True)
class Waiters:
    """Requests that wait for a job: a bound on their number."""

    most: int
    count: int = field(default=0)

    @property
    def full(self) -> bool:
        """Whether there is no place for one more."""
        return self.count >= self.most

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """One of them, for the length of the block.

        Raises:
            QueueFull: there are as many as may be.
        """
        if self.full:
            raise QueueFull(f"{self.count} requests wait for jobs (jobs.max_waiting)")
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1


class Jobs:
    """The jobs of this server, shared with all gateways that use the same stores.

    Args:
        service: predicts pages.
        store, files: where they are kept.
        ledger: of what pages under way and answers hold.
        ended: called with every job that ended in this process.
        webhooks: tells callbacks; None: nobody is told.
        counted: called now and then with what is stored.
    """

    def __init__(
        self,
        service: DocumentService,
        store: JobStore,
        files: FileStore,
        settings: AppSettings,
        ledger: TaskLedger | None = None,
        ended: Callable[[Job], None] = lambda job: None,
        webhooks: Webhooks | None = None,
        counted: Callable[[Totals], None] = lambda totals: None,
    ) -> None:
        self.webhooks = webhooks
        self.settings, self.ledger = settings.jobs, ledger or TaskLedger()
        self.changes, self.waiters = JobChanges(), Waiters(settings.jobs.max_waiting)
        self._store, self._files, self._report = store, files, ended
        own = settings.jobs
        self._rules = JobRules(own.max_failures, own.retention_s)
        self._bounds = bounds_of(own)
        self._driver = Driver(
            service, store, files, settings, self.ledger, self.changes, self._has_ended
        )
        self._sweeper = Sweeper(store, files, self._rules, self._was_swept, counted)
        self.uploads = StoredUploads(store, files, self._bounds, own)
        self._secret: bytes | None = None
        self.stopping = False

    def start(self) -> None:
        """Begin to drive and to sweep; on the event loop."""
        self._driver.start()
        self._sweeper.start()
        if self.webhooks is not None:
            self.webhooks.start()

    async def finish(self, timeout_s: float) -> None:
        """Drive no further page; those under way are waited for. What is left is queued again."""
        self.stopping = True
        await self._driver.finish(timeout_s)

    async def close(self) -> None:
        """Stop, and let go of the stores."""
        await self.finish(0)
        await self._sweeper.close()
        if self.webhooks is not None:
            await self.webhooks.close()
        await self._store.close()
        await self._files.close()

    async def submit(self, order: Order) -> Job:
        """Queue a job; or find the one that was submitted with the same idempotency key.

        Raises:
            IdempotencyConflict: that one is of another file, or has other parameters.
            OcrServeError: see ``job_queue.refusal``, and the stores.
        """
        fingerprint = await asyncio.to_thread(_fingerprint, order)
        if order.idempotency_key is not None:
            known = await self._store.submitted(order.owner, order.idempotency_key)
            if known is not None:
                return _same(known, fingerprint)
        at = epoch()
        job = Job(
            id=uuid.uuid4().hex,
            owner=order.owner,
            model=order.model,
            priority=order.priority,
            pages=len(order.spec.pages),
            submitted_at=at,
            deadline_at=at + (order.deadline_s or self.settings.deadline_s),
            input_bytes=len(order.data),
            kind=order.kind,
            asked_model=order.asked_model,
            batch=order.batch,
            idempotency_key=order.idempotency_key,
            fingerprint=fingerprint,
            callback_url=order.callback_url,
        )
        return await self._queue(job, order)

    async def _queue(self, job: Job, order: Order) -> Job:
        """The file first: a job in the queue has one."""
        await self._files.put(job.id, INPUT, [order.data])
        try:
            queued = await self._store.add(job, order.spec, self._bounds)
        except OcrServeError:
            await self._files.delete(job.id)
            raise
        if queued.id != job.id:  # the same was submitted at the same moment
            await self._files.delete(job.id)
            return _same(queued, job.fingerprint)
        fields = {"job": job.id, "model": job.model, "pages": job.pages, "owner": job.owner}
        log.info("job submitted", extra=fields)
        self._driver.wake()
        return queued

    async def get(self, job_id: str, caller: Caller) -> Job:
        """The job, if the caller may know of it.

        Raises:
            JobNotFound: there is none, or it is another owner's.
        """
        job = await self._store.get(job_id)
        may_know = job is not None and (caller.all_jobs or job.owner == caller.name)
        if job is None or not may_know or job.kind == UPLOAD:
            raise JobNotFound(f"There is no job {job_id[:64]!r}")
        return job

    async def listed(
        self,
        caller: Caller,
        *,
        batch: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> Sequence[Job]:
        """The caller's jobs, newest first."""
        owner = None if caller.all_jobs else caller.name
        return await self._store.listed(owner, batch=batch, before=before, limit=limit)

    async def place(self, job: Job) -> int | None:
        """Its place in the queue, from 1; None if it does not wait."""
        return await self._store.place(job) if job.state == "queued" else None

    async def wait(self, job: Job, caller: Caller, wait_s: float) -> Job:
        """The job when it has ended, or as it is after ``wait_s``.

        Does not wait where too many do already, or when the server stops.
        """
        if job.ended or wait_s <= 0 or self.waiters.full:
            return job
        with self.waiters.place():
            until = now() + wait_s
            while not self.stopping and (left_s := until - now()) > 0:
                job = await self.next_change(job, caller, left_s)
                if job.ended:
                    break
        return job

    async def next_change(self, job: Job, caller: Caller, timeout_s: float) -> Job:
        """The job after its next change, or after a second: another gateway may drive it."""
        change = self.changes.next(job.id)
        found = await self.get(job.id, caller)
        if found != job:
            return found
        await until_set(change, min(LOOK_AGAIN_S, timeout_s))
        return await self.get(job.id, caller)

    async def cancel(self, job_id: str, caller: Caller) -> Job:
        """The job ends now: no further page of it starts, and none is stored.

        One that had ended before is forgotten, with its results.

        Raises:
            JobNotFound: see ``get``.
        """
        before = await self.get(job_id, caller)
        if before.ended:
            await self._store.remove(job_id)
            await self._files.delete(job_id)
            return before
        at = epoch()
        job = await self._store.update(job_id, partial(cancelled, now=at, rules=self._rules))
        self._driver.drop(job_id)
        self.changes.tell(job_id)
        if job.ended_at == at:
            self._has_ended(job)
        await self._files.delete(job_id, INPUT)
        return job

    async def spec(self, job: Job) -> JobSpec:
        """What was asked for."""
        spec = await self._store.spec(job.id)
        if spec is None:
            raise JobNotFound(f"There is no job {job.id!r}")
        return spec

    async def pages(self, job: Job, after: int = 0) -> Sequence[StoredPage]:
        """Pages that have ended, in the order in which they did; ``after``: a page's number."""
        return await self._store.pages(job.id, after)

    async def page(self, job: Job, index: int) -> StoredPage:
        """One of them; ``index`` from 0.

        Raises:
            PageNotFound: it was not asked for, or has not ended (yet).
        """
        found = await self._store.page(job.id, index)
        if found is None:
            raise PageNotFound(f"The job has no page {index + 1} (yet)")
        return found

    async def result(self, job: Job, index: int) -> PageResult:
        """The stored result of a page.

        Raises:
            PageNotFound: it is not there (any more).
        """
        data = await self._files.get(job.id, page_name(index))
        if data is None:
            raise PageNotFound(f"The job has no result of page {index + 1}")
        return await asyncio.to_thread(decode_result, data)

    async def file(self, job: Job) -> bytes:
        """The document itself.

        Raises:
            JobNotDone: it is not kept of a job that did not end well.
        """
        data = await self._files.get(job.id, INPUT)
        if data is None:
            await self.spec(job)  # it may be gone altogether
            raise JobNotDone(f"The job is {job.state}: its file is not there any more")
        return data

    async def secret(self) -> bytes:
        """URLs are signed with it."""
        if self._secret is None:
            self._secret = await self._store.secret()
        return self._secret

    def _was_swept(self, job: Job) -> None:
        self._driver.drop(job.id)
        self.changes.tell(job.id)
        self._has_ended(job)

    def _has_ended(self, job: Job) -> None:
        fields = {
            "job": job.id,
            "state": job.state,
            "model": job.model,
            "pages": job.pages,
            "pages_done": job.pages_done,
            "pages_failed": job.pages_failed,
            "seconds": round((job.ended_at or 0.0) - job.submitted_at, 3),
            "error": job.fault.code if job.fault else None,
        }
        log.info("job ended", extra=fields)
        if self.webhooks is not None and job.callback_url:
            self.webhooks.wake()
        self._report(job)


def bounds_of(own: JobSettings) -> QueueBounds:
    """As configured."""
    return QueueBounds(
        max_queued=own.max_queued,
        max_queued_per_owner=own.max_queued_per_owner,
        max_stored_bytes=own.max_stored_bytes,
        max_uploads_per_owner=own.max_uploads_per_owner,
        max_upload_bytes_per_owner=own.max_upload_bytes_per_owner,
    )


def _fingerprint(order: Order) -> str:
    """Of the file and of all that was asked for."""
    spec = replace(order.spec, name="")
    rest = replace(order, data=b"", spec=spec, idempotency_key=None)
    digest = hashlib.sha256(order.data)
    digest.update(repr(rest).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _same(known: Job, fingerprint: str) -> Job:
    if known.fingerprint != fingerprint:
        raise IdempotencyConflict("The idempotency key belongs to a job of another content")
    return known
