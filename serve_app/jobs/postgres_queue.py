"""Who waits for a driver, read out of PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from serve_app.policy.job import Job
from serve_app.policy.job_queue import Head, OwnerUse, QueueView, place

# By the index, one row for each: not all that wait.
_HEADS = (
    "SELECT head.id, owners.owner, kind.priority, head.number FROM ocr_serve.owners "
    "CROSS JOIN (VALUES ('interactive'), ('batch')) AS kind (priority) "
    "CROSS JOIN LATERAL (SELECT id, number FROM ocr_serve.jobs "
    "WHERE jobs.owner = owners.owner AND jobs.priority = kind.priority "
    "AND state IN ('queued', 'running') AND deadline_at > $1 AND model = ANY($2::text[]) "
    "AND ((state = 'queued' AND not_before <= $1) "
    "OR (state = 'running' AND coalesce(lease_until, 0) <= $1)) "
    "ORDER BY number LIMIT 1) AS head"
)
_OWNERS = (
    "SELECT owner, served FROM ocr_serve.owners WHERE owner IN "
    "(SELECT owner FROM ocr_serve.jobs WHERE state IN ('queued', 'running'))"
)
_RUNNING = "SELECT owner, count(*) FROM ocr_serve.jobs WHERE state = 'running' GROUP BY owner"
# One look: how many of its owner are before it, how many each other owner of its priority has
# waiting, and how many are interactive.
PLACE = (
    "WITH own AS (SELECT number, owner, priority FROM ocr_serve.jobs "
    "WHERE id = $1 AND state = 'queued'), "
    "waiting AS (SELECT jobs.owner, jobs.priority, jobs.number FROM ocr_serve.jobs "
    "WHERE state = 'queued') "
    "SELECT (SELECT count(*) FROM waiting WHERE owner = own.owner AND priority = own.priority "
    "AND number < own.number), "
    "ARRAY(SELECT count(*) FROM waiting WHERE owner <> own.owner AND priority = own.priority "
    "GROUP BY owner), "
    "(SELECT count(*) FROM waiting WHERE priority = 'interactive') FROM own"
)


async def view(db: Any, *, now: float, models: Collection[str]) -> QueueView:
    """The first job of each owner and priority, and what the owners have had."""
    heads = [Head(*row) for row in await db.fetch(_HEADS, now, list(models))]
    running = dict(await db.fetch(_RUNNING))
    served = await active_owners(db)
    uses = {owner: OwnerUse(had, running.get(owner, 0)) for owner, had in served.items()}
    return QueueView(heads, uses)


async def active_owners(db: Any) -> dict[str, float]:
    """What the owners have had who have jobs that have not ended."""
    return dict(await db.fetch(_OWNERS))


def place_of(row: Any, job: Job) -> int | None:
    """The place in the queue, from what ``PLACE`` has found."""
    if row is None:
        return None
    before, others, interactive = row
    return place(before, others, 0 if job.priority == "interactive" else interactive)
