"""What the Redis store keeps where, and how a change of a job changes it.

All keys have one hash tag, so that a cluster keeps them together: transactions need that.

    {ocr}:jobs:job:<id>           hash: job and spec as JSON, number in the order of submission
    {ocr}:jobs:pages:<id>         hash: a page's index -> its record
    {ocr}:jobs:queued:<priority>:<owner>   sorted set: ids by number
    {ocr}:jobs:all, owner:<owner>, batch:<batch>   sorted sets: ids by number
    {ocr}:jobs:leases, deadlines, expiries, callbacks   sorted sets: ids by time
    {ocr}:jobs:waiting            hash: <priority>:<owner> -> jobs that are queued
    {ocr}:jobs:open, running, served, uploads, upload_bytes   hashes by owner
    {ocr}:jobs:totals             hash: open, bytes
    {ocr}:jobs:keys               hash: <owner>\\n<idempotency key> -> id
    {ocr}:jobs:adding, claiming   counters: who adds or claims watches them
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from serve_app.jobs.records import job_to_text
from serve_app.policy.job import Job

TIMES = ("leases", "deadlines", "expiries", "callbacks")


class Keys:
    """Names of keys.

    Args:
        prefix: of all of them; several servers may share a Redis.
    """

    def __init__(self, prefix: str = "{ocr}:jobs:") -> None:
        self._prefix = prefix

    def __call__(self, *parts: str) -> str:
        """The key of these parts."""
        return self._prefix + ":".join(parts)

    def queued(self, job: Job) -> str:
        """The queue that the job waits in."""
        return self("queued", job.priority, job.owner)


def write(pipe: Any, keys: Keys, before: Job | None, after: Job | None, number: int) -> None:
    """Note in a transaction what differs; None: there was none, or it is removed."""
    job = after or before
    assert job is not None, "one of them"
    if after is None:
        pipe.delete(keys("job", job.id), keys("pages", job.id))
    else:
        pipe.hset(keys("job", job.id), "job", job_to_text(after))
    if before is None or after is None:
        _listed(pipe, keys, job, number, there=after is not None)
    _queue(pipe, keys, before, after, number)
    for name in TIMES:
        old, new = (_time(name, one) for one in (before, after))
        if new is None and old is not None:
            pipe.zrem(keys(name), job.id)
        elif new is not None and new != old:
            pipe.zadd(keys(name), {job.id: new})
    for key, field, difference in _differences(before, after):
        if difference:
            pipe.hincrby(keys(key), field, difference)


def _listed(pipe: Any, keys: Keys, job: Job, number: int, *, there: bool) -> None:
    lists = [keys("all"), keys("owner", job.owner)]
    if job.batch is not None:
        lists.append(keys("batch", job.batch))
    for key in lists:
        if there:
            pipe.zadd(key, {job.id: number})
        else:
            pipe.zrem(key, job.id)
    if job.idempotency_key is not None:
        field = idempotency_field(job.owner, job.idempotency_key)
        if there:
            pipe.hset(keys("keys"), field, job.id)
        else:
            pipe.hdel(keys("keys"), field)


def _queue(pipe: Any, keys: Keys, before: Job | None, after: Job | None, number: int) -> None:
    was, is_ = _is_queued(before), _is_queued(after)
    job = after or before
    assert job is not None, "one of them"
    if is_ and not was:
        pipe.zadd(keys.queued(job), {job.id: number})
    elif was and not is_:
        pipe.zrem(keys.queued(job), job.id)


def _is_queued(job: Job | None) -> bool:
    return job is not None and job.state == "queued"


def _time(name: str, job: Job | None) -> float | None:
    """The job's score in one of ``TIMES``; None: it is not in it."""
    if job is None:
        return None
    match name:
        case "leases":
            running = job.state == "running"
            return (job.lease.until if job.lease else 0.0) if running else None
        case "deadlines":
            return None if job.ended else job.deadline_at
        case "expiries":
            return job.expires_at
    return job.callback_at if job.ended else None


def _differences(before: Job | None, after: Job | None) -> Iterator[tuple[str, str, int]]:
    """Counters that change: key, field, by how much."""
    for sign, job in ((-1, before), (1, after)):
        if job is None:
            continue
        yield "totals", "bytes", sign * job.stored_bytes
        if job.kind == "upload":
            yield "uploads", job.owner, sign
            yield "upload_bytes", job.owner, sign * job.stored_bytes
        if not job.ended:
            yield "totals", "open", sign
            yield "open", job.owner, sign
        if job.state == "queued":
            yield "waiting", f"{job.priority}:{job.owner}", sign
        if job.state == "running":
            yield "running", job.owner, sign


def idempotency_field(owner: str, key: str) -> str:
    """The field of a submission."""
    return f"{owner}\n{key}"
