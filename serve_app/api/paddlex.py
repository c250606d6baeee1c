"""PaddleX's synchronous protocol: POST /ocr, POST /layout-parsing (and /paddleocr), GET /health.

A drop-in for ``paddlex --serve``. Where it is better than the original (any fileType, ``data:``
URLs, no silent cut after ten pages, notices) is listed and tested in
``tests/integration/test_paddlex_conformance.py``.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.params import Depends
from pydantic import ValidationError

from serve_app.api import examples, schemas
from serve_app.api.arrival import arrival_of
from serve_app.api.body import Body
from serve_app.api.connection import before, given_up, while_connected
from serve_app.api.context import (
    Deadline,
    context_of,
    deadline_of,
    plain_token,
    priority_of,
)
from serve_app.api.errors import NOT_AN_OBJECT, InvalidBody
from serve_app.api.file_text import json_of
from serve_app.api.finish import finish_of
from serve_app.api.intake import Fetch, decode_file
from serve_app.api.paddlex_writer import LayoutParsingWriter, OcrWriter, PaddlexWriter
from serve_app.api.pages import Work, answer
from serve_app.api.request_task import RequestTask, RequestTasks
from serve_app.document import DocumentRequest, FileBytes, PredictOptions
from serve_app.messages import Priority
from serve_app.pipeline_options import PREDICT_OPTIONS, to_snake
from serve_app.ports import DocumentService
from serve_app.settings import AppSettings, PipelineName

# Told to the client; what is beyond them is one more.
MAX_ERRORS = 9

AnyRequest = schemas.OcrRequest | schemas.LayoutParsingRequest


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What differs between /ocr and /layout-parsing.

    Attributes:
        pipeline: decides which request fields are predict options.
        model: the declared model that answers.
        schema: of the request.
        writer: of the answer.
    """

    pipeline: PipelineName
    model: str
    schema: type[AnyRequest]
    writer: type[PaddlexWriter]


@dataclass(frozen=True, slots=True)
class Call:
    """A valid request, without its base64 text."""

    data: FileBytes
    options: PredictOptions
    priority: Priority


class PaddlexRoutes:
    """The handlers; each route is there only if the configuration declares its model."""

    def __init__(
        self,
        service: DocumentService,
        settings: AppSettings,
        tasks: RequestTasks,
        fetch: Fetch,
    ) -> None:
        self._service, self._tasks, self._fetch = service, tasks, fetch
        self._settings = settings
        names = settings.paddlex
        self._ocr = Endpoint("OCR", names.ocr_model, schemas.OcrRequest, OcrWriter)
        self._layout = Endpoint(
            "PP-StructureV3",
            names.layout_parsing_model,
            schemas.LayoutParsingRequest,
            LayoutParsingWriter,
        )

    def router(self, *asked: Depends) -> APIRouter:
        """The routes with their documentation; ``asked`` come before their handlers."""
        router = APIRouter(tags=["PaddleX protocol"], dependencies=asked)
        if self._ocr.model in self._settings.models:
            router.add_api_route("/ocr", self.ocr, methods=["POST"], **examples.OCR)
        if self._layout.model in self._settings.models:
            path, alias = "/layout-parsing", "/paddleocr"
            router.add_api_route(path, self.layout, methods=["POST"], **examples.LAYOUT_PARSING)
            router.add_api_route(alias, self.layout, methods=["POST"], **examples.PADDLEOCR)
        return router

    async def ocr(self, request: Request) -> Response:
        """Find and read the lines of text."""
        return await self._handle(request, self._ocr)

    async def layout(self, request: Request) -> Response:
        """Read the layout: headings, paragraphs, tables, formulas, pictures."""
        return await self._handle(request, self._layout)

    async def _handle(self, request: Request, endpoint: Endpoint) -> Response:
        deadline = deadline_of(request, self._settings.gateway.request_timeout_s)
        arrival = arrival_of(request)
        read = self._read(request, arrival.body, endpoint)
        call = await before(deadline, read, given_up(request))
        arrival.enter()
        with self._tasks.task(context_of(request), endpoint.model) as task:
            work = self._answer(endpoint, call, deadline, task)
            return await while_connected(request, deadline, work)

    async def _read(self, request: Request, body: Body, endpoint: Endpoint) -> Call:
        value, text = await json_of(body)
        context = context_of(request)
        if isinstance(value, dict):
            context.log_id = plain_token(value.get("logId")) or context.log_id
        form = validate(endpoint.schema, value)
        if text is None:
            data = await decode_file(form.file, self._fetch, body.hold)
        else:
            data = await text.decoded(self._fetch, body.hold)
        context.facts["file_bytes"] = len(data)
        paddlex = self._settings.paddlex
        options = dataclasses.replace(
            options_of(form, endpoint.pipeline, paddlex.visualize),
            keep_all_text=paddlex.keep_all_text,
            text_layer=paddlex.text_layer,
            detection_side=paddlex.detection_side,
        )
        return Call(data, options, priority_of(request))

    async def _answer(
        self, endpoint: Endpoint, call: Call, deadline: Deadline, task: RequestTask
    ) -> Response:
        info = await self._service.inspect(call.data)
        finish = finish_of(call.options, self._settings.models[endpoint.model])
        pages = range(len(info.pages))
        asked = DocumentRequest(
            task.ids, call.data, info, pages, endpoint.model, call.options, call.priority
        )
        writer = endpoint.writer(task.context.log_id)
        return await answer(self._service, Work(asked, finish), deadline, writer, task)


def validate(schema: type[AnyRequest], value: object) -> AnyRequest:
    """The request as a model.

    Raises:
        InvalidBody: with PaddleX's list of errors.
    """
    if not isinstance(value, dict):
        raise InvalidBody([NOT_AN_OBJECT])
    try:
        return schema.model_validate(value)
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidBody(_few([_listed(error) for error in errors])) from None


def _few(errors: list[dict[str, str]]) -> list[dict[str, str]]:
    """Ten at most: the first ones, and how many more there are."""
    more = len(errors) - MAX_ERRORS
    if more <= 1:
        return errors
    rest = {"type": "too_many_errors", "loc": "body", "msg": f"and {more} more errors"}
    return [*errors[:MAX_ERRORS], rest]


def _listed(error: Any) -> dict[str, str]:
    loc = "body" + "".join(f"[{x}]" if isinstance(x, int) else f".{x}" for x in error["loc"])
    return {"type": error["type"], "loc": loc, "msg": error["msg"]}


def options_of(form: AnyRequest, pipeline: PipelineName, visualize: bool) -> PredictOptions:
    """The options of a request; only what the client really sent goes to ``predict``.

    PaddleX sends its own default for some fields, which here would overrule the configured ones.
    """
    sent = {to_snake(name): getattr(form, name) for name in form.model_fields_set}
    known = PREDICT_OPTIONS[pipeline]
    predict = {name: value for name, value in sent.items() if name in known and value is not None}
    if form.visualize is not None:
        visualize = form.visualize
    if not isinstance(form, schemas.LayoutParsingRequest):
        return PredictOptions(predict, visualize)
    return PredictOptions(
        predict,
        visualize,
        prettify_markdown=form.prettifyMarkdown,
        show_formula_number=form.showFormulaNumber,
        markdown_images=form.returnMarkdownImages,
        output_formats=tuple(dict.fromkeys(form.outputFormats or ())),
    )
