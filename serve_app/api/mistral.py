"""Mistral's POST /v1/ocr: Open WebUI, LiteLLM, LibreChat and its own SDK speak it.

What needs a language model (annotations) is left out with a notice; what is a matter of taste
(table_format, blocks, confidence) has no effect.
"""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.params import Depends

from serve_app.api import mistral_examples as examples
from serve_app.api.arrival import arrival_of
from serve_app.api.auth import caller_of
from serve_app.api.connection import before, given_up, while_connected
from serve_app.api.context import Deadline, context_of, deadline_of, priority_of
from serve_app.api.intake import Fetch, Grow
from serve_app.api.mistral_files import MistralFileRoutes
from serve_app.api.mistral_request import Document, read_document
from serve_app.api.mistral_writer import MistralWriter, Pictures
from serve_app.api.pages import NOTICE_HEADER, Work, answer
from serve_app.api.parse_params import default_model, read_params
from serve_app.api.request_task import RequestTask, RequestTasks
from serve_app.document import FileBytes
from serve_app.documents.page_ranges import parse_page_ranges
from serve_app.jobs.caller import Caller
from serve_app.ports import DocumentService
from serve_app.settings import AppSettings

PATH = "/v1/ocr"
THEIR_MODELS = "mistral-ocr"


class MistralRoutes:
    """The handler.

    Args:
        files: what was uploaded; None: nothing is kept here.
    """

    def __init__(
        self,
        service: DocumentService,
        settings: AppSettings,
        tasks: RequestTasks,
        fetch: Fetch,
        files: MistralFileRoutes | None = None,
    ) -> None:
        self._service, self._settings = service, settings
        self._tasks, self._fetch, self._files = tasks, fetch, files

    def router(self, *asked: Depends) -> APIRouter:
        """The route with its documentation; ``asked`` come before its handler."""
        router = APIRouter(tags=["Mistral's API"], dependencies=asked)
        router.add_api_route(PATH, self.process, methods=["POST"], **examples.OCR)
        return router

    async def process(self, request: Request) -> Response:
        """Read the document, then answer with all its pages."""
        deadline = deadline_of(request, self._settings.gateway.request_timeout_s)
        arrival = arrival_of(request)
        caller = caller_of(request)
        read = read_document(arrival.body, self._fetch, partial(self._by_id, caller), self._by_url)
        sent = await before(deadline, read, given_up(request))
        arrival.enter()
        context_of(request).facts["file_bytes"] = len(sent.data)
        model = self._model(sent.asked.model)
        with self._tasks.task(context_of(request), model) as task:
            work = self._answer(sent, model, request, deadline, task)
            return await while_connected(request, deadline, work)

    async def _answer(
        self, sent: Document, model: str, request: Request, deadline: Deadline, task: RequestTask
    ) -> Response:
        given = {"model": model, "format": "json", "prettify_markdown": "false"}
        if self._settings.models[model].pipeline == "OCR":
            del given["prettify_markdown"]
        params = read_params(given, self._settings)
        info = await self._service.inspect(sent.data)
        pages = parse_page_ranges(sent.ranges, len(info.pages))
        wanted = params.request(task.ids, sent.data, info, pages, priority_of(request))
        asked = sent.asked
        pictures = Pictures(
            bool(asked.include_image_base64), asked.image_limit, asked.image_min_size or 0
        )
        writer = MistralWriter(model, len(sent.data), pictures)
        response = await answer(self._service, Work(wanted, params.finish), deadline, writer, task)
        if sent.notices:
            said = [*sent.notices, *filter(None, [response.headers.get(NOTICE_HEADER)])]
            response.headers[NOTICE_HEADER] = "; ".join(said)
        return response

    def _model(self, asked: str | None) -> str:
        """The one that answers for theirs; a declared one for itself.

        Raises:
            UnknownModel: it is neither.
        """
        if asked is None or asked.startswith(THEIR_MODELS):
            return default_model(self._settings)
        return read_params({"model": asked}, self._settings).model

    async def _by_id(self, caller: Caller, file_id: str, grow: Grow) -> FileBytes | None:
        return None if self._files is None else await self._files.by_id(file_id, caller, grow)

    async def _by_url(self, url: str, grow: Grow) -> FileBytes | None:
        return None if self._files is None else await self._files.by_url(url, grow)
