"""GET /v1/jobs/{id}/events: server-sent events.

    event: state   at the beginning and whenever the state changes: the job
    event: page    each page that has ended, in that order; its id is how many have
    event: end     the job, ended; then the stream closes

``Last-Event-ID`` (a browser's EventSource sends it) goes on after that page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import StreamingResponse

from serve_app.api.job_views import job_view, page_view
from serve_app.api.json_pieces import dump
from serve_app.clock import now
from serve_app.errors import InvalidRequest, JobNotFound
from serve_app.jobs.caller import Caller
from serve_app.jobs.service import Jobs
from serve_app.policy.job import Job

LAST_ID_HEADER = "last-event-id"
# Proxies close connections on which nothing comes for a minute.
PING_S = 15.0
PING = b": still there\n\n"


def last_id(request: Request) -> int:
    """How many pages the client knows of.

    Raises:
        InvalidRequest: the header is not one of our ids.
    """
    text = request.headers.get(LAST_ID_HEADER, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidRequest(f"`{LAST_ID_HEADER}` is no id of an event of this job")
    return int(text)


def event(name: str, data: object, number: int | None = None) -> bytes:
    """One event."""
    head = f"event: {name}\n" + (f"id: {number}\n" if number is not None else "")
    return head.encode() + b"data: " + dump(data) + b"\n\n"


def events_response(jobs: Jobs, job: Job, caller: Caller, after: int) -> StreamingResponse:
    """The stream, from the page after ``after`` on."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    stream = _events(jobs, job, caller, after)
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def _events(jobs: Jobs, job: Job, caller: Caller, after: int) -> AsyncIterator[bytes]:
    with jobs.waiters.place():
        told, spoke_s = "", now()
        while True:
            if job.state != told and not job.ended:
                told, spoke_s = job.state, now()
                yield event("state", job_view(job, await jobs.place(job)))
            for page in await jobs.pages(job, after):
                after, spoke_s = page.number, now()
                yield event("page", page_view(job, page), page.number)
            if job.ended and after >= job.pages_done:
                yield event("end", job_view(job))
                return
            if jobs.stopping:
                return  # the client connects again, to who is there then
            if now() - spoke_s >= PING_S:
                spoke_s = now()
                yield PING
            try:
                job = await jobs.next_change(job, caller, PING_S)
            except JobNotFound:  # deleted while it was listened to
                return
