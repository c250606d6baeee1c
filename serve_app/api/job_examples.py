"""What /docs and /openapi.json say about the routes of jobs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starlette.responses import Response

from serve_app.api import answer_schemas as answers
from serve_app.api.examples import (
    EITHER,
    MARKDOWN_EXAMPLE,
    OUR_ERRORS,
    PICTURE,
    TEXT,
    UPLOAD_ID,
    json_example,
    our_error,
)
from serve_app.api.hello_example import HELLO_DOCUMENT, HELLO_PNG
from serve_app.api.job_views import job_view, page_view
from serve_app.api.json_pieces import dump
from serve_app.api.parse_params import openapi_parameters
from serve_app.jobs.records import StoredPage
from serve_app.policy.job import Job
from serve_app.settings import AppSettings

_ID = "0d9f6a3c5b1e4a7f8c2d6e5b4a3f2e1d"
_AT = 1_790_000_000.0
_QUEUED = Job(_ID, "", "structure", "batch", 100, _AT, _AT + 86_400, input_bytes=2_400_000)
_RUNNING = Job(
    _ID,
    "",
    "structure",
    "batch",
    100,
    _AT,
    _AT + 86_400,
    state="running",
    pages_done=10,
    input_bytes=2_400_000,
    result_bytes=410_000,
    started_at=_AT + 2,
    page_s=0.9,
)
_CANCELLED = Job(
    _ID,
    "",
    "structure",
    "batch",
    100,
    _AT,
    _AT + 86_400,
    state="cancelled",
    pages_done=10,
    result_bytes=410_000,
    started_at=_AT + 2,
    ended_at=_AT + 12,
    expires_at=_AT + 12 + 14_400,
)
_NOT_FOUND = our_error("There is none, or it is another key's", "job_not_found", "There is no job")
_COMMON: dict[int | str, dict[str, Any]] = {
    status: OUR_ERRORS[status] for status in (401, 422, 429, 500, 503)
}
_ERRORS: dict[int | str, dict[str, Any]] = {404: _NOT_FOUND, **_COMMON}

VISUALIZE = (
    "true: also keep drawn pictures of the pages; page: only the page that boxes are about, as the "
    "picture `page`"
)


def _parameter(
    name: str, schema: dict[str, Any], text: str, place: str = "query"
) -> dict[str, Any]:
    return {"name": name, "in": place, "schema": schema, "description": text}


def submit(settings: AppSettings) -> dict[str, Any]:
    """POST /v1/jobs."""
    file = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"file": file}, "required": ["file"]}
    content = {
        "multipart/form-data": {"schema": form},
        "application/octet-stream": {"schema": file},
        "application/json": {
            "schema": {"type": "object", "properties": EITHER},
            "examples": {
                "a picture": {"value": {"file": HELLO_PNG, "model": "ocr", "deadline_s": 60}},
                "a large file": {"value": {"upload_id": UPLOAD_ID, "format": "json"}},
            },
        },
    }
    number = {"type": "number", "exclusiveMinimum": 0, "maximum": settings.jobs.deadline_s}
    own = [
        _parameter("deadline_s", number, "The job expires after this many seconds"),
        _parameter("visualize", {"type": "string", "enum": ["false", "true", "page"]}, VISUALIZE),
        _parameter(
            "callback_url", {"type": "string"}, "Told of the job's end (jobs.webhooks), signed"
        ),
        _parameter("Idempotency-Key", {"type": "string"}, "The same key: the same job", "header"),
    ]
    return {
        "operation_id": "submitJob",
        "summary": "A document to be parsed in the background",
        "description": "The file, and the parameters of `/v1/parse`, in the query, as fields of "
        "the form, or as members of the JSON object beside `url` or `file`.",
        "status_code": 202,
        "openapi_extra": {
            "parameters": [*openapi_parameters(settings), *own],
            "requestBody": {"required": True, "content": content},
        },
        "responses": {
            202: {
                "model": answers.JobAnswer,
                "description": "Queued; `Location` is the job's",
                "content": json_example(job_view(_QUEUED, 1)),
            },
            409: our_error("The key is another job's", "idempotency_conflict", "…"),
            **OUR_ERRORS,
        },
    }


LIST: dict[str, Any] = {
    "operation_id": "listJobs",
    "summary": "The jobs of this key, newest first",
    "openapi_extra": {
        "parameters": [
            _parameter("limit", {"type": "integer", "maximum": 1000, "default": 100}, "At most"),
            _parameter("before", {"type": "string"}, "Only those older than this job"),
        ]
    },
    "responses": {
        200: {"model": answers.JobsAnswer, "content": json_example({"jobs": [job_view(_RUNNING)]})},
        **_COMMON,
    },
}
STATUS: dict[str, Any] = {
    "operation_id": "getJob",
    "summary": "How far a job is",
    "openapi_extra": {
        "parameters": [
            _parameter(
                "wait", {"type": "number", "maximum": 60}, "Answer when it has ended, or then"
            )
        ]
    },
    "responses": {
        200: {"model": answers.JobAnswer, "content": json_example(job_view(_RUNNING))},
        **_ERRORS,
    },
}
CANCEL: dict[str, Any] = {
    "operation_id": "cancelJob",
    "summary": "Cancel a job; delete one that has ended",
    "responses": {
        200: {"model": answers.JobAnswer, "content": json_example(job_view(_CANCELLED))},
        **_ERRORS,
    },
}
_PAGE = dump(page_view(replace(_RUNNING, pages=1), StoredPage(0, 41_000, number=1))).decode()
EVENTS: dict[str, Any] = {
    "operation_id": "watchJob",
    "response_class": Response,
    "summary": "State, pages and end, as server-sent events",
    "openapi_extra": {
        "parameters": [
            _parameter("Last-Event-ID", {"type": "integer"}, "Go on after this page", "header")
        ]
    },
    "responses": {
        200: {
            "description": "`state`, `page` and `end` events, each with JSON",
            "content": {
                "text/event-stream": {
                    "schema": TEXT,
                    "example": f"event: page\nid: 1\ndata: {_PAGE}\n\n",
                }
            },
        },
        **_ERRORS,
    },
}
_FORM = [
    _parameter("format", {"type": "string"}, "As of `/v1/parse`; default: as submitted"),
    _parameter("images", {"type": "string"}, "As of `/v1/parse`; default: as submitted"),
]
_DOCUMENT = {
    "model": answers.ParsedDocument,
    "description": "As of `/v1/parse`: JSON with `format=json` or `chunks`",
    "content": {
        "application/json": {"example": HELLO_DOCUMENT},
        "text/markdown": {"schema": TEXT, "example": MARKDOWN_EXAMPLE},
    },
}
RESULT: dict[str, Any] = {
    "operation_id": "getJobResult",
    "summary": "The document, in any form",
    "openapi_extra": {
        "parameters": [
            *_FORM,
            _parameter("partial", {"type": "boolean"}, "The pages that have ended so far"),
        ]
    },
    "responses": {
        200: _DOCUMENT,
        409: our_error("It is not done", "job_not_done", "The job is running"),
        **_ERRORS,
    },
}
PAGE: dict[str, Any] = {
    "operation_id": "getJobPage",
    "summary": "One page, in any form",
    "openapi_extra": {"parameters": _FORM},
    "responses": {200: _DOCUMENT, **_ERRORS},
}
IMAGE: dict[str, Any] = {
    "operation_id": "getJobPageImage",
    "response_class": Response,
    "summary": "A picture of a page",
    "openapi_extra": {
        "parameters": [
            _parameter(
                "name",
                {"type": "string", "default": "input_img"},
                "A drawn picture (`visualize=true`), or one that the markdown refers to",
            )
        ]
    },
    "responses": {
        200: {
            "description": "The picture",
            "content": PICTURE,
        },
        **_ERRORS,
    },
}
