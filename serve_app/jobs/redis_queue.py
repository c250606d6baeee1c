"""Who waits for a driver, read out of Redis."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from serve_app.jobs.records import job_from_text
from serve_app.jobs.redis_keys import Keys
from serve_app.policy.job import Job, claimable
from serve_app.policy.job_queue import Head, OwnerUse, QueueView

# The first one mostly; others are looked through where it waits for later.
STEP = 16


async def view(asked: Any, keys: Keys, now: float, models: Collection[str]) -> QueueView:
    """The first job of each queue, and what the owners have had."""
    waiting, opened, running, served = [
        await asked.hgetall(keys(name)) for name in ("waiting", "open", "running", "served")
    ]
    heads: dict[tuple[str, str], Head] = {}
    for job, number in await _lapsed(asked, keys, now, models):
        _note(heads, job, number)
    for name, count in waiting.items():
        if int(count) > 0:
            priority, _, owner = name.decode().partition(":")
            found = await _first(asked, keys(f"queued:{priority}:{owner}"), keys, now, models)
            if found is not None:
                _note(heads, *found)
    uses = {
        owner.decode(): OwnerUse(float(served.get(owner, 0)), int(running.get(owner, 0)))
        for owner, count in opened.items()
        if int(count) > 0
    }
    return QueueView(list(heads.values()), uses)


async def jobs_of(asked: Any, keys: Keys, ids: Sequence[bytes]) -> list[Job]:
    """Those of these that are there."""
    return [job for job, _ in await _records(asked, keys, ids)]


async def _records(asked: Any, keys: Keys, ids: Sequence[bytes]) -> list[tuple[Job, int]]:
    if not ids:
        return []
    pipe = asked.pipeline(transaction=False)
    for id_ in ids:
        pipe.hmget(keys("job", id_.decode()), "job", "number")
    found = await pipe.execute()
    return [(job_from_text(text), int(number)) for text, number in found if text is not None]


async def _first(
    asked: Any, queue: str, keys: Keys, now: float, models: Collection[str]
) -> tuple[Job, int] | None:
    start = 0
    while ids := await asked.zrange(queue, start, start + STEP - 1):
        for job, number in await _records(asked, keys, ids):
            if job.model in models and claimable(job, now):
                return job, number
        start += len(ids)
    return None


async def _lapsed(
    asked: Any, keys: Keys, now: float, models: Collection[str]
) -> list[tuple[Job, int]]:
    """Jobs whose driver has not been heard of."""
    ids = await asked.zrangebyscore(keys("leases"), "-inf", now)
    records = await _records(asked, keys, ids)
    return [(job, n) for job, n in records if job.model in models and claimable(job, now)]


def _note(heads: dict[tuple[str, str], Head], job: Job, number: int) -> None:
    known = heads.get((job.priority, job.owner))
    if known is None or number < known.number:
        heads[job.priority, job.owner] = Head(job.id, job.owner, job.priority, number)
