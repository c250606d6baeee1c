"""Drives jobs: claims them, predicts the pages that are missing, stores each as it comes.

Some jobs at once, each in a task of its own; whose turn it is, is the store's to say
(``policy/job_queue.py``). All tasks of a gateway run on its event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial

from serve_app.changes import Changes, end
from serve_app.clock import epoch
from serve_app.document import FailedPage, PageResult, RequestIds
from serve_app.errors import JobFileLost, JobNotFound, OcrServeError, PageFailed
from serve_app.jobs.heartbeat import keep_lease
from serve_app.jobs.job_changes import JobChanges
from serve_app.jobs.ports import FileStore, JobStore
from serve_app.jobs.records import JobSpec, StoredPage
from serve_app.jobs.turn import Turn
from serve_app.jobs.verdict import after_error, after_pages, disclosed
from serve_app.page_codec import encode_result
from serve_app.policy import job as jobs
from serve_app.policy.job import Change, Fault, Job, JobRules, Lease, LeaseLost
from serve_app.policy.job_queue import should_yield
from serve_app.ports import DocumentService
from serve_app.settings import AppSettings
from serve_app.task_ledger import TaskLedger

log = logging.getLogger("ocr_serve.jobs")

INPUT = "input"
# Jobs that came by another gateway, or that may be tried again.
LOOK_AGAIN_S = 1.0
STORE_RETRY_S = 5.0


def page_name(index: int) -> str:
    """The name of a page's file."""
    return f"page-{index + 1:06}"


class Driver:
    """Drives up to ``jobs.max_running`` jobs.

    Args:
        service: predicts the pages.
        store, files: of the jobs.
        ledger: of what pages under way hold.
        changes: hears of every change here.
        ended: called with every job that has ended here.
    """

    def __init__(
        self,
        service: DocumentService,
        store: JobStore,
        files: FileStore,
        settings: AppSettings,
        ledger: TaskLedger,
        changes: JobChanges,
        ended: Callable[[Job], None],
    ) -> None:
        self._service, self._store, self._files = service, store, files
        self._ledger, self._changes, self._ended = ledger, changes, ended
        self._settings, self._own = settings, settings.jobs
        self._rules = JobRules(self._own.max_failures, self._own.retention_s)
        self._models = tuple(settings.models)
        self._holder = f"{socket.gethostname()}:{os.getpid()}"
        self._turns: dict[str, Turn] = {}
        self._wake = Changes()
        self._claiming: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look for jobs."""
        if self._claiming is None:
            self._claiming = asyncio.get_running_loop().create_task(self._claim_forever())

    def wake(self) -> None:
        """There may be a job."""
        self._wake.tell()

    def drop(self, job_id: str) -> None:
        """The job has ended from outside: no further page, and nothing of it is written."""
        if turn := self._turns.get(job_id):
            turn.lose()

    async def finish(self, timeout_s: float) -> None:
        """Claim no more; pages under way are waited for, then cancelled. Jobs go back."""
        if self._claiming is not None:
            await end(self._claiming)
        for turn in self._turns.values():
            turn.over = True
        tasks = [turn.task for turn in self._turns.values() if turn.task]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)
        await end(*tasks)

    async def _claim_forever(self) -> None:
        while True:
            pause_s = LOOK_AGAIN_S
            try:
                while len(self._turns) < self._own.max_running and await self._claim():
                    pass
            except OcrServeError as error:
                log.error("jobs cannot be claimed", extra={"error": str(error)})  # noqa: TRY400
                pause_s = STORE_RETRY_S
            except Exception:
                log.exception("jobs cannot be claimed")
                pause_s = STORE_RETRY_S
            await self._wake.wait(pause_s)

    async def _claim(self) -> bool:
        now, token = epoch(), uuid.uuid4().hex
        lease = Lease(self._holder, token, now + self._own.lease_s)
        job = await self._store.claim(lease, now, self._models, self._rules)
        if job is None:
            return False
        self._changes.tell(job.id)
        if job.ended:
            await self._tell_of(job)
            return True
        if before := self._turns.get(job.id):
            before.lose()  # this gateway's own, whose lease has lapsed
        turn = Turn(job, token, lease.until)
        self._turns[job.id] = turn
        turn.task = asyncio.get_running_loop().create_task(self._drive(turn))
        return True

    async def _drive(self, turn: Turn) -> None:
        """One turn, from the claim to what becomes of the job."""
        keeping = asyncio.create_task(keep_lease(turn, self._store, self._own.lease_s))
        try:
            with self._ledger.task(turn.token):
                change = await self._attempt(turn)
            await asyncio.shield(self._settle(turn, change))
        except asyncio.CancelledError:
            if not turn.lost:
                back = partial(jobs.handed_back, token=turn.token, now=epoch())
                await asyncio.shield(self._settle(turn, back))
        finally:
            await end(keeping)
            if self._turns.get(turn.job.id) is turn:
                del self._turns[turn.job.id]
            self.wake()

    async def _attempt(self, turn: Turn) -> Change:
        """Predict what is missing; what then becomes of the job."""
        try:
            await self._predict(turn)
            return after_pages(turn, await self._store.pages(turn.job.id), self._rules)
        except (LeaseLost, JobNotFound):
            turn.lost = True
            return lambda job: job
        except Exception as error:
            if not isinstance(error, OcrServeError):
                log.exception("job broken off", extra={"job": turn.job.id})
            else:
                self._log_undisclosed(turn.job.id, error)
            return after_error(turn, error, self._rules)

    async def _predict(self, turn: Turn) -> None:
        job = turn.job
        spec = await self._store.spec(job.id)
        if spec is None:
            raise JobNotFound(job.id)
        stored = {page.index for page in await self._store.pages(job.id)}
        turn.missing = [index for index in spec.pages if index not in stored]
        if not turn.missing:
            return
        data = await self._files.get(job.id, INPUT)
        if data is None:
            raise JobFileLost("the job's file is not where it was stored")
        await self._pages(turn, spec, data)

    async def _pages(self, turn: Turn, spec: JobSpec, data: bytes) -> None:
        """Store page by page until there are no more, or the turn is over."""
        job = turn.job
        results = self._service.predict_pages(
            spec.request(job, RequestIds(job.id, turn.token), data),
            turn,
            deadline_s=max(0.001, job.deadline_at - epoch()),
        )
        count = 0
        try:
            while (page := await self._next(results)) is not None:
                count += 1
                await self._keep(turn, page)
                turn.over = turn.over or await self._makes_way(job, count)
        finally:
            if aclose := getattr(results, "aclose", None):
                await aclose()

    async def _next(
        self, results: AsyncIterator[PageResult | FailedPage]
    ) -> PageResult | FailedPage | None:
        """The next page; None after the last.

        Raises:
            PageFailed: nothing came for as long as a whole request may take.
        """
        stall_s = self._settings.gateway.request_timeout_s
        coming = asyncio.ensure_future(anext(results))
        try:
            # Not `wait_for`: see ``changes.until_set``.
            await asyncio.wait({coming}, timeout=stall_s)
            if not coming.done():
                raise disclosed(PageFailed(f"no page came for {stall_s:g} s"))
            return coming.result()
        except StopAsyncIteration:
            return None
        finally:
            if not coming.done():
                await end(coming)

    async def _keep(self, turn: Turn, page: PageResult | FailedPage) -> None:
        """Its file first: a page that is noted is there."""
        job_id = turn.job.id
        if isinstance(page, FailedPage):
            fault = Fault(page.error.code, page.error.client_message)
            self._log_undisclosed(job_id, page.error)
            stored = StoredPage(page.index, 0, fault)
        else:
            # Encoded by the thread that writes it.
            parts = partial(encode_result, page)
            size = await self._files.put(job_id, page_name(page.index), _LazyParts(parts))
            stored = StoredPage(page.index, size)
        await self._store.store_page(job_id, turn.token, stored, epoch())
        self._changes.tell(job_id)

    def _log_undisclosed(self, job_id: str, error: OcrServeError) -> None:
        """Log what the job's owner is not told."""
        if error.outside:
            fields = {"job": job_id, "code": error.code, "detail": str(error)}
            log.info("error of a job", extra=fields)

    async def _makes_way(self, job: Job, pages: int) -> bool:
        """Whether somebody waits whose turn it is rather; not while there is room for both."""
        if len(self._turns) < self._own.max_running:
            return False
        view = await self._store.queue(epoch(), self._models)
        return should_yield(job.owner, job.priority, pages, view, self._own.turn_pages)

    async def _settle(self, turn: Turn, change: Change) -> None:
        """Write down what has become of the job, unless somebody else does by now."""
        if turn.lost:
            return
        try:
            job = await self._store.update(turn.job.id, change)
        except (LeaseLost, JobNotFound):
            return
        except OcrServeError as error:
            # Its lease lapses, and it is driven on from what is stored.
            fields = {"job": turn.job.id, "error": str(error)}
            log.error("job left to its lease", extra=fields)  # noqa: TRY400
            return
        await self._tell_of(job)

    async def _tell_of(self, job: Job) -> None:
        self._changes.tell(job.id)
        if job.ended:
            self._ended(job)
            if job.input_bytes:
                return  # it is part of some forms of the result
            with contextlib.suppress(OcrServeError):  # swept with the job
                await self._files.delete(job.id, INPUT)


class _LazyParts:
    """Parts that are made when they are iterated over."""

    def __init__(self, make: Callable[[], list[bytes]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._make())
