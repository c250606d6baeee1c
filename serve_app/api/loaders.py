"""Loaders that PUT a raw file: Open WebUI's external one (/process), and Tika's (/tika/text)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import unquote

from fastapi import APIRouter, Request, Response
from fastapi.params import Depends

from serve_app.api import loader_examples as examples
from serve_app.api.arrival import arrival_of
from serve_app.api.connection import before, given_up, while_connected
from serve_app.api.context import Deadline, context_of, deadline_of, priority_of
from serve_app.api.docling_writer import escaped
from serve_app.api.intake import Fetch
from serve_app.api.json_pieces import dump
from serve_app.api.pages import Work, Writer, answer
from serve_app.api.parse_params import ParseParams, default_model, read_params
from serve_app.api.parse_writer import TextWriter, page_markdown
from serve_app.api.request_task import RequestTask, RequestTasks
from serve_app.api.upload import Upload, read_upload
from serve_app.document import DocumentRequest, FailedPage, PageResult
from serve_app.messages import Priority
from serve_app.ports import DocumentService
from serve_app.settings import AppSettings

NAME_HEADER = "x-filename"  # percent-encoded


class LoaderRoutes:
    """The handlers."""

    def __init__(
        self, service: DocumentService, settings: AppSettings, tasks: RequestTasks, fetch: Fetch
    ) -> None:
        self._service, self._settings = service, settings
        self._tasks, self._fetch = tasks, fetch

    def router(self, *asked: Depends) -> APIRouter:
        """The routes with their documentation; ``asked`` come before their handlers."""
        router = APIRouter(tags=["Loaders"], dependencies=asked)
        router.add_api_route("/process", self.process, methods=["PUT"], **examples.PROCESS)
        router.add_api_route("/tika/text", self.tika, methods=["PUT"], **examples.TIKA)
        return router

    async def process(self, request: Request) -> Response:
        """A list with each page as Markdown."""
        return await self._load(request, PagesWriter)

    async def tika(self, request: Request) -> Response:
        """The text, in the member that Tika has it in."""
        return await self._load(request, TikaWriter)

    async def _load(self, request: Request, writer: Callable[[str], Writer]) -> Response:
        deadline = deadline_of(request, self._settings.gateway.request_timeout_s)
        arrival = arrival_of(request)
        read = read_upload(arrival.body, self._fetch)
        upload = await before(deadline, read, given_up(request))
        arrival.enter()
        context_of(request).facts["file_bytes"] = len(upload.data)
        model = default_model(self._settings)
        params = read_params({"model": model, "images": "omit"}, self._settings)
        priority = priority_of(request)
        name = unquote(request.headers.get(NAME_HEADER, "")) or upload.name
        with self._tasks.task(context_of(request), model) as task:
            work = self._answer(upload, params, priority, writer(name), deadline, task)
            return await while_connected(request, deadline, work)

    async def _answer(
        self,
        upload: Upload,
        params: ParseParams,
        priority: Priority,
        writer: Writer,
        deadline: Deadline,
        task: RequestTask,
    ) -> Response:
        info = await self._service.inspect(upload.data)
        pages = range(len(info.pages))
        asked = params.request(task.ids, upload.data, info, pages, priority)
        return await answer(self._service, Work(asked, params.finish), deadline, writer, task)


class PagesWriter:
    """Open WebUI's documents: one a page, so that what it quotes has a page."""

    media_type = "application/json"

    def __init__(self, name: str) -> None:
        self._name, self._separator = name, b""

    def head(self, document: DocumentRequest) -> Iterator[bytes]:
        """Opens the list."""
        yield b"["

    def page(self, page: PageResult) -> Iterator[bytes]:
        """One element."""
        metadata: dict[str, Any] = {"page": page.index, "page_label": str(page.index + 1)}
        if self._name:
            metadata["source"] = self._name
        text = page_markdown(page, "omit").text
        yield self._separator + dump({"page_content": text, "metadata": metadata})
        self._separator = b","

    def failed(self, page: FailedPage) -> Iterator[bytes]:
        """The list has no place for one that failed."""
        raise page.error

    def tail(self, document: DocumentRequest, notices: Sequence[str]) -> Iterator[bytes]:
        """Closes it."""
        yield b"]"


class TikaWriter:
    """Tika's JSON: the text of all pages, and what kind of file it was."""

    media_type = "application/json"

    def __init__(self, name: str) -> None:
        self._name, self._text = name, TextWriter()

    def head(self, document: DocumentRequest) -> Iterator[bytes]:
        """Everything that is known before the text."""
        kind = "application/pdf" if document.info.kind == "pdf" else f"image/{document.info.kind}"
        facts = {"Content-Type": kind, "xmpTPg:NPages": str(len(document.info.pages))}
        if self._name:
            facts["resourceName"] = self._name
        yield dump(facts)[:-1] + b',"X-TIKA:content":"'

    def page(self, page: PageResult) -> Iterator[bytes]:
        """Its lines."""
        return escaped(self._text.page(page))

    def failed(self, page: FailedPage) -> Iterator[bytes]:
        """Tika has no place for a page that failed."""
        raise page.error

    def tail(self, document: DocumentRequest, notices: Sequence[str]) -> Iterator[bytes]:
        """The end of the text."""
        yield b'"}'
