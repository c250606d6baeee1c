"""Records in PostgreSQL: for gateways on several machines.

A change of a job locks its row, so that what a method decides, it decides on what is there when it
is written; those who add, and those who claim, stand in line. What a transaction decides is
``policy/job.py`` and ``policy/job_queue.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Any, TypeVar

import asyncpg

from serve_app.clock import now as monotonic
from serve_app.errors import JobNotFound, JobsUnavailable
from serve_app.jobs.postgres_queue import PLACE, active_owners, place_of, view
from serve_app.jobs.postgres_schema import ADDING, CLAIMING, LOCK, OtherVersion, create
from serve_app.jobs.records import (
    JobSpec,
    StoredPage,
    Totals,
    job_from_text,
    job_to_text,
    page_from_text,
    page_to_text,
    spec_from_text,
    spec_to_text,
)
from serve_app.policy.job import Change, Job, JobRules, Lease, LeaseLost, claimed
from serve_app.policy.job_queue import (
    QueueBounds,
    QueueView,
    choose,
    entry,
    refusal,
    upload_refusal,
)

T = TypeVar("T")
Work = Callable[[Any], Awaitable[T]]

TIMEOUT_S = 10.0
MAX_CONNECTIONS = 8
# Others that change the same records were faster for so long.
CONFLICT_S = 20.0
_AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
# The internal one: of a connection that the server has ended in this moment.
_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    OtherVersion,
)
# On Python 3.10 another class than the built-in one.
_TIMEOUTS = (asyncio.TimeoutError,)

_OPEN = "SELECT count(*) FROM ocr_serve.jobs WHERE state IN ('queued', 'running')"
_OPEN_OF = f"{_OPEN} AND owner = $1"
_STORED = "SELECT coalesce(sum(stored_bytes), 0)::bigint FROM ocr_serve.jobs"
_UPLOADS = (
    "SELECT count(*), coalesce(sum(stored_bytes), 0)::bigint FROM ocr_serve.jobs "
    "WHERE kind = 'upload' AND owner = $1"
)
_ADD = (
    "INSERT INTO ocr_serve.jobs (id, state, not_before, lease_until, deadline_at, expires_at, "
    "callback_at, stored_bytes, job, owner, kind, priority, model, batch, idempotency_key, spec) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
)
_CHANGE = (
    "UPDATE ocr_serve.jobs SET state = $2, not_before = $3, lease_until = $4, deadline_at = $5, "
    "expires_at = $6, callback_at = $7, stored_bytes = $8, job = $9 WHERE id = $1"
)
_ENTER = (
    "INSERT INTO ocr_serve.owners VALUES ($1, $2) ON CONFLICT (owner) DO UPDATE SET served = $2"
)
_LISTED = (
    "SELECT job FROM ocr_serve.jobs WHERE ($1::text IS NULL OR owner = $1) "
    "AND ($2::text IS NULL OR batch = $2) AND ($3::text IS NULL OR number < "
    "(SELECT number FROM ocr_serve.jobs WHERE id = $3)) ORDER BY number DESC LIMIT $4"
)
_DUE = (
    "SELECT job FROM ocr_serve.jobs WHERE state IN ('queued', 'running') AND deadline_at <= $1 "
    "UNION ALL SELECT job FROM ocr_serve.jobs WHERE expires_at <= $1 LIMIT $2"
)
_TOTALS = (
    "SELECT count(*) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state = 'running'), "
    "coalesce(sum(stored_bytes), 0)::bigint FROM ocr_serve.jobs"
)


class PostgresStore:
    """``ports.JobStore``. Connects by its first use, on the event loop that it is used on.

    Args:
        url: ``postgresql://``; the tables are made in a schema ``ocr_serve`` of its database.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: Any = None
        self._opening = asyncio.Lock()

    async def add(self, job: Job, spec: JobSpec, bounds: QueueBounds) -> Job:
        """See ``ports.JobStore``."""
        return await self._write(partial(_add, job=job, spec=spec, bounds=bounds))

    async def get(self, job_id: str) -> Job | None:
        """See ``ports.JobStore``."""
        text = await self._value("SELECT job FROM ocr_serve.jobs WHERE id = $1", _text(job_id))
        return None if text is None else job_from_text(text)

    async def spec(self, job_id: str) -> JobSpec | None:
        """See ``ports.JobStore``."""
        text = await self._value("SELECT spec FROM ocr_serve.jobs WHERE id = $1", _text(job_id))
        return None if text is None else spec_from_text(text)

    async def submitted(self, owner: str, idempotency_key: str) -> Job | None:
        """See ``ports.JobStore``."""
        return await self._read(partial(_submitted, owner=owner, key=idempotency_key))

    async def listed(
        self, owner: str | None, *, batch: str | None = None, before: str | None = None, limit: int
    ) -> Sequence[Job]:
        """See ``ports.JobStore``."""
        wanted = (_text(owner), _text(batch), _text(before), limit)
        return await self._jobs(_LISTED, *wanted)

    async def update(self, job_id: str, change: Change) -> Job:
        """See ``ports.JobStore``."""
        return await self._write(partial(_changed, job_id=job_id, change=change))

    async def claim(
        self, lease: Lease, now: float, models: Collection[str], rules: JobRules
    ) -> Job | None:
        """See ``ports.JobStore``."""
        # Looked for without standing in line: with nobody waiting, nothing has to be written.
        if not (await self.queue(now, models)).heads:
            return None
        change = partial(claimed, lease=lease, now=now, rules=rules)
        return await self._write(partial(_claim, now=now, models=models, change=change))

    async def store_page(self, job_id: str, token: str, page: StoredPage, now: float) -> Job:
        """See ``ports.JobStore``."""
        change = page.change(token, now)
        return await self._write(partial(_store_page, job_id=job_id, page=page, change=change))

    async def pages(self, job_id: str, after: int = 0) -> Sequence[StoredPage]:
        """See ``ports.JobStore``."""
        sql = "SELECT record FROM ocr_serve.pages WHERE job_id = $1 AND number > $2 ORDER BY number"
        rows = await self._read(lambda db: db.fetch(sql, _text(job_id), after))
        return [page_from_text(text) for (text,) in rows]

    async def page(self, job_id: str, index: int) -> StoredPage | None:
        """See ``ports.JobStore``."""
        sql = "SELECT record FROM ocr_serve.pages WHERE job_id = $1 AND page = $2"
        text = await self._value(sql, _text(job_id), index)
        return None if text is None else page_from_text(text)

    async def queue(self, now: float, models: Collection[str]) -> QueueView:
        """See ``ports.JobStore``."""
        return await self._read(partial(view, now=now, models=models))

    async def place(self, job: Job) -> int | None:
        """See ``ports.JobStore``."""
        row = await self._read(lambda db: db.fetchrow(PLACE, job.id))
        return place_of(row, job)

    async def due(self, now: float, limit: int) -> Sequence[Job]:
        """See ``ports.JobStore``."""
        return await self._jobs(_DUE, now, limit)

    async def callbacks_due(self, now: float, limit: int) -> Sequence[Job]:
        """See ``ports.JobStore``."""
        sql = "SELECT job FROM ocr_serve.jobs WHERE callback_at <= $1 ORDER BY callback_at LIMIT $2"
        return await self._jobs(sql, now, limit)

    async def totals(self) -> Totals:
        """See ``ports.JobStore``."""
        return Totals(*await self._read(lambda db: db.fetchrow(_TOTALS)))

    async def remove(self, job_id: str) -> None:
        """See ``ports.JobStore``."""
        await self._write(partial(_remove, job_id=job_id))

    async def secret(self) -> bytes:
        """See ``ports.JobStore``."""
        return bytes(await self._value("SELECT value FROM ocr_serve.facts WHERE name = 'secret'"))

    async def close(self) -> None:
        """See ``ports.JobStore``."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            pool.terminate()  # what was answered is written; what waits has been cancelled

    async def _jobs(self, sql: str, *values: object) -> list[Job]:
        rows = await self._read(lambda db: db.fetch(sql, *values))
        return [job_from_text(text) for (text,) in rows]

    async def _value(self, sql: str, *values: object) -> Any:
        return await self._read(lambda db: db.fetchval(sql, *values))

    async def _read(self, work: Work[T]) -> T:
        try:
            pool = await self._open()
            async with pool.acquire(timeout=TIMEOUT_S) as connection:
                return await work(connection)
        except (*_ERRORS, *_TIMEOUTS) as error:
            raise _unavailable(error) from None

    async def _write(self, work: Work[T]) -> T:
        """``work`` in a transaction; once more if others were faster."""

        async def transaction(connection: Any) -> T:
            async with connection.transaction():
                return await work(connection)

        until = monotonic() + CONFLICT_S
        while True:
            try:
                return await self._read(transaction)
            except _Again:
                if monotonic() > until:
                    raise JobsUnavailable("the jobs' store: too many changes at once") from None

    async def _open(self) -> Any:
        if self._pool is None:
            async with self._opening:
                if self._pool is None:
                    self._pool = await self._opened()
        return self._pool

    async def _opened(self) -> Any:
        # No statements are kept in connections: a pooler in between may hand out others.
        pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=MAX_CONNECTIONS,
            timeout=TIMEOUT_S,
            command_timeout=TIMEOUT_S,
            statement_cache_size=0,
        )
        try:
            async with pool.acquire() as connection:
                await create(connection)
        except BaseException:
            pool.terminate()
            raise
        return pool


class _Again(Exception):
    """The transaction was undone: others were faster."""


def _unavailable(error: Exception) -> Exception:
    if isinstance(error, _AGAIN):
        return _Again()
    if isinstance(error, OtherVersion):
        return JobsUnavailable(f"the jobs' store: {error}")
    # Not its text, which may have the URL with its password.
    return JobsUnavailable(f"the jobs' store: {type(error).__name__}")


async def _add(db: Any, *, job: Job, spec: JobSpec, bounds: QueueBounds) -> Job:
    await db.execute(LOCK, ADDING)
    if job.idempotency_key is not None:
        known = await _submitted(db, owner=job.owner, key=job.idempotency_key)
        if known is not None:
            return known
    queued, stored = await db.fetchval(_OPEN), await db.fetchval(_STORED)
    of_owner = await db.fetchval(_OPEN_OF, job.owner)
    refused = refusal(queued, of_owner, stored, job.stored_bytes, bounds)
    if job.kind == "upload":
        count, kept = await db.fetchrow(_UPLOADS, job.owner)
        refused = refused or upload_refusal(count, kept, job.stored_bytes, bounds)
    if refused is not None:
        raise refused
    if not of_owner:
        active = await active_owners(db)
        own = await db.fetchval("SELECT served FROM ocr_serve.owners WHERE owner = $1", job.owner)
        await db.execute(_ENTER, job.owner, entry(own or 0.0, active.values()))
    constant = (job.owner, job.kind, job.priority, job.model, _text(job.batch))
    text = spec_to_text(spec).decode()
    await db.execute(_ADD, *_columns(job), *constant, job.idempotency_key, text)
    return job


def _columns(job: Job) -> tuple[object, ...]:
    """What may change, in the order of the statements."""
    return (
        job.id,
        job.state,
        job.not_before,
        job.lease.until if job.lease else None,
        job.deadline_at,
        job.expires_at,
        job.callback_at if job.ended else None,
        job.stored_bytes,
        job_to_text(job).decode(),
    )


async def _submitted(db: Any, *, owner: str, key: str) -> Job | None:
    sql = "SELECT job FROM ocr_serve.jobs WHERE owner = $1 AND idempotency_key = $2"
    text = await db.fetchval(sql, owner, key)
    return None if text is None else job_from_text(text)


async def _changed(db: Any, *, job_id: str, change: Change) -> Job:
    sql = "SELECT job FROM ocr_serve.jobs WHERE id = $1 FOR UPDATE"
    text = await db.fetchval(sql, _text(job_id))
    if text is None:
        raise JobNotFound(f"There is no job {job_id[:64]!r}")
    before = job_from_text(text)
    after = change(before)
    if after is not before:
        await db.execute(_CHANGE, *_columns(after))
    return after


async def _claim(db: Any, *, now: float, models: Collection[str], change: Change) -> Job | None:
    await db.execute(LOCK, CLAIMING)
    head = choose(await view(db, now=now, models=models))
    if head is None:
        return None
    try:
        return await _changed(db, job_id=head.job_id, change=change)
    except (LeaseLost, JobNotFound):  # it was cancelled between the look and the lock
        raise _Again from None


async def _store_page(db: Any, *, job_id: str, page: StoredPage, change: Change) -> Job:
    job = await _changed(db, job_id=job_id, change=change)
    text = page_to_text(page, job.pages_done).decode()
    sql = "INSERT INTO ocr_serve.pages VALUES ($1, $2, $3, $4)"
    await db.execute(sql, job.id, page.index, job.pages_done, text)
    await db.execute("UPDATE ocr_serve.owners SET served = served + 1 WHERE owner = $1", job.owner)
    return job


async def _remove(db: Any, *, job_id: str) -> None:
    # An owner who is being added is not idle.
    await db.execute(LOCK, ADDING)
    await db.execute("DELETE FROM ocr_serve.jobs WHERE id = $1", _text(job_id))
    await db.execute("DELETE FROM ocr_serve.pages WHERE job_id = $1", _text(job_id))
    await db.execute(
        "DELETE FROM ocr_serve.owners WHERE owner NOT IN (SELECT owner FROM ocr_serve.jobs)"
    )


def _text(text: str | None) -> Any:
    """What PostgreSQL takes for a text: a client's name for something may have zero bytes."""
    return None if text is None else text.replace("\0", "\N{REPLACEMENT CHARACTER}")
