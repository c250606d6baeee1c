"""Records in SQLite: the embedded store, for all processes of one machine.

Plain sqlite3 in two threads: one writes (a commit waits for the disk), one reads meanwhile, as
the write-ahead log lets it. What a transaction decides is ``policy/job.py`` and
``policy/job_queue.py``.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from serve_app.errors import JobNotFound, JobsUnavailable
from serve_app.jobs.records import (
    JobSpec,
    StoredPage,
    Totals,
    job_to_text,
    spec_from_text,
    spec_to_text,
)
from serve_app.jobs.records import job_from_text as _job
from serve_app.jobs.sqlite_schema import CALLBACK_AT, connect
from serve_app.policy.job import Change, Fault, Job, JobRules, Lease, claimed
from serve_app.policy.job_queue import (
    Head,
    OwnerUse,
    QueueBounds,
    QueueView,
    choose,
    entry,
    place,
    refusal,
    upload_refusal,
)

T = TypeVar("T")
Connection = sqlite3.Connection

_WAITS = (
    "deadline_at > :now AND model IN ({models}) AND "
    "((state = 'queued' AND not_before <= :now) OR (state = 'running' AND lease_until <= :now))"
)
_OPEN = "state IN ('queued', 'running')"


class SqliteStore:
    """``ports.JobStore``. Opened by its first use.

    Args:
        file: made if it is not there; its folder, too.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._writing = _Thread(file, "jobs-write")
        self._reading = _Thread(file, "jobs-read")

    async def add(self, job: Job, spec: JobSpec, bounds: QueueBounds) -> Job:
        """See ``ports.JobStore``."""
        return await self._writing.run(partial(_add, job=job, spec=spec, bounds=bounds))

    async def get(self, job_id: str) -> Job | None:
        """See ``ports.JobStore``."""
        return await self._reading.run(partial(_get, job_id=job_id))

    async def spec(self, job_id: str) -> JobSpec | None:
        """See ``ports.JobStore``."""
        sql = "SELECT spec FROM jobs WHERE id = ?"
        found = await self._reading.run(lambda db: db.execute(sql, (job_id,)).fetchone())
        return spec_from_text(found[0]) if found else None

    async def submitted(self, owner: str, idempotency_key: str) -> Job | None:
        """See ``ports.JobStore``."""
        return await self._reading.run(partial(_submitted, owner=owner, key=idempotency_key))

    async def listed(
        self, owner: str | None, *, batch: str | None = None, before: str | None = None, limit: int
    ) -> Sequence[Job]:
        """See ``ports.JobStore``."""
        wanted = {"owner": owner, "batch": batch, "before": before, "limit": limit}
        return await self._reading.run(partial(_listed, wanted=wanted))

    async def update(self, job_id: str, change: Change) -> Job:
        """See ``ports.JobStore``."""
        return await self._writing.run(partial(_update, job_id=job_id, change=change))

    async def claim(
        self, lease: Lease, now: float, models: Collection[str], rules: JobRules
    ) -> Job | None:
        """See ``ports.JobStore``."""
        # Looked for by the reader first: with nobody waiting, nothing has to be written.
        if not (await self.queue(now, models)).heads:
            return None
        change = partial(claimed, lease=lease, now=now, rules=rules)
        return await self._writing.run(partial(_claim, now=now, models=models, change=change))

    async def store_page(self, job_id: str, token: str, page: StoredPage, now: float) -> Job:
        """See ``ports.JobStore``."""
        change = page.change(token, now)
        return await self._writing.run(
            partial(_store_page, job_id=job_id, page=page, change=change)
        )

    async def pages(self, job_id: str, after: int = 0) -> Sequence[StoredPage]:
        """See ``ports.JobStore``."""
        where = "number > ? ORDER BY number"
        return await self._reading.run(partial(_pages, job_id=job_id, where=where, value=after))

    async def page(self, job_id: str, index: int) -> StoredPage | None:
        """See ``ports.JobStore``."""
        found = await self._reading.run(
            partial(_pages, job_id=job_id, where="page = ?", value=index)
        )
        return found[0] if found else None

    async def queue(self, now: float, models: Collection[str]) -> QueueView:
        """See ``ports.JobStore``."""
        return await self._reading.run(partial(_queue, now=now, models=models))

    async def place(self, job: Job) -> int | None:
        """See ``ports.JobStore``."""
        return await self._reading.run(partial(_place, job=job))

    async def due(self, now: float, limit: int) -> Sequence[Job]:
        """See ``ports.JobStore``."""
        return await self._reading.run(partial(_due, now=now, limit=limit))

    async def callbacks_due(self, now: float, limit: int) -> Sequence[Job]:
        """See ``ports.JobStore``."""
        sql = f"SELECT job FROM jobs WHERE {CALLBACK_AT} <= ? ORDER BY {CALLBACK_AT} LIMIT ?"  # nosec B608  # names are constants, values are bound
        found = await self._reading.run(lambda db: db.execute(sql, (now, limit)).fetchall())
        return [_job(text) for (text,) in found]

    async def totals(self) -> Totals:
        """See ``ports.JobStore``."""
        return await self._reading.run(_totals)

    async def remove(self, job_id: str) -> None:
        """See ``ports.JobStore``."""
        await self._writing.run(partial(_remove, job_id=job_id))

    async def secret(self) -> bytes:
        """See ``ports.JobStore``."""
        sql = "SELECT value FROM secrets WHERE name = 'urls'"
        (value,) = await self._reading.run(lambda db: db.execute(sql).fetchone())
        return bytes(value)

    async def close(self) -> None:
        """See ``ports.JobStore``."""
        await self._reading.close()
        await self._writing.close()


class _Thread:
    """A connection, and the thread that uses it."""

    def __init__(self, file: Path, name: str) -> None:
        self._file = file
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._connection: Connection | None = None

    async def run(self, work: Callable[[Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._work, work)

    def _work(self, work: Callable[[Connection], T]) -> T:
        try:
            if self._connection is None:
                # What is in there are other people's documents.
                self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._connection = connect(self._file)
            return work(self._connection)
        except (sqlite3.Error, OSError) as error:
            raise JobsUnavailable(f"the jobs' store {self._file}: {error}") from None

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@contextmanager
def _transaction(db: Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _columns(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "owner": job.owner,
        "state": job.state,
        "priority": job.priority,
        "model": job.model,
        "batch": job.batch,
        "idempotency_key": job.idempotency_key,
        "not_before": job.not_before,
        "lease_until": job.lease.until if job.lease else None,
        "deadline_at": job.deadline_at,
        "expires_at": job.expires_at,
        "stored_bytes": job.stored_bytes,
        "job": job_to_text(job).decode(),
    }


_NAMES = tuple(_columns(Job("", "", "", "batch", 0, 0.0, 0.0)))
_INSERT = (
    f"INSERT INTO jobs ({', '.join(_NAMES)}, spec) "  # nosec B608  # names are constants, values are bound
    f"VALUES ({', '.join(f':{name}' for name in _NAMES)}, :spec)"
)
_UPDATE = f"UPDATE jobs SET {', '.join(f'{name} = :{name}' for name in _NAMES)} WHERE id = :id"  # nosec B608  # names are constants, values are bound


def _add(db: Connection, *, job: Job, spec: JobSpec, bounds: QueueBounds) -> Job:
    with _transaction(db):
        if job.idempotency_key is not None:
            known = _submitted(db, owner=job.owner, key=job.idempotency_key)
            if known is not None:
                return known
        (queued,) = db.execute(f"SELECT count(*) FROM jobs WHERE {_OPEN}").fetchone()  # nosec B608  # names are constants, values are bound
        mine = f"SELECT count(*) FROM jobs WHERE {_OPEN} AND owner = ?"  # nosec B608  # names are constants, values are bound
        (of_owner,) = db.execute(mine, (job.owner,)).fetchone()
        (stored,) = db.execute("SELECT coalesce(sum(stored_bytes), 0) FROM jobs").fetchone()
        refused = refusal(queued, of_owner, stored, job.stored_bytes, bounds)
        if job.kind == "upload":
            refused = refused or upload_refusal(*_like(db, job), job.stored_bytes, bounds)
        if refused is not None:
            raise refused
        if not of_owner:
            _enter(db, job.owner)
        db.execute(_INSERT, {**_columns(job), "spec": spec_to_text(spec).decode()})
    return job


def _like(db: Connection, job: Job) -> tuple[int, int]:
    """How many the owner has of this kind, and their bytes."""
    sql = (
        "SELECT count(*), coalesce(sum(stored_bytes), 0) FROM jobs WHERE owner = :owner "
        "AND batch = :batch AND json_extract(job, '$.kind') = :kind"
    )
    wanted = {"owner": job.owner, "batch": job.batch, "kind": job.kind}
    count, size_bytes = db.execute(sql, wanted).fetchone()
    return int(count), int(size_bytes)


def _enter(db: Connection, owner: str) -> None:
    """An owner who had no job has one."""
    sql = f"SELECT served FROM owners WHERE owner IN (SELECT owner FROM jobs WHERE {_OPEN})"  # nosec B608  # names are constants, values are bound
    active = [served for (served,) in db.execute(sql)]
    own = db.execute("SELECT served FROM owners WHERE owner = ?", (owner,)).fetchone()
    served = entry(own[0] if own else 0.0, active)
    db.execute("INSERT OR REPLACE INTO owners VALUES (?, ?)", (owner, served))


def _get(db: Connection, *, job_id: str) -> Job | None:
    found = db.execute("SELECT job FROM jobs WHERE id = ?", (job_id,)).fetchone()
    return _job(found[0]) if found else None


def _submitted(db: Connection, *, owner: str, key: str) -> Job | None:
    sql = "SELECT job FROM jobs WHERE owner = ? AND idempotency_key = ?"
    found = db.execute(sql, (owner, key)).fetchone()
    return _job(found[0]) if found else None


def _listed(db: Connection, *, wanted: dict[str, Any]) -> list[Job]:
    where = ["1"]
    if wanted["owner"] is not None:
        where.append("owner = :owner")
    if wanted["batch"] is not None:
        where.append("batch = :batch")
    if wanted["before"] is not None:
        where.append("number < (SELECT number FROM jobs WHERE id = :before)")
    sql = f"SELECT job FROM jobs WHERE {' AND '.join(where)} ORDER BY number DESC LIMIT :limit"  # nosec B608  # names are constants, values are bound
    return [_job(text) for (text,) in db.execute(sql, wanted)]


def _update(db: Connection, *, job_id: str, change: Change) -> Job:
    with _transaction(db):
        return _changed(db, job_id, change)


def _changed(db: Connection, job_id: str, change: Change) -> Job:
    before = _get(db, job_id=job_id)
    if before is None:
        raise JobNotFound(f"There is no job {job_id[:64]!r}")
    after = change(before)
    if after is not before:
        db.execute(_UPDATE, _columns(after))
    return after


def _claim(db: Connection, *, now: float, models: Collection[str], change: Change) -> Job | None:
    with _transaction(db):
        head = choose(_queue(db, now=now, models=models))
        return None if head is None else _changed(db, head.job_id, change)


def _store_page(db: Connection, *, job_id: str, page: StoredPage, change: Change) -> Job:
    with _transaction(db):
        job = _changed(db, job_id, change)
        fault = page.fault or Fault("", "")
        row = (job_id, page.index, job.pages_done, page.size_bytes)
        failed = (fault.code or None, fault.message or None)
        db.execute("INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?)", row + failed)
        db.execute("UPDATE owners SET served = served + 1 WHERE owner = ?", (job.owner,))
    return job


def _pages(db: Connection, *, job_id: str, where: str, value: int) -> list[StoredPage]:
    sql = f"SELECT page, size_bytes, code, message, number FROM pages WHERE job_id = ? AND {where}"  # nosec B608  # names are constants, values are bound
    return [
        StoredPage(page, size, Fault(code, message or "") if code else None, number)
        for page, size, code, message, number in db.execute(sql, (job_id, value))
    ]


def _queue(db: Connection, *, now: float, models: Collection[str]) -> QueueView:
    named = {f"model{number}": model for number, model in enumerate(models)}
    waits = _WAITS.format(models=", ".join(f":{name}" for name in named))
    sql = (
        f"SELECT id, jobs.owner, jobs.priority, number FROM jobs JOIN (SELECT min(number) AS first "  # nosec B608  # names are constants, values are bound
        f"FROM jobs WHERE {_OPEN} AND {waits} GROUP BY priority, owner) ON number = first"
    )
    heads = [Head(*row) for row in db.execute(sql, {"now": now, **named})]
    running = dict(
        db.execute("SELECT owner, count(*) FROM jobs WHERE state = 'running' GROUP BY owner")
    )
    sql = f"SELECT owner, served FROM owners WHERE owner IN (SELECT owner FROM jobs WHERE {_OPEN})"  # nosec B608  # names are constants, values are bound
    uses = {owner: OwnerUse(served, running.get(owner, 0)) for owner, served in db.execute(sql)}
    return QueueView(heads, uses)


def _place(db: Connection, *, job: Job) -> int | None:
    sql = "SELECT number FROM jobs WHERE id = ? AND state = 'queued'"
    found = db.execute(sql, (job.id,)).fetchone()
    if found is None:
        return None
    queued = "FROM jobs WHERE state = 'queued' AND priority"
    mine = f"SELECT count(*) {queued} = ? AND owner = ? AND number < ?"
    (before,) = db.execute(mine, (job.priority, job.owner, found[0])).fetchone()
    others = f"SELECT count(*) {queued} = ? AND owner != ? GROUP BY owner"
    counts = [count for (count,) in db.execute(others, (job.priority, job.owner))]
    first = 0
    if job.priority != "interactive":
        (first,) = db.execute(f"SELECT count(*) {queued} = 'interactive'").fetchone()
    return place(before, counts, first)


def _due(db: Connection, *, now: float, limit: int) -> list[Job]:
    sql = (
        f"SELECT job FROM jobs WHERE {_OPEN} AND deadline_at <= :now UNION ALL "  # nosec B608  # names are constants, values are bound
        "SELECT job FROM jobs WHERE expires_at <= :now LIMIT :limit"
    )
    return [_job(text) for (text,) in db.execute(sql, {"now": now, "limit": limit})]


def _totals(db: Connection) -> Totals:
    sql = f"SELECT state, count(*) FROM jobs WHERE {_OPEN} GROUP BY state"  # nosec B608  # names are constants, values are bound
    counts = dict(db.execute(sql))
    (stored,) = db.execute("SELECT coalesce(sum(stored_bytes), 0) FROM jobs").fetchone()
    return Totals(counts.get("queued", 0), counts.get("running", 0), stored)


def _remove(db: Connection, *, job_id: str) -> None:
    with _transaction(db):
        db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
        db.execute("DELETE FROM pages WHERE job_id = ?", (job_id,))
        idle = "DELETE FROM owners WHERE owner NOT IN (SELECT owner FROM jobs)"
        db.execute(idle)
