"""docling-serve's tasks: /v1/convert/{file,source}/async, their status and their result.

A task is a job. It ends with success or failure; pages that failed are in the result's own status.
Its clients poll where a WebSocket is refused, which is what happens here.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.params import Depends
from starlette.responses import JSONResponse

from serve_app.api import docling_examples as examples
from serve_app.api.arrival import arrival_of
from serve_app.api.auth import caller_of
from serve_app.api.connection import before, given_up
from serve_app.api.context import context_of, deadline_of
from serve_app.api.docling import FILE, SOURCE, Read, given_of, params_of
from serve_app.api.docling_request import DoclingOptions, read_file_request, read_source_request
from serve_app.api.docling_writer import DoclingWriter
from serve_app.api.job_handlers import JobHandlers
from serve_app.api.job_intake import number
from serve_app.api.job_result import Form, in_order
from serve_app.documents.page_ranges import parse_page_ranges
from serve_app.errors import InvalidRequest, JobNotFound
from serve_app.jobs.records import JobSpec
from serve_app.jobs.service import Order
from serve_app.policy.job import Job

STATES = {"queued": "pending", "running": "started", "done": "success"}
OPTIONS = "docling"
MAX_WAIT_S = 60.0


class DoclingTaskRoutes(JobHandlers):
    """The handlers."""

    def router(self, client: Depends, place: Depends) -> APIRouter:
        """The routes with their documentation; ``place`` is for those that hold a document."""
        router = APIRouter(tags=["docling-serve's API"], dependencies=[client])
        held, post = [place], ["POST"]
        router.add_api_route(
            f"{FILE}/async", self.file, methods=post, dependencies=held, **examples.FILE_TASK
        )
        router.add_api_route(
            f"{SOURCE}/async", self.source, methods=post, dependencies=held, **examples.SOURCE_TASK
        )
        router.add_api_route("/v1/status/poll/{task_id}", self.status, **examples.STATUS)
        router.add_api_route(
            "/v1/result/{task_id}", self.result, dependencies=held, **examples.RESULT
        )
        return router

    async def file(self, request: Request) -> Response:
        """A form with a file."""
        return await self._submit(request, read_file_request)

    async def source(self, request: Request) -> Response:
        """JSON with a URL, or with the file in it."""
        return await self._submit(request, read_source_request)

    async def _submit(self, request: Request, read: Read) -> Response:
        deadline = deadline_of(request, self._settings.gateway.request_timeout_s)
        arrival = arrival_of(request)
        reading = read(arrival.body, self._fetch)
        sent = await before(deadline, reading, given_up(request))
        arrival.enter()
        params = params_of(sent.options, self._settings)
        info = await before(deadline, self._service.inspect(sent.data))
        pages = parse_page_ranges(sent.options.ranges(len(info.pages)), len(info.pages))
        spec = JobSpec(
            info,
            pages,
            params.options,
            given_of(sent.options, self._settings),
            sent.name,
            {OPTIONS: sent.options.model_dump_json()},
            params.on_page_error,
        )
        owner = caller_of(request).name
        priority = self._settings.jobs.priority
        order = Order(owner, sent.data, spec, params.model, priority, kind="docling")
        job = await before(deadline, self._jobs.submit(order))
        context_of(request).facts |= {"job": job.id, "pages": job.pages}
        return JSONResponse(await self._view(job))

    async def status(self, task_id: str, request: Request) -> Response:
        """How far a task is; with `wait`, when it has ended, or after that many seconds."""
        wait_s = number(request.query_params.get("wait", "0"))
        if not wait_s >= 0:
            raise InvalidRequest("`wait` must be a number of seconds")
        caller = caller_of(request)
        job = await self._job(task_id, request)
        job = await self._jobs.wait(job, caller, min(wait_s, MAX_WAIT_S))
        return JSONResponse(await self._view(job))

    async def result(self, task_id: str, request: Request) -> Response:
        """The answer of /v1/convert, of a task that succeeded."""
        deadline = deadline_of(request, self._settings.gateway.request_timeout_s)
        job = await self._job(task_id, request)
        if job.state != "done":
            why = f"The task is {job.state}" + (f": {job.fault.message}" if job.fault else "")
            raise JobNotFound(f"Task result not found. {why}.")
        spec = await self._jobs.spec(job)
        options = DoclingOptions.model_validate_json(spec.protocol.get(OPTIONS, "{}"))
        finish = params_of(options, self._settings).finish
        took_s = (job.ended_at or 0.0) - (job.started_at or 0.0)
        pages = in_order(spec, list(await self._jobs.pages(job)))
        form = Form(lambda service: DoclingWriter(service, options, finish, lambda: took_s), finish)
        return await self._results.answer(request, job, spec, pages, form, deadline)

    async def _job(self, task_id: str, request: Request) -> Job:
        try:
            return await self._jobs.get(task_id, caller_of(request))
        except JobNotFound:
            raise JobNotFound("Task not found.") from None  # its clients compare

    async def _view(self, job: Job) -> dict[str, Any]:
        message = None
        if job.ended and job.state != "done":
            message = job.fault.message if job.fault else f"The task was {job.state}"
        return {
            "task_id": job.id,
            "task_type": "convert",
            "task_status": STATES.get(job.state, "failure"),
            "task_position": await self._jobs.place(job),
            "task_meta": None,
            "error_message": message,
        }
