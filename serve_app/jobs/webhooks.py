"""Tells callbacks of ended jobs, a few at once, until each is told or given up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from serve_app.changes import Changes, end
from serve_app.clock import epoch
from serve_app.errors import JobNotFound, OcrServeError, UrlRefused
from serve_app.jobs.ports import JobStore
from serve_app.policy.job import Change, Job, LeaseLost
from serve_app.policy.webhook import answered, claimed, refused, signed_headers

log = logging.getLogger("ocr_serve.jobs")

# URL, body, headers, seconds; gives the answer's status.
Post = Callable[[str, bytes, Mapping[str, str], float], Awaitable[int]]
Body = Callable[[Job], bytes]

LOOK_AGAIN_S = 2.0
AT_ONCE = 4
TIMEOUT_S = 15.0
# A gateway that has died with a try under way is followed by another one after this.
LEASE_S = 60.0


class Webhooks:
    """One task; several gateways may share the store.

    Args:
        post: see ``api/url_post.py``.
        body: of a job, as JSON.
        secret: signs it.
    """

    def __init__(self, store: JobStore, post: Post, body: Body, secret: bytes) -> None:
        self._store, self._post, self._body, self._secret = store, post, body, secret
        self._wake = Changes()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Tell from now on."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._forever())

    def wake(self) -> None:
        """A job has ended."""
        self._wake.tell()

    async def close(self) -> None:
        """No more; a try under way is left to be made again."""
        if self._task is not None:
            await end(self._task)

    async def _forever(self) -> None:
        while True:
            try:
                while await self.tell_due():
                    pass
            except OcrServeError as error:
                log.warning("callbacks not told", extra={"error": str(error)})
            except Exception:
                log.exception("callbacks not told")
            await self._wake.wait(LOOK_AGAIN_S)

    async def tell_due(self) -> int:
        """Tell those that are due now, some at once; how many."""
        due = await self._store.callbacks_due(epoch(), AT_ONCE)
        await asyncio.gather(*(self._tell(job.id) for job in due))
        return len(due)

    async def _tell(self, job_id: str) -> None:
        at = epoch()
        try:
            job = await self._store.update(job_id, partial(claimed, now=at, lease_s=LEASE_S))
        except (LeaseLost, JobNotFound):
            return
        body, message_id = self._body(job), f"job_{job.id}"
        headers = {
            "content-type": "application/json",
            "user-agent": "ocr-serve",
            **signed_headers(self._secret, message_id, int(at), body),
        }
        change: Change
        try:
            status: int | None = await self._post(job.callback_url, body, headers, TIMEOUT_S)
            change = partial(answered, status=status, now=epoch())
            why = f"status {status}"
        except UrlRefused as error:
            change, why = refused, str(error)
        except Exception as error:  # of the network; its text may tell of the one inside
            change, why = partial(answered, status=None, now=epoch()), type(error).__name__
        await self._settle(job_id, change, why)

    async def _settle(self, job_id: str, change: Change, why: str) -> None:
        try:
            job = await self._store.update(job_id, change)
        except JobNotFound:  # deleted meanwhile
            return
        facts = {"job": job.id, "state": job.callback_state, "tries": job.callback_tries}
        log.info("callback", extra={**facts, "answer": why})
