"""build_http_app(service, settings): the HTTP edge, without Ray and without a pipeline.

One class of routes per file, each with the role that it needs (``auth.py``); ``context.py`` is
around all of them, ``request_path.py`` looks at their paths, and ``errors.py`` writes every error.
Bodies are read by ``intake.py`` and ``upload.py``, answers are spooled by ``pages.py``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.params import Depends
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from serve_app.api.api_keys import KeySource
from serve_app.api.arrival import Passes
from serve_app.api.auth import Guard, Needs, RouteRole, check_roles
from serve_app.api.body import Uploads
from serve_app.api.context import (
    PRIORITY_HEADER,
    REQUEST_ID_HEADER,
    TIMEOUT_HEADER,
    RequestContext,
    RequestContextMiddleware,
)
from serve_app.api.docling import DoclingRoutes
from serve_app.api.docling_tasks import DoclingTaskRoutes
from serve_app.api.documentation import DescribedApp, DocumentationRoutes
from serve_app.api.errors import error_response, handle_http_exception
from serve_app.api.gate import RequestGate
from serve_app.api.headers import HeadersMiddleware
from serve_app.api.health import HealthRoutes
from serve_app.api.intake import Fetch, refuse_url
from serve_app.api.job_events import LAST_ID_HEADER
from serve_app.api.job_intake import KEY_HEADER
from serve_app.api.job_result import JobResults
from serve_app.api.jobs import JobRoutes
from serve_app.api.keyless import Keyless, Listening
from serve_app.api.loaders import LoaderRoutes
from serve_app.api.mistral import MistralRoutes
from serve_app.api.mistral_files import MistralFileRoutes
from serve_app.api.models import ModelRoutes
from serve_app.api.operator import OperatorRoutes
from serve_app.api.paddle_jobs import PaddleJobRoutes
from serve_app.api.paddlex import PaddlexRoutes
from serve_app.api.parse import ParseRoutes
from serve_app.api.request_path import PathMiddleware
from serve_app.api.request_task import RequestTasks
from serve_app.api.spool import Spools
from serve_app.api.ui import UiRoutes, own_version
from serve_app.api.uploads import RANGE_HEADER, UploadRoutes
from serve_app.api.url_fetch import UrlFetcher
from serve_app.errors import OcrServeError
from serve_app.jobs.service import Jobs
from serve_app.ports import DocumentService, OperatorService
from serve_app.settings import AppSettings

ROLES: tuple[RouteRole, ...] = ("anybody", "client", "operator")
CORS_HEADERS = (
    "authorization",
    "content-type",
    REQUEST_ID_HEADER,
    TIMEOUT_HEADER,
    PRIORITY_HEADER,
    KEY_HEADER,
    LAST_ID_HEADER,
    RANGE_HEADER,
)
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
    listening: Listening | None = None,
    on_keys_look: Callable[[bool], None] = lambda broken: None,
    on_end: Callable[[RequestContext], None] = lambda context: None,
    jobs: Jobs | None = None,
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
        listening: where requests come in; default: nothing is known of it.
        on_keys_look: called now and then; whether the list of API keys cannot be read.
        on_end: called with the context of every request that has ended.
        fetch: gets a file from a URL; default: as ``settings.url_fetch`` says.
        jobs: behind the routes of jobs, without it they are not there. Started and closed with
            the application.
    """
    app = DescribedApp(
        title="ocr-serve",
        version=own_version(),
        description=DESCRIPTION,
        openapi_url=None,  # like every way in, these are our own routes with a role
        redirect_slashes=False,  # see ``request_path.py``
        lifespan=_with(jobs),
    )
    app.asks_for_keys = settings.auth.required
    tasks = tasks or RequestTasks(Spools(settings))
    gate = gate or RequestGate(settings.gateway.max_ongoing_requests)
    fetch = fetch or (
        UrlFetcher(settings.url_fetch).fetch if settings.url_fetch.enabled else refuse_url
    )
    keys = KeySource(settings.auth, on_look=on_keys_look) if settings.auth.required else None
    keyless = Keyless(settings.gateway, listening or Listening())
    guard = Guard(keys, keyless, settings)
    anybody, client, operators = (Depends(Needs(guard, role)) for role in ROLES)
    place = Depends(Passes(gate, Uploads(settings)))
    uploads = None if jobs is None else jobs.uploads
    routers = [
        HealthRoutes(service, gate, guard, keys).router(anybody),
        DocumentationRoutes(app).router(anybody),
        ModelRoutes(service, guard).router(client),
        ParseRoutes(service, settings, tasks, fetch, uploads).router(client, place),
        PaddlexRoutes(service, settings, tasks, fetch).router(client, place),
    ]
    if settings.ui.enabled:
        routers.append(UiRoutes(settings, jobs=jobs is not None).router(anybody))
    files: MistralFileRoutes | None = None
    if jobs is not None:
        results = JobResults(service, jobs, tasks.spools)
        paddle = PaddleJobRoutes(service, settings, jobs, results, fetch)
        routers.append(JobRoutes(service, settings, jobs, results, fetch).router(client, place))
        routers += [paddle.router(client, place), paddle.signed_router(anybody, place)]
        tasks_of_docling = DoclingTaskRoutes(service, settings, jobs, results, fetch)
        routers.append(tasks_of_docling.router(client, place))
        routers.append(UploadRoutes(settings, jobs.uploads).router(client, place))
        files = MistralFileRoutes(service, settings, jobs, fetch)
        routers += [files.router(client, place), files.signed_router(anybody, place)]
    routers.append(LoaderRoutes(service, settings, tasks, fetch).router(client, place))
    docling = DoclingRoutes(service, settings, tasks, fetch)
    routers += [docling.router(client, place), docling.version_router(anybody)]
    routers.append(MistralRoutes(service, settings, tasks, fetch, files).router(client, place))
    if operator is not None:
        routers.append(OperatorRoutes(operator).router(operators))
    for router in routers:
        # Not `include_router`, which hides them in an object of its own in recent versions: here
        # `app.routes` stays the whole list of ways in.
        app.router.routes.extend(router.routes)
    check_roles(app)
    app.add_exception_handler(HTTPException, _after(guard, handle_http_exception))
    app.add_exception_handler(RequestValidationError, handle_http_exception)
    app.add_middleware(PathMiddleware)
    app.add_middleware(
        RequestContextMiddleware,
        on_error=error_response,
        request_id_header=request_id_header,
        on_end=on_end,
    )
    if settings.gateway.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.gateway.allowed_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=CORS_HEADERS,
        )
    app.add_middleware(HeadersMiddleware)
    return app


def _after(
    guard: Guard, handle: Callable[[Request, Exception], Awaitable[Response]]
) -> Callable[[Request, Exception], Awaitable[Response]]:
    """What no route answered (404, 405) is told to those only who may ask at all."""

    async def handle_after(request: Request, exc: Exception) -> Response:
        try:
            guard.admit(request, "client")
        except OcrServeError as refused:
            return error_response(request, refused)
        return await handle(request, exc)

    return handle_after


def _with(jobs: Jobs | None) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Jobs go on when the application starts, without a request: those of before, too."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if jobs is None:
            yield
            return
        jobs.start()
        try:
            yield
        finally:
            await jobs.close()

    return lifespan
