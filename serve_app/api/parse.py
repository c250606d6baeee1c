"""POST /v1/parse: a document for people, with curl, in the format that was asked for."""

from fastapi import APIRouter, Request, Response
from fastapi.params import Depends

from serve_app.api import examples
from serve_app.api.arrival import arrival_of
from serve_app.api.connection import before, given_up, while_connected
from serve_app.api.context import Deadline, context_of, deadline_of, priority_of
from serve_app.api.intake import Fetch
from serve_app.api.job_intake import read_submission
from serve_app.api.pages import Work, answer
from serve_app.api.parse_formats import headers_for, writer_for
from serve_app.api.parse_params import ParseParams, once, openapi_parameters, read_params
from serve_app.api.request_task import RequestTask, RequestTasks
from serve_app.api.upload import Upload
from serve_app.documents.page_ranges import parse_page_ranges
from serve_app.jobs.uploads import StoredUploads
from serve_app.messages import Priority
from serve_app.ports import DocumentService
from serve_app.settings import AppSettings


class ParseRoutes:
    """The handler."""

    def __init__(
        self,
        service: DocumentService,
        settings: AppSettings,
        tasks: RequestTasks,
        fetch: Fetch,
        uploads: StoredUploads | None,
    ) -> None:
        self._service, self._tasks, self._fetch = service, tasks, fetch
        self._settings, self._uploads = settings, uploads

    def router(self, *asked: Depends) -> APIRouter:
        """The route with its documentation; ``asked`` come before its handler."""
        router = APIRouter(tags=["Documents"], dependencies=asked)
        documented = examples.parse(openapi_parameters(self._settings))
        router.add_api_route("/v1/parse", self.parse, methods=["POST"], **documented)
        return router

    async def parse(self, request: Request) -> Response:
        """Read the file, then answer with all its pages or with an error, never with some."""
        deadline = deadline_of(request, self._settings.gateway.request_timeout_s)
        arrival = arrival_of(request)
        read = read_submission(arrival.body, self._fetch, self._uploads)
        upload = await before(deadline, read, given_up(request))
        arrival.enter()
        context_of(request).facts["file_bytes"] = len(upload.data)
        query = once(request.query_params.multi_items())
        params = read_params({**upload.fields, **query}, self._settings)
        priority = priority_of(request)
        with self._tasks.task(context_of(request), params.model) as task:
            work = self._answer(upload, params, priority, deadline, task)
            return await while_connected(request, deadline, work)

    async def _answer(
        self,
        upload: Upload,
        params: ParseParams,
        priority: Priority,
        deadline: Deadline,
        task: RequestTask,
    ) -> Response:
        info = await self._service.inspect(upload.data)
        pages = parse_page_ranges(params.pages, len(info.pages))
        asked = params.request(task.ids, upload.data, info, pages, priority, upload.name)
        headers = headers_for(params.format, upload.name)
        writer = writer_for(params, self._service)
        work = Work(asked, params.finish)
        return await answer(self._service, work, deadline, writer, task, headers)
