"""Ends jobs that are past their deadline, forgets those past their retention, and their files."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from serve_app.changes import end
from serve_app.clock import epoch
from serve_app.errors import JobNotFound, OcrServeError
from serve_app.jobs.ports import FileStore, JobStore
from serve_app.jobs.records import Totals
from serve_app.policy.job import Job, JobRules, overdue

log = logging.getLogger("ocr_serve.jobs")

SWEEP_S = 10.0
BATCH = 100
# Files without a record: a submission that was cut off. Longer than any takes.
ORPHAN_AGE_S = 3600.0
ORPHAN_SWEEPS = 60


class Sweeper:
    """One task; several gateways may sweep the same store.

    Args:
        expired: called with every job that it has ended.
        counted: called with what is stored, after each sweep.
    """

    def __init__(
        self,
        store: JobStore,
        files: FileStore,
        rules: JobRules,
        expired: Callable[[Job], None],
        counted: Callable[[Totals], None] = lambda totals: None,
    ) -> None:
        self._counted = counted
        self._store, self._files, self._rules, self._expired = store, files, rules, expired
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Sweep from now on."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._forever())

    async def close(self) -> None:
        """No more."""
        if self._task is not None:
            await end(self._task)

    async def _forever(self) -> None:
        sweeps = 0
        while True:
            try:
                while await self.sweep() == BATCH:
                    pass
                self._counted(await self._store.totals())
                if sweeps % ORPHAN_SWEEPS == 0:
                    await self.sweep_orphans()
            except OcrServeError as error:
                log.warning("jobs not swept", extra={"error": str(error)})
            except Exception:
                log.exception("jobs not swept")
            sweeps += 1
            await asyncio.sleep(SWEEP_S)

    async def sweep(self) -> int:
        """Once; how many jobs were due."""
        due = await self._store.due(epoch(), BATCH)
        for job in due:
            if job.ended:
                await self._store.remove(job.id)
                await self._files.delete(job.id)
                log.info("job forgotten", extra={"job": job.id})
            else:
                await self._expire(job)
        return len(due)

    async def _expire(self, job: Job) -> None:
        now = epoch()
        try:
            after = await self._store.update(job.id, partial(overdue, now=now, rules=self._rules))
        except JobNotFound:
            return
        if after.ended_at == now:
            self._expired(after)
            await self._files.delete(job.id, "input")

    async def sweep_orphans(self) -> None:
        """Delete files that belong to no job."""
        for job_id in await self._files.older_than(ORPHAN_AGE_S):
            if await self._store.get(job_id) is None:
                await self._files.delete(job_id)
                log.info("files of no job deleted", extra={"job": job_id})
