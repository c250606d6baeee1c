"""Every error as an HTTP answer: the one table, and the three envelopes it is written in.

PaddleX's envelope on PaddleX's routes and on unknown paths, ours below ``/v1/`` and for the
probes, the Job API's below ``/api/v2/``, those of other servers on their routes
(``foreign_errors.py``). The statuses and codes themselves are attributes of the classes in
``serve_app.errors``, and what of their texts a client may read.
"""

from __future__ import annotations

import json
import logging
import math
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from serve_app.api.context import RequestContext, context_of
from serve_app.api.foreign_errors import foreign_body
from serve_app.errors import (
    BodyTooSlow,
    InvalidFile,
    InvalidRequest,
    LimitExceeded,
    OcrServeError,
    UploadOffset,
)
from serve_app.storage import is_full, temporary_full

log = logging.getLogger("ocr_serve.api")

INTERNAL_MESSAGE = "Internal server error"
INVALID_FILE_MESSAGE = "Invalid input file"
CLIENT_CLOSED_REQUEST = 499  # nginx's status; nobody reads the answer, the access log does

OUR_PREFIX = "/v1/"
JOB_API_PREFIX = "/api/v2/"
OUR_PATHS = frozenset({"/livez", "/readyz", "/process", "/tika/text"})


NOT_AN_OBJECT = {
    "type": "model_attributes_type",
    "loc": "body",
    "msg": "Input should be a valid dictionary or object to extract fields from",
}


class InvalidBody(InvalidRequest):
    """The JSON body is not what the route asks for.

    Args: one mapping with ``type``, ``loc`` and ``msg`` per error, as PaddleX lists them. The
    message is that list as JSON.
    """

    def __init__(self, errors: Sequence[Mapping[str, str]]) -> None:
        super().__init__(errors)
        self.errors = errors

    def __str__(self) -> str:
        return json.dumps(self.errors)


@dataclass(frozen=True, slots=True)
class HttpError:
    """One row of the table.

    Attributes:
        status: of the answer.
        code: stable word for programs (our envelope only).
        message: for people, in our envelope.
        paddlex_message: ``errorMsg`` in PaddleX's envelope.
        details: further members of our envelope.
        headers: of the answer.
    """

    status: int
    code: str
    message: str
    paddlex_message: str
    details: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def to_http(exc: BaseException) -> HttpError:
    """The row for ``exc``; whatever is not known here is a 500 without any detail."""
    if isinstance(exc, OcrServeError):
        return _from_ours(exc)
    if isinstance(exc, HTTPException):
        code = {404: "not_found", 405: "method_not_allowed"}.get(exc.status_code, "http_error")
        text = str(exc.detail)
        return HttpError(exc.status_code, code, text, text, headers=dict(exc.headers or {}))
    if is_full(exc):
        return _from_ours(temporary_full("what the answer needs"))
    if isinstance(exc, ClientDisconnect):
        text = "Client closed the request"
        return HttpError(CLIENT_CLOSED_REQUEST, "client_closed_request", text, text)
    return HttpError(500, OcrServeError.code, INTERNAL_MESSAGE, INTERNAL_MESSAGE)


def _from_ours(exc: OcrServeError) -> HttpError:
    headers = {}
    if exc.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(exc.retry_after_s)))
    if exc.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(exc, BodyTooSlow):
        headers["Connection"] = "close"  # who drips is not to go on dripping
    message = exc.client_message
    return HttpError(
        exc.status, exc.code, message, _paddlex_message(exc, message), _details(exc), headers
    )


def _paddlex_message(exc: OcrServeError, message: str) -> str:
    if isinstance(exc, InvalidFile):
        return INVALID_FILE_MESSAGE
    # PaddleX's 500 never says why, and its clients show the text to their users.
    return INTERNAL_MESSAGE if exc.status == 500 else message


def _details(exc: OcrServeError) -> dict[str, Any]:
    if isinstance(exc, LimitExceeded):
        return {"value": exc.value, "limit": exc.limit, "config_key": exc.config_key}
    if isinstance(exc, UploadOffset):
        return {"received": exc.received}
    return {}


def uses_our_envelope(path: str) -> bool:
    """Whether errors on ``path`` are written in our envelope rather than PaddleX's."""
    return path.startswith(OUR_PREFIX) or path in OUR_PATHS


def error_response(request: Request, exc: BaseException) -> JSONResponse:
    """The answer for ``exc`` in the envelope of the request's path; logs what is our fault."""
    context = context_of(request)
    error = to_http(exc)
    context.error_code = error.code
    _log_error(request, context, error, exc)
    _forget_frames(exc)
    body: dict[str, Any]
    if request.url.path.startswith(JOB_API_PREFIX):
        return _job_api_response(error)
    if (
        foreign := foreign_body(request.url.path, error.status, error.code, error.message)
    ) is not None:
        return JSONResponse(foreign, error.status, dict(error.headers))
    if uses_our_envelope(request.url.path):
        fields = {"code": error.code, "message": error.message, "request_id": context.request_id}
        body = {"error": {**fields, **error.details}}
    else:
        body = paddlex_envelope(context.log_id, error.status, error.paddlex_message)
    return JSONResponse(body, error.status, dict(error.headers))


def _job_api_response(error: HttpError) -> JSONResponse:
    # Its clients know of wrong parameters by 400 only.
    status = 400 if error.status == 422 else error.status
    body = {"code": status, "msg": error.message}
    return JSONResponse(body, status, dict(error.headers))


def _forget_frames(exc: BaseException) -> None:
    """Let go of the stacks of an exception that is answered, and of those behind it.

    Their frames hold the file, and some of them the exception itself: a circle that would keep the
    file until the garbage collector comes by.
    """
    waiting: list[BaseException | None] = [exc]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            one.__traceback__ = None
            waiting += [one.__cause__, one.__context__]


def paddlex_envelope(log_id: str, code: int, message: str) -> dict[str, Any]:
    """PaddleX's body without a result."""
    return {"logId": log_id, "errorCode": code, "errorMsg": message}


def _log_error(
    request: Request, context: RequestContext, error: HttpError, exc: BaseException
) -> None:
    """One line per failed request: an error with its stack for a 500, else information.

    The stack is logged without the exception's own text, which may quote the document.
    """
    fields = {
        "request_id": context.request_id,
        "log_id": context.log_id,
        "path": request.url.path,
        "status": error.status,
        "error_code": error.code,
        "error_type": type(exc).__name__,
    }
    if isinstance(exc, OcrServeError) and exc.outside:
        fields["detail"] = str(exc)  # what the client is not told
    if error.status == 500:
        fields["stack"] = "".join(traceback.format_tb(exc.__traceback__))
        log.error("request failed", extra=fields)
    else:
        log.info("request refused", extra=fields)


async def handle_http_exception(request: Request, exc: Exception) -> JSONResponse:
    """Exception handler for what the framework itself raises: 404, 405, a broken body."""
    return error_response(request, exc)
