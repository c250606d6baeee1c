"""PaddleOCR's Job API v2, which its own SDKs, its CLI and many integrations speak.

Below /api/v2/ocr/jobs. Their quirks that are kept to here: a status of exactly 200; members
without a value are absent; times without a zone; absolute URLs that need no key.
"""

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.params import Depends
from starlette.responses import JSONResponse

from serve_app.api import paddle_job_examples as examples
from serve_app.api.arrival import arrival_of
from serve_app.api.auth import caller_of
from serve_app.api.connection import before, given_up
from serve_app.api.context import context_of, deadline_of, plain_token
from serve_app.api.finish import finish_of
from serve_app.api.job_handlers import JobHandlers
from serve_app.api.job_result import Form, check_done, in_order
from serve_app.api.jobs import NOT_A_PAGE, media_type
from serve_app.api.paddle_lines import JsonLinesWriter, pictures
from serve_app.api.paddle_submission import (
    model_for,
    predict_options,
    read_submission,
)
from serve_app.api.pages import Writer
from serve_app.api.parse_writer import MarkdownWriter
from serve_app.api.signed_urls import Links, check
from serve_app.documents.page_ranges import parse_page_ranges
from serve_app.errors import JobNotFound, PageNotFound
from serve_app.jobs.caller import Caller
from serve_app.jobs.records import JobSpec
from serve_app.jobs.service import Order
from serve_app.jobs.uploads import without_uploads
from serve_app.policy.job import Job

PATH = "/api/v2/ocr/jobs"
MODEL_HEADER = "x-ocr-model"
JSON_LINES, MARKDOWN = "result.jsonl", "result.md"
MAX_BATCH = 1000
# Who has a signed URL needs no key.
SIGNED = Caller(all_jobs=True)
STATES = {"queued": "pending", "running": "running", "done": "done"}


class PaddleJobRoutes(JobHandlers):
    """The handlers."""

    def router(self, client: Depends, place: Depends) -> APIRouter:
        """The routes that ask for a key; ``place`` is for the one that holds a document."""
        router = APIRouter(tags=["PaddleOCR's Job API"], dependencies=[client])
        router.add_api_route(
            PATH, self.submit, methods=["POST"], dependencies=[place], **examples.SUBMIT
        )
        router.add_api_route(f"{PATH}/{{job_id}}", self.status, **examples.STATUS)
        router.add_api_route(
            f"{PATH}/{{job_id}}", self.cancel, methods=["DELETE"], **examples.CANCEL
        )
        router.add_api_route(f"{PATH}/batch/{{batch_id}}", self.batch, **examples.BATCH)
        return router

    def signed_router(self, anybody: Depends, place: Depends) -> APIRouter:
        """The routes behind signed URLs."""
        router = APIRouter(tags=["PaddleOCR's Job API"], dependencies=[anybody, place])
        one = f"{PATH}/{{job_id}}"
        router.add_api_route(f"{one}/{JSON_LINES}", self.json_lines, **examples.JSON_LINES)
        router.add_api_route(f"{one}/{MARKDOWN}", self.markdown, **examples.MARKDOWN)
        image = f"{one}/pages/{{number}}/{{name}}"
        router.add_api_route(image, self.image, **examples.IMAGE)
        return router

    async def submit(self, request: Request) -> Response:
        """Take a document in. A full queue is waited in: the clients do not try again."""
        context = context_of(request)
        if platform := plain_token(request.headers.get("client-platform")):
            context.facts["client_platform"] = platform
        deadline = deadline_of(request, self._settings.gateway.request_timeout_s)
        arrival = arrival_of(request)
        read = read_submission(arrival.body, self._fetch)
        sent = await before(deadline, read, given_up(request))
        arrival.enter()
        model = model_for(sent.asked_model, self._settings)
        pipeline = self._settings.models[model].pipeline
        options = predict_options(sent.payload, pipeline, self._settings)
        info = await before(deadline, self._service.inspect(sent.data))
        pages = parse_page_ranges(sent.pages, len(info.pages))
        order = Order(
            caller_of(request).name,
            sent.data,
            JobSpec(info, pages, options, {"model": model}),
            model,
            self._settings.jobs.priority,
            kind="paddle",
            asked_model=sent.asked_model,
            batch=sent.batch,
        )
        job = await before(deadline, self._jobs.submit(order))
        context.facts |= {"job": job.id, "pages": job.pages, "file_bytes": len(sent.data)}
        return _answer({"jobId": job.id}, {MODEL_HEADER: model})

    async def status(self, job_id: str, request: Request) -> Response:
        """How far a job is. Held until it has ended, for a while: the clients look rarely."""
        caller = caller_of(request)
        job = await self._jobs.get(job_id, caller)
        job = await self._jobs.wait(job, caller, self._settings.jobs.paddle_wait_s)
        return _answer(await self._view(request, job), {MODEL_HEADER: job.model})

    async def cancel(self, job_id: str, request: Request) -> Response:
        """End the job; not in the contract of the clients."""
        job = await self._jobs.cancel(job_id, caller_of(request))
        return _answer(await self._view(request, job))

    async def batch(self, batch_id: str, request: Request) -> Response:
        """The status of every job that was submitted with this name, in that order."""
        caller = caller_of(request)
        jobs = await self._jobs.listed(caller, batch=batch_id, limit=MAX_BATCH)
        jobs = without_uploads(jobs)
        if not jobs:
            raise JobNotFound(f"There is no batch {batch_id[:64]!r}")
        views = [await self._view(request, job) for job in reversed(jobs)]
        return _answer({"batchId": batch_id, "extractResult": views})

    async def json_lines(self, job_id: str, request: Request) -> Response:
        """The result, as lines of JSON."""

        def writer(job: Job, links: Links) -> Writer:
            model = model_for(job.model, self._settings)
            pipeline = self._settings.models[model].pipeline
            notice = f"{job.asked_model} was asked for; the model {job.model} ({pipeline}) answered"
            return JsonLinesWriter(
                job.id,
                lambda index, name: links.url(_image(index + 1, name)),
                layout=pipeline == "PP-StructureV3",
                notice=notice if job.asked_model not in (job.model, pipeline) else "",
            )

        return await self._result(job_id, request, JSON_LINES, writer)

    async def markdown(self, job_id: str, request: Request) -> Response:
        """The result as markdown, with its pictures in it."""
        return await self._result(
            job_id, request, MARKDOWN, lambda job, links: MarkdownWriter("data_uri")
        )

    async def image(self, job_id: str, number: str, name: str, request: Request) -> Response:
        """A picture of a page."""
        check(request, await self._jobs.secret(), job_id, _image(number, name))
        arrival_of(request).enter()
        job = await self._jobs.get(job_id, SIGNED)
        # Signed by us, so it is a number.
        result = await self._jobs.result(job, int(number) - 1)
        data = pictures(result).get(name)
        if data is None:
            raise PageNotFound(f"The page has no picture {name[:64]!r}")
        return Response(data, media_type=media_type(data), headers=NOT_A_PAGE)

    async def _result(
        self, job_id: str, request: Request, rest: str, writer: Callable[[Job, Links], Writer]
    ) -> Response:
        check(request, await self._jobs.secret(), job_id, rest)
        deadline = deadline_of(request, self._settings.gateway.request_timeout_s)
        job = await self._jobs.get(job_id, SIGNED)
        check_done(job)
        spec = await self._jobs.spec(job)
        pages = in_order(spec, list(await self._jobs.pages(job)))
        links = await self._links(request, job)
        made = writer(job, links)
        finish = finish_of(
            spec.options, self._settings.models[model_for(job.model, self._settings)]
        )
        form = Form(lambda service: made, finish)
        return await self._results.answer(request, job, spec, pages, form, deadline)

    async def _links(self, request: Request, job: Job) -> Links:
        """They last as long as the results do."""
        public = self._settings.jobs.public_url or str(request.base_url)
        expires = int(job.expires_at or job.deadline_at)
        return Links(await self._jobs.secret(), public.rstrip("/") + PATH, job.id, expires)

    async def _view(self, request: Request, job: Job) -> dict[str, Any]:
        view: dict[str, Any] = {"jobId": job.id, "state": STATES.get(job.state, "failed")}
        if job.started_at is not None:
            progress: dict[str, Any] = {
                "totalPages": job.pages,
                "extractedPages": job.pages_done,
                "startTime": _time(job.started_at),
            }
            if job.ended_at is not None:
                progress["endTime"] = _time(job.ended_at)
            view["extractProgress"] = progress
        if job.state == "done":
            links = await self._links(request, job)
            view["resultUrl"] = {
                "jsonUrl": links.url(JSON_LINES),
                "markdownUrl": links.url(MARKDOWN),
            }
        elif view["state"] == "failed":
            view["errorMsg"] = job.fault.message if job.fault else f"The job was {job.state}"
        return view


def _image(number: int | str, name: str) -> str:
    return f"pages/{number}/{name}"


def _answer(data: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"code": 0, "msg": "Success", "data": data}, headers=headers)


def _time(at: float) -> str:
    """In UTC; the clients' parsers know no zone."""
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
