"""Our API of jobs: /v1/jobs. What is asked of a job is in ``jobs/service.py``."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from fastapi import APIRouter, Request, Response
from fastapi.params import Depends
from starlette.responses import JSONResponse

from serve_app.api import job_examples as examples
from serve_app.api.arrival import arrival_of
from serve_app.api.auth import caller_of
from serve_app.api.connection import before, given_up
from serve_app.api.context import context_of, deadline_of
from serve_app.api.job_events import events_response, last_id
from serve_app.api.job_handlers import JobHandlers
from serve_app.api.job_intake import (
    form_params,
    idempotency_key,
    job_params,
    number,
    read_submission,
)
from serve_app.api.job_result import PARTIAL_HEADER, check_done, form_of, in_order
from serve_app.api.job_views import job_view
from serve_app.api.parse_params import once
from serve_app.document import PageResult
from serve_app.documents.page_ranges import parse_page_ranges
from serve_app.documents.sniff import sniff
from serve_app.errors import InvalidRequest, PageNotFound, QueueFull
from serve_app.jobs.records import JobSpec
from serve_app.jobs.service import Order
from serve_app.jobs.stored_document import error_of
from serve_app.jobs.uploads import without_uploads
from serve_app.policy.job import Job

MAX_WAIT_S = 60.0
DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
INPUT_IMAGE = "input_img"


class JobRoutes(JobHandlers):
    """The handlers."""

    def router(self, client: Depends, place: Depends) -> APIRouter:
        """The routes with their documentation; ``place`` is for those that hold a document."""
        router = APIRouter(tags=["Jobs"], dependencies=[client])
        held, one = [place], "/v1/jobs/{job_id}"
        documented = examples.submit(self._settings)
        router.add_api_route(
            "/v1/jobs", self.submit, methods=["POST"], dependencies=held, **documented
        )
        router.add_api_route("/v1/jobs", self.listed, **examples.LIST)
        router.add_api_route(one, self.status, **examples.STATUS)
        router.add_api_route(one, self.cancel, methods=["DELETE"], **examples.CANCEL)
        router.add_api_route(f"{one}/events", self.events, **examples.EVENTS)
        router.add_api_route(f"{one}/result", self.result, dependencies=held, **examples.RESULT)
        page = f"{one}/pages/{{number}}"
        router.add_api_route(page, self.page, dependencies=held, **examples.PAGE)
        router.add_api_route(f"{page}/image", self.image, dependencies=held, **examples.IMAGE)
        return router

    async def submit(self, request: Request) -> Response:
        """Take a document in; its pages are predicted in the background."""
        deadline = deadline_of(request, self._settings.gateway.request_timeout_s)
        key = idempotency_key(request)
        arrival = arrival_of(request)
        read = read_submission(arrival.body, self._fetch, self._jobs.uploads)
        upload = await before(deadline, read, given_up(request))
        arrival.enter()
        context_of(request).facts["file_bytes"] = len(upload.data)
        params = job_params(request, upload.fields, self._settings)
        info = await before(deadline, self._service.inspect(upload.data))
        pages = parse_page_ranges(params.parse.pages, len(info.pages))
        spec = JobSpec(
            info,
            tuple(pages),
            params.options,
            params.form,
            upload.name,
            on_page_error=params.parse.on_page_error,
        )
        order = Order(
            caller_of(request).name,
            upload.data,
            spec,
            params.parse.model,
            params.priority,
            params.deadline_s,
            idempotency_key=key,
            callback_url=params.callback_url,
        )
        job = await before(deadline, self._jobs.submit(order))
        context_of(request).facts |= {"job": job.id, "pages": job.pages}
        prefix = request.scope.get("root_path", "").rstrip("/")
        headers = {"location": f"{prefix}/v1/jobs/{job.id}"}
        return JSONResponse(await self._view(job), 202, headers)

    async def listed(self, request: Request) -> Response:
        """The caller's jobs, newest first; an operator's key sees everybody's."""
        query = once(request.query_params.multi_items())
        _known(query, ("limit", "before"))
        limit = int(_number(query, "limit", DEFAULT_LIMIT, MAX_LIMIT, least=1))
        found = await self._jobs.listed(caller_of(request), before=query.get("before"), limit=limit)
        body: dict[str, object] = {"jobs": [job_view(job) for job in without_uploads(found)]}
        if len(found) == limit:
            body["next"] = f"/v1/jobs?limit={limit}&before={found[-1].id}"
        return JSONResponse(body)

    async def status(self, job_id: str, request: Request) -> Response:
        """The job; with `wait`, when it has ended, or after that many seconds."""
        query = once(request.query_params.multi_items())
        _known(query, ("wait",))
        wait_s = _number(query, "wait", 0, MAX_WAIT_S)
        caller = caller_of(request)
        job = await self._jobs.get(job_id, caller)
        return JSONResponse(await self._view(await self._jobs.wait(job, caller, wait_s)))

    async def cancel(self, job_id: str, request: Request) -> Response:
        """End the job; one that has ended is deleted with its results."""
        caller = caller_of(request)
        existed = (await self._jobs.get(job_id, caller)).ended
        job = await self._jobs.cancel(job_id, caller)
        view = await self._view(job)
        return JSONResponse({**view, "deleted": True} if existed else view)

    async def events(self, job_id: str, request: Request) -> Response:
        """State, each page and the end, as server-sent events."""
        caller = caller_of(request)
        job = await self._jobs.get(job_id, caller)
        if self._jobs.waiters.full:
            raise QueueFull("As many requests wait for jobs as may (jobs.max_waiting)")
        return events_response(self._jobs, job, caller, last_id(request))

    async def result(self, job_id: str, request: Request) -> Response:
        """The document, in any form; with `partial`, the pages that have ended so far."""
        deadline = deadline_of(request, self._settings.gateway.request_timeout_s)
        query = once(request.query_params.multi_items())
        partial = _flag(query.pop("partial", "false"))
        job = await self._jobs.get(job_id, caller_of(request))
        if not partial:
            check_done(job)
        spec = await self._jobs.spec(job)
        params = form_params(spec.params, query, self._settings)
        pages = in_order(spec, list(await self._jobs.pages(job)))
        form = form_of(params, spec.name)
        response = await self._results.answer(request, job, spec, pages, form, deadline)
        if job.state != "done":
            response.headers[PARTIAL_HEADER] = f"{len(pages)}/{job.pages}"
        return response

    async def page(self, job_id: str, number: str, request: Request) -> Response:
        """One page, in any form."""
        deadline = deadline_of(request, self._settings.gateway.request_timeout_s)
        query = once(request.query_params.multi_items())
        job = await self._jobs.get(job_id, caller_of(request))
        spec = await self._jobs.spec(job)
        params = form_params(spec.params, query, self._settings)
        page = await self._jobs.page(job, _index(number))
        form = form_of(params, spec.name)
        return await self._results.answer(request, job, spec, [page], form, deadline)

    async def image(self, job_id: str, number: str, request: Request) -> Response:
        """A picture of a page: one that was drawn, or one that its markdown refers to."""
        query = once(request.query_params.multi_items())
        _known(query, ("name",))
        arrival_of(request).enter()
        job = await self._jobs.get(job_id, caller_of(request))
        page = await self._jobs.page(job, _index(number))
        if page.fault is not None:
            raise error_of(page.fault)
        result = await self._jobs.result(job, page.index)
        data = picture(result, query.get("name", INPUT_IMAGE))
        return Response(data, media_type=media_type(data), headers=NOT_A_PAGE)

    async def _view(self, job: Job) -> dict[str, object]:
        return job_view(job, await self._jobs.place(job))


# A browser shows it as what its type says, whatever is in it.
NOT_A_PAGE = {"x-content-type-options": "nosniff"}


def media_type(data: bytes) -> str:
    """Of a picture, from its first bytes."""
    return f"image/{sniff(data)}"


def picture(result: PageResult, name: str) -> bytes:
    """One of the page's pictures.

    Raises:
        PageNotFound: names those that there are.
    """
    pictures = dict(result.images)
    if result.markdown is not None:
        pictures |= result.markdown.images
    if name in pictures:
        return pictures[name]
    there = ", ".join(sorted(pictures)) or "none; drawn ones come with `visualize=true`"
    raise PageNotFound(f"The page has no picture {PurePosixPath(name).name[:64]!r}; it has {there}")


def _index(number: str) -> int:
    if not (number.isascii() and number.isdigit() and 0 < len(number) < 10 and int(number)):
        raise PageNotFound("Pages are numbered from 1")
    return int(number) - 1


def _known(query: dict[str, str], names: Sequence[str]) -> None:
    for name in query:
        if name not in names:
            raise InvalidRequest(f"`{name[:64]}` is not one of {', '.join(names)}")


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise InvalidRequest("`partial` must be true or false")
    return text == "true"


def _number(
    query: dict[str, str], name: str, default: float, most: float, least: float = 0
) -> float:
    value = number(query.get(name, str(default)))
    if not least <= value <= most:
        raise InvalidRequest(f"`{name}` must be a number from {least:g} to {most:g}")
    return value
