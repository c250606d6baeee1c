"""What belongs to one HTTP request: its ids, its deadline, its line in the log.

The middleware is the outermost of our layers: it also answers the errors that no route answered,
so that every answer carries an id and an envelope.
"""

from __future__ import annotations

import logging
import math
import re
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.clock import now
from serve_app.errors import DeadlineExceeded, InvalidRequest
from serve_app.messages import Priority

log = logging.getLogger("ocr_serve.api")

REQUEST_ID_HEADER = "x-request-id"
TIMEOUT_HEADER = "x-request-timeout-seconds"
PRIORITY_HEADER = "x-ocr-priority"
DEADLINE_MESSAGE = "The request's deadline has passed"
PLAIN_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,128}")
QUIET_PATHS = frozenset({"/livez", "/readyz", "/health"})


def plain_token(value: object) -> str | None:
    """``value`` if it is a short token that is safe in a header, a log line and a file name."""
    if isinstance(value, str) and PLAIN_TOKEN.fullmatch(value) and value.strip("."):
        return value
    return None


@dataclass(slots=True)
class RequestContext:
    """Facts of one request, filled in on its way.

    Attributes:
        request_id: from ``x-request-id`` if that is a plain token.
        started_s: when the request arrived, on ``clock``.
        clock: seconds, monotonic.
        log_id: PaddleX's ``logId``: the client's own, once the body was read, if it is a token.
        status: of the answer, once it has started.
        error_code: in the answer, if that is an error.
        facts: further fields for the log line: numbers and names, never document text.
        resources: what the request owns; closed when it ends, however it ends.
    """

    request_id: str
    started_s: float
    clock: Callable[[], float]
    log_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: int | None = None
    error_code: str | None = None
    facts: dict[str, object] = field(default_factory=dict)
    resources: ExitStack = field(default_factory=ExitStack)


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment at which a request has to be answered, seconds on ``clock``."""

    at_s: float
    clock: Callable[[], float]

    def remaining_s(self) -> float:
        """Seconds left.

        Raises:
            DeadlineExceeded: there are none.
        """
        remaining = self.at_s - self.clock()
        if remaining <= 0:
            raise DeadlineExceeded(DEADLINE_MESSAGE)
        return remaining


def context_of(request: Request) -> RequestContext:
    """The context that the middleware made for this request."""
    context = request.scope["state"]["ocr_serve"]
    assert isinstance(context, RequestContext)
    return context


def deadline_of(request: Request, request_timeout_s: float) -> Deadline:
    """The request's deadline: the configured one, or an earlier one from the header.

    Raises:
        InvalidRequest: the header is not a positive number of seconds.
    """
    context = context_of(request)
    asked = request.headers.get(TIMEOUT_HEADER)
    timeout_s = request_timeout_s if asked is None else min(_seconds(asked), request_timeout_s)
    return Deadline(context.started_s + timeout_s, context.clock)


def priority_of(request: Request) -> Priority:
    """From ``?priority=`` or the header; batch work waits under memory pressure.

    Raises:
        InvalidRequest: another value.
    """
    asked = request.query_params.get("priority", request.headers.get(PRIORITY_HEADER))
    if asked is None or asked == "interactive":
        return "interactive"
    if asked == "batch":
        return "batch"
    raise InvalidRequest("`priority` must be one of interactive, batch")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise InvalidRequest(f"{TIMEOUT_HEADER} must be a positive number of seconds")
    # Ray Serve's proxy reads the same header and answers a bare 408 at that very moment: ending a
    # little earlier is what lets the client see our own answer.
    return value - min(0.5, value / 10)


class RequestContextMiddleware:
    """Gives each request its context, returns its id, answers stray errors, logs one line.

    Args:
        app: the rest of the application.
        on_error: turns an exception into an answer.
        clock: seconds, monotonic.
        request_id_header: whether to add the header to the answer.
        on_end: called with the context of every request that has ended; must neither wait nor fail.
    """

    def __init__(
        self,
        app: ASGIApp,
        on_error: Callable[[Request, BaseException], ASGIApp],
        clock: Callable[[], float] = now,
        request_id_header: bool = True,
        on_end: Callable[[RequestContext], None] = lambda context: None,
    ) -> None:
        self._app, self._on_end = app, on_end
        self._on_error = on_error
        self._clock = clock
        self._request_id_header = request_id_header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (other ASGI scopes pass through)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        asked = plain_token(request.headers.get(REQUEST_ID_HEADER))
        context = RequestContext(asked or str(uuid.uuid4()), self._clock(), self._clock)
        scope.setdefault("state", {})["ocr_serve"] = context
        try:
            await self._answer(request, context, receive, self._with_id(context, send))
        finally:
            context.resources.close()
            self._log(request, context)
            self._on_end(context)

    async def _answer(
        self, request: Request, context: RequestContext, receive: Receive, send: Send
    ) -> None:
        try:
            await self._app(request.scope, receive, send)
        except Exception as exc:
            response = self._on_error(request, exc)
            if context.status is not None:
                # Half an answer is out. Only a broken connection tells the client so.
                raise
            await response(request.scope, receive, send)

    def _with_id(self, context: RequestContext, send: Send) -> Send:
        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                context.status = message["status"]
                if self._request_id_header:
                    MutableHeaders(scope=message)[REQUEST_ID_HEADER] = context.request_id
            await send(message)

        return send_with_id

    def _log(self, request: Request, context: RequestContext) -> None:
        level = logging.DEBUG if request.url.path in QUIET_PATHS else logging.INFO
        facts = {
            "request_id": context.request_id,
            "method": request.method,
            "path": request.url.path,
            "status": context.status,
            "duration_s": round(self._clock() - context.started_s, 6),
            **context.facts,
        }
        log.log(level, "request", extra=facts)
