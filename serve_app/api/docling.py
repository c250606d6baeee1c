"""docling-serve's API v1, at once: /v1/convert/{file,source}. Tasks are in ``docling_tasks.py``.

One document a request, answered in the body. Options of docling's own pipelines have no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.params import Depends
from starlette.responses import JSONResponse

from serve_app.api import docling_examples as examples
from serve_app.api.arrival import arrival_of
from serve_app.api.body import Body
from serve_app.api.connection import before, given_up, while_connected
from serve_app.api.context import Deadline, context_of, deadline_of, priority_of
from serve_app.api.docling_request import (
    Conversion,
    DoclingOptions,
    read_file_request,
    read_source_request,
)
from serve_app.api.docling_writer import DoclingWriter
from serve_app.api.intake import Fetch
from serve_app.api.pages import Work, answer
from serve_app.api.parse_params import ParseParams, default_model, read_params
from serve_app.api.request_task import RequestTask, RequestTasks
from serve_app.clock import now
from serve_app.documents.page_ranges import parse_page_ranges
from serve_app.messages import Priority
from serve_app.ports import DocumentService
from serve_app.settings import AppSettings

FILE, SOURCE = "/v1/convert/file", "/v1/convert/source"
Read = Callable[[Body, Fetch], Coroutine[Any, Any, Conversion]]


class DoclingRoutes:
    """The handlers."""

    def __init__(
        self, service: DocumentService, settings: AppSettings, tasks: RequestTasks, fetch: Fetch
    ) -> None:
        self._service, self._settings = service, settings
        self._tasks, self._fetch = tasks, fetch

    def router(self, *asked: Depends) -> APIRouter:
        """The routes with their documentation; ``asked`` come before their handlers."""
        router = APIRouter(tags=["docling-serve's API"], dependencies=asked)
        router.add_api_route(FILE, self.file, methods=["POST"], **examples.FILE)
        router.add_api_route(SOURCE, self.source, methods=["POST"], **examples.SOURCE)
        return router

    def version_router(self, anybody: Depends) -> APIRouter:
        """What its clients look at first."""
        router = APIRouter(tags=["docling-serve's API"], dependencies=[anybody])
        router.add_api_route("/version", self.version, **examples.VERSION)
        return router

    async def version(self, request: Request) -> Response:
        """Of this server."""
        return JSONResponse({"ocr-serve": request.app.version, "docling-serve": "1 (API)"})

    async def file(self, request: Request) -> Response:
        """A form with a file."""
        return await self._convert(request, read_file_request)

    async def source(self, request: Request) -> Response:
        """JSON with a URL, or with the file in it."""
        return await self._convert(request, read_source_request)

    async def _convert(self, request: Request, read: Read) -> Response:
        deadline = deadline_of(request, self._settings.gateway.request_timeout_s)
        arrival, started_s = arrival_of(request), now()
        reading = read(arrival.body, self._fetch)
        sent = await before(deadline, reading, given_up(request))
        arrival.enter()
        context_of(request).facts["file_bytes"] = len(sent.data)
        params = params_of(sent.options, self._settings)
        writer = DoclingWriter(
            self._service, sent.options, params.finish, lambda: now() - started_s
        )
        priority = priority_of(request)
        with self._tasks.task(context_of(request), params.model) as task:
            work = self._answer(sent, params, priority, writer, deadline, task)
            return await while_connected(request, deadline, work)

    async def _answer(
        self,
        sent: Conversion,
        params: ParseParams,
        priority: Priority,
        writer: DoclingWriter,
        deadline: Deadline,
        task: RequestTask,
    ) -> Response:
        info = await self._service.inspect(sent.data)
        pages = parse_page_ranges(sent.options.ranges(len(info.pages)), len(info.pages))
        asked = params.request(task.ids, sent.data, info, pages, priority, sent.name)
        return await answer(self._service, Work(asked, params.finish), deadline, writer, task)


def params_of(options: DoclingOptions, settings: AppSettings) -> ParseParams:
    """Docling's options as those of our own API."""
    return read_params(given_of(options, settings), settings)


def given_of(options: DoclingOptions, settings: AppSettings) -> dict[str, str]:
    """The same as parameters of POST /v1/parse."""
    model = default_model(settings)
    given = {
        "model": model,
        "format": "json",
        "images": "data_uri" if options.image_export_mode == "embedded" else "omit",
        "on_page_error": "fail" if options.abort_on_error else "partial",
    }
    if options.force_ocr:
        given["text_layer"] = "off"
    elif not options.do_ocr:
        given["text_layer"] = "only"
    if settings.models[model].pipeline == "PP-StructureV3":
        given["prettify_markdown"] = "false"
        if not options.do_table_structure:
            given["use_table_recognition"] = "false"
    return given
