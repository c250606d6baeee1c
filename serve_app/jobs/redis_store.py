"""Records in Redis: for gateways on several machines.

Nothing is locked: who changes a job watches its record, and tries again if somebody else was
faster; those who add, and those who claim, watch a counter. So what a method decides, it decides on
what is there when it is written. What a transaction decides is ``policy/job.py`` and
``policy/job_queue.py``. How durable it is, is Redis' own setting (``appendonly``).
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeVar

import redis.asyncio as redis
from redis.exceptions import RedisError, WatchError

from serve_app.clock import now as monotonic
from serve_app.errors import JobNotFound, JobsUnavailable
from serve_app.jobs import redis_queue
from serve_app.jobs.records import (
    JobSpec,
    StoredPage,
    Totals,
    job_from_text,
    page_from_text,
    page_to_text,
    spec_from_text,
    spec_to_text,
)
from serve_app.jobs.redis_keys import Keys, idempotency_field, write
from serve_app.policy.job import Change, Job, JobRules, Lease, LeaseLost, claimed
from serve_app.policy.job_queue import (
    QueueBounds,
    QueueView,
    choose,
    entry,
    place,
    refusal,
    upload_refusal,
)

T = TypeVar("T")

TIMEOUT_S = 5.0
# Others that change the same record were faster for so long.
CONFLICT_S = 20.0
CHUNK = 200


class RedisStore:
    """``ports.JobStore``. Connects by its first use.

    Args:
        url: ``redis://`` or ``rediss://``, with a database's number.
    """

    def __init__(self, url: str, keys: Keys | None = None) -> None:
        self._redis: Any = redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )
        self._keys = keys or Keys()

    async def add(self, job: Job, spec: JobSpec, bounds: QueueBounds) -> Job:
        """See ``ports.JobStore``."""
        return await self._transaction(lambda pipe: self._add(pipe, job, spec, bounds), "adding")

    async def _add(self, pipe: Any, job: Job, spec: JobSpec, bounds: QueueBounds) -> Job:
        if job.idempotency_key is not None:
            known = await self._submitted(pipe, job.owner, job.idempotency_key)
            if known is not None:
                return known
        totals = await _numbers(pipe, self._keys("totals"))
        of_owner = int(await pipe.hget(self._keys("open"), job.owner) or 0)
        stored = int(totals.get("bytes", 0))
        refused = refusal(int(totals.get("open", 0)), of_owner, stored, job.stored_bytes, bounds)
        if job.kind == "upload":
            count, kept = [
                int(await pipe.hget(self._keys(name), job.owner) or 0)
                for name in ("uploads", "upload_bytes")
            ]
            refused = refused or upload_refusal(count, kept, job.stored_bytes, bounds)
        if refused is not None:
            raise refused
        served = None if of_owner or job.ended else await self._entry(pipe, job.owner)
        number = await self._redis.incr(self._keys("number"))
        pipe.multi()
        pipe.incr(self._keys("adding"))
        if served is not None:
            pipe.hset(self._keys("served"), job.owner, repr(served))
        record = {"spec": spec_to_text(spec), "number": number}
        pipe.hset(self._keys("job", job.id), mapping=record)
        write(pipe, self._keys, None, job, number)
        await pipe.execute()
        return job

    async def _entry(self, pipe: Any, owner: str) -> float:
        """Where an owner stands who had no job and now has one."""
        served = await _numbers(pipe, self._keys("served"))
        active = await _numbers(pipe, self._keys("open"))
        return entry(
            served.get(owner, 0.0), [served.get(one, 0.0) for one, n in active.items() if n > 0]
        )

    async def get(self, job_id: str) -> Job | None:
        """See ``ports.JobStore``."""
        text = await self._ask(self._redis.hget(self._keys("job", job_id), "job"))
        return None if text is None else job_from_text(text)

    async def spec(self, job_id: str) -> JobSpec | None:
        """See ``ports.JobStore``."""
        text = await self._ask(self._redis.hget(self._keys("job", job_id), "spec"))
        return None if text is None else spec_from_text(text)

    async def submitted(self, owner: str, idempotency_key: str) -> Job | None:
        """See ``ports.JobStore``."""
        return await self._ask(self._submitted(self._redis, owner, idempotency_key))

    async def _submitted(self, asked: Any, owner: str, key: str) -> Job | None:
        found = await asked.hget(self._keys("keys"), idempotency_field(owner, key))
        if found is None:
            return None
        text = await asked.hget(self._keys("job", found.decode()), "job")
        return None if text is None else job_from_text(text)

    async def listed(
        self, owner: str | None, *, batch: str | None = None, before: str | None = None, limit: int
    ) -> Sequence[Job]:
        """See ``ports.JobStore``."""
        return await self._ask(self._listed(owner, batch, before, limit))

    async def _listed(
        self, owner: str | None, batch: str | None, before: str | None, limit: int
    ) -> list[Job]:
        below = "+inf"
        if before is not None:
            number = await self._redis.hget(self._keys("job", before), "number")
            if number is None:
                return []
            below = f"({int(number)}"
        parts = ("all",) if owner is None else ("owner", owner)
        key = self._keys(*parts) if batch is None else self._keys("batch", batch)
        jobs: list[Job] = []
        start = 0
        while len(jobs) < limit:
            ids = await self._redis.zrange(
                key, below, "-inf", desc=True, byscore=True, offset=start, num=CHUNK
            )
            found = await redis_queue.jobs_of(self._redis, self._keys, ids)
            jobs += [job for job in found if owner is None or job.owner == owner]
            start += len(ids)
            if len(ids) < CHUNK:
                break
        return jobs[:limit]

    async def update(self, job_id: str, change: Change) -> Job:
        """See ``ports.JobStore``."""
        return await self._transaction(
            lambda pipe: self._update(pipe, job_id, change), "job", job_id
        )

    async def _update(
        self, pipe: Any, job_id: str, change: Change, more: Callable[[Job], None] = lambda job: None
    ) -> Job:
        """``more`` adds to the transaction."""
        text, number = await pipe.hmget(self._keys("job", job_id), "job", "number")
        if text is None:
            raise JobNotFound(f"There is no job {job_id[:64]!r}")
        before = job_from_text(text)
        after = change(before)
        pipe.multi()
        if after is not before:
            write(pipe, self._keys, before, after, int(number))
        more(after)
        await pipe.execute()
        return after

    async def claim(
        self, lease: Lease, now: float, models: Collection[str], rules: JobRules
    ) -> Job | None:
        """See ``ports.JobStore``."""
        return await self._transaction(
            lambda pipe: self._claim(pipe, lease, now, models, rules), "claiming"
        )

    async def _claim(
        self, pipe: Any, lease: Lease, now: float, models: Collection[str], rules: JobRules
    ) -> Job | None:
        head = choose(await redis_queue.view(self._redis, self._keys, now, models))
        if head is None:
            return None
        await pipe.watch(self._keys("job", head.job_id))
        try:
            return await self._update(
                pipe,
                head.job_id,
                lambda job: claimed(job, lease, now, rules),
                lambda job: pipe.incr(self._keys("claiming")),
            )
        except (LeaseLost, JobNotFound):  # between the look and the watch
            raise WatchError from None

    async def store_page(self, job_id: str, token: str, page: StoredPage, now: float) -> Job:
        """See ``ports.JobStore``."""
        change = page.change(token, now)

        async def work(pipe: Any) -> Job:
            def more(job: Job) -> None:
                text = page_to_text(page, job.pages_done)
                pipe.hset(self._keys("pages", job_id), str(page.index), text)
                pipe.hincrbyfloat(self._keys("served"), job.owner, 1)

            return await self._update(pipe, job_id, change, more)

        return await self._transaction(work, "job", job_id)

    async def pages(self, job_id: str, after: int = 0) -> Sequence[StoredPage]:
        """See ``ports.JobStore``."""
        found = await self._ask(self._redis.hvals(self._keys("pages", job_id)))
        pages = sorted(map(page_from_text, found), key=lambda page: page.number)
        return [page for page in pages if page.number > after]

    async def page(self, job_id: str, index: int) -> StoredPage | None:
        """See ``ports.JobStore``."""
        text = await self._ask(self._redis.hget(self._keys("pages", job_id), str(index)))
        return None if text is None else page_from_text(text)

    async def queue(self, now: float, models: Collection[str]) -> QueueView:
        """See ``ports.JobStore``."""
        return await self._ask(redis_queue.view(self._redis, self._keys, now, models))

    async def place(self, job: Job) -> int | None:
        """See ``ports.JobStore``."""
        return await self._ask(self._place(job))

    async def _place(self, job: Job) -> int | None:
        before = await self._redis.zrank(self._keys.queued(job), job.id)
        if before is None:
            return None
        waiting = await _numbers(self._redis, self._keys("waiting"))
        own = f"{job.priority}:{job.owner}"
        others = [
            int(count)
            for name, count in waiting.items()
            if name != own and name.startswith(f"{job.priority}:") and count > 0
        ]
        first = 0
        if job.priority != "interactive":
            first = sum(int(n) for name, n in waiting.items() if name.startswith("interactive:"))
        return place(before, others, first)

    async def due(self, now: float, limit: int) -> Sequence[Job]:
        """See ``ports.JobStore``."""
        jobs = await self._until("deadlines", now, limit)
        return [*jobs, *await self._until("expiries", now, limit)][:limit]

    async def callbacks_due(self, now: float, limit: int) -> Sequence[Job]:
        """See ``ports.JobStore``."""
        return await self._until("callbacks", now, limit)

    async def _until(self, name: str, now: float, limit: int) -> Sequence[Job]:
        async def look() -> list[Job]:
            ids = await self._redis.zrangebyscore(self._keys(name), "-inf", now, 0, limit)
            return await redis_queue.jobs_of(self._redis, self._keys, ids)

        return await self._ask(look())

    async def totals(self) -> Totals:
        """See ``ports.JobStore``."""
        totals = await self._ask(_numbers(self._redis, self._keys("totals")))
        running = int(sum((await self._ask(_numbers(self._redis, self._keys("running")))).values()))
        opened = int(totals.get("open", 0))
        return Totals(opened - running, running, int(totals.get("bytes", 0)))

    async def remove(self, job_id: str) -> None:
        """See ``ports.JobStore``."""

        async def work(pipe: Any) -> None:
            text, number = await pipe.hmget(self._keys("job", job_id), "job", "number")
            pipe.multi()
            if text is not None:
                write(pipe, self._keys, job_from_text(text), None, int(number))
            await pipe.execute()

        await self._transaction(work, "job", job_id)

    async def secret(self) -> bytes:
        """See ``ports.JobStore``."""
        key = self._keys("secret")
        await self._ask(self._redis.set(key, os.urandom(32), nx=True))
        return bytes(await self._ask(self._redis.get(key)))

    async def close(self) -> None:
        """See ``ports.JobStore``."""
        await self._redis.aclose()

    async def _transaction(self, work: Callable[[Any], Awaitable[T]], *watched: str) -> T:
        """Run ``work`` until nobody has changed what it has watched meanwhile."""
        until = monotonic() + CONFLICT_S
        while True:
            try:
                async with self._redis.pipeline(transaction=True) as pipe:
                    await pipe.watch(self._keys(*watched))
                    return await work(pipe)
            except WatchError:
                if monotonic() > until:
                    raise JobsUnavailable("the jobs' store: too many changes at once") from None
                await asyncio.sleep(random.random() / 100)  # nosec B311  # a pause
            except (RedisError, OSError) as error:
                raise _unavailable(error) from None

    async def _ask(self, asked: Awaitable[T]) -> T:
        try:
            return await asked
        except (RedisError, OSError) as error:
            raise _unavailable(error) from None


async def _numbers(asked: Any, key: str) -> dict[str, float]:
    return {name.decode(): float(value) for name, value in (await asked.hgetall(key)).items()}


def _unavailable(error: Exception) -> JobsUnavailable:
    # Not its text, which may have the URL with its password.
    return JobsUnavailable(f"the jobs' store: {type(error).__name__}")
