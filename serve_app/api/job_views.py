"""Jobs as JSON of our own API. Members without a value are left out."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from serve_app.api.json_pieces import dump
from serve_app.jobs.records import StoredPage
from serve_app.policy.job import Fault, Job


def job_view(job: Job, place: int | None = None) -> dict[str, Any]:
    """One job; ``place``: in the queue, from 1."""
    left_s = job.seconds_left
    members: dict[str, Any] = {
        "id": job.id,
        "state": job.state,
        "model": job.model,
        "priority": job.priority,
        "pages": {"total": job.pages, "done": job.pages_done, "failed": job.pages_failed},
        "queue_position": place,
        "seconds_left": None if left_s is None else round(left_s, 1),
        "submitted_at": utc(job.submitted_at),
        "started_at": utc(job.started_at),
        "ended_at": utc(job.ended_at),
        "deadline_at": None if job.ended else utc(job.deadline_at),
        "expires_at": utc(job.expires_at),
        "stored_bytes": job.stored_bytes,
        "batch": job.batch,
        "callback": _callback(job),
        "error": fault_view(job.fault),
        "links": {name: f"/v1/jobs/{job.id}{path}" for name, path in LINKS.items()},
    }
    return {name: value for name, value in members.items() if value is not None}


def _callback(job: Job) -> dict[str, Any] | None:
    if not job.callback_url:
        return None
    return {"state": job.callback_state, "tries": job.callback_tries}


def callback_body(job: Job) -> bytes:
    """What a callback is told."""
    data = job_view(job)
    return dump({"type": f"job.{job.state}", "timestamp": data["ended_at"], "data": data})


LINKS = {"self": "", "events": "/events", "result": "/result"}


def page_view(job: Job, page: StoredPage) -> dict[str, Any]:
    """A page that has ended, as an event tells it; counted from 1."""
    view: dict[str, Any] = {"page": page.index + 1, "done": page.number, "total": job.pages}
    if page.fault is not None:
        view["error"] = fault_view(page.fault)
    return view


def fault_view(fault: Fault | None) -> dict[str, str] | None:
    """Code and message."""
    return None if fault is None else {"code": fault.code, "message": fault.message}


def utc(at: float | None) -> str | None:
    """Seconds since the epoch as ISO 8601, to the millisecond."""
    if at is None:
        return None
    moment = datetime.fromtimestamp(at, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
