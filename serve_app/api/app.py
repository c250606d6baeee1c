"""build_http_app(service, settings): the HTTP edge, without Ray and without a pipeline.

One class of routes per file; ``context.py`` is around all of them and ``errors.py`` writes every
error. Bodies are read by ``intake.py`` and ``upload.py``, answers are spooled by ``pages.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from serve_app.api.api_keys import KeySource
from serve_app.api.auth import AuthMiddleware
from serve_app.api.context import RequestContext, RequestContextMiddleware
from serve_app.api.errors import error_response, handle_http_exception
from serve_app.api.gate import RequestGate, RequestGateMiddleware
from serve_app.api.health import HealthRoutes
from serve_app.api.intake import Fetch, refuse_url
from serve_app.api.models import ModelRoutes
from serve_app.api.operator import OperatorRoutes
from serve_app.api.paddlex import PaddlexRoutes
from serve_app.api.parse import ParseRoutes
from serve_app.api.request_task import RequestTasks
from serve_app.api.url_fetch import UrlFetcher
from serve_app.ports import DocumentService, OperatorService
from serve_app.settings import AppSettings

DESCRIPTION = (
    "OCR and document parsing. `/ocr` and `/layout-parsing` speak the protocol of "
    "`paddlex --serve`; `/v1/parse` takes a file and gives markdown."
)


def build_http_app(
    service: DocumentService,
    settings: AppSettings,
    *,
    operator: OperatorService | None = None,
    tasks: RequestTasks | None = None,
    request_id_header: bool = True,
    fetch: Fetch | None = None,
    gate: RequestGate | None = None,
    on_end: Callable[[RequestContext], None] = lambda context: None,
) -> FastAPI:
    """The whole HTTP application.

    Args:
        service: everything behind the edge.
        settings: limits, deadlines, declared models.
        operator: behind the operator's routes; without it they are not there.
        tasks: keeps what requests hold, and takes their records; without it nobody hears of them.
        request_id_header: whether to add ``x-request-id`` to the answers. Behind Ray Serve's
            proxy it must be False: the proxy adds the same header itself.
        gate: bounds the requests under way, and stops; default: as ``settings.gateway`` says.
        on_end: called with the context of every request that has ended.
        fetch: gets a file from a URL; default: as ``settings.url_fetch`` says.
    """
    app = FastAPI(title="ocr-serve", version=_version(), description=DESCRIPTION)
    tasks = tasks or RequestTasks()
    gate = gate or RequestGate(settings.gateway.max_ongoing_requests)
    fetch = fetch or (
        UrlFetcher(settings.url_fetch).fetch if settings.url_fetch.enabled else refuse_url
    )
    app.include_router(ParseRoutes(service, settings, tasks, fetch).router())
    app.include_router(PaddlexRoutes(service, settings, tasks, fetch).router())
    app.include_router(ModelRoutes(service).router())
    app.include_router(HealthRoutes(service, gate).router())
    if operator is not None:
        app.include_router(OperatorRoutes(operator).router())
    if settings.auth.required:
        app.add_middleware(AuthMiddleware, keys=KeySource(settings.auth))
    # Around the check of keys: what is refused there ends at once, too.
    app.add_middleware(RequestGateMiddleware, gate=gate)
    app.add_exception_handler(HTTPException, handle_http_exception)
    app.add_exception_handler(RequestValidationError, handle_http_exception)
    app.add_middleware(
        RequestContextMiddleware,
        on_error=error_response,
        request_id_header=request_id_header,
        on_end=on_end,
    )
    return app


def _version() -> str:
    try:
        return version("ocr-serve")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
