"""What /docs and /openapi.json say about the routes of uploads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from serve_app.api import answer_schemas as answers
from serve_app.api.examples import OUR_ERRORS, UPLOAD_ID, json_example, our_error
from serve_app.api.upload_views import upload_view
from serve_app.policy.job import Job
from serve_app.policy.upload_parts import offset_error
from serve_app.settings import AppSettings

_NAME = "book.pdf"
_AT = 1_790_000_000.0
_WHOLE = Job(
    UPLOAD_ID,
    "",
    "",
    "batch",
    0,
    _AT,
    _AT,
    state="done",
    ended_at=_AT,
    expires_at=_AT + 14_400,
    input_bytes=50_000_000,
    kind="upload",
)
_BEGUN = replace(_WHOLE, missing_bytes=_WHOLE.input_bytes)
_HALF = replace(_WHOLE, missing_bytes=8_056_960)
_COMMON: dict[int | str, dict[str, Any]] = {
    status: OUR_ERRORS[status] for status in (401, 403, 422, 429, 500, 503)
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    404: our_error("There is none, or it is another key's", "file_not_found", "There is no file"),
    **_COMMON,
}
_OFFSET = offset_error(_HALF)
_HOW = (
    "`curl -T book.pdf URL` sends the whole file, `curl -T book.pdf -C 41943040 URL` goes on from "
    "there. A request may have `limits.max_request_bytes`; larger files come in several, each with "
    "its `Content-Range`. What came of one that broke off is kept: `GET` or `HEAD` say how much."
)


def _parameter(
    name: str, schema: dict[str, Any], text: str, place: str = "query", **more: Any
) -> dict[str, Any]:
    return {"name": name, "in": place, "schema": schema, "description": text, **more}


def _answer(upload: Job, description: str, **more: object) -> dict[str, Any]:
    return {
        "model": answers.UploadAnswer,
        "description": description,
        "content": json_example({**upload_view(upload, _NAME), **more}),
    }


def begin(settings: AppSettings) -> dict[str, Any]:
    """POST /v1/uploads."""
    size = {"type": "integer", "minimum": 1, "maximum": settings.jobs.max_upload_bytes}
    return {
        "operation_id": "beginUpload",
        "summary": "Announce a large file, which then comes in parts",
        "status_code": 201,
        "openapi_extra": {
            "parameters": [
                _parameter("bytes", size, "Its size", required=True, example=50_000_000),
                _parameter("name", {"type": "string", "maxLength": 255}, "What it is called"),
            ]
        },
        "responses": {
            201: _answer(_BEGUN, "`Location` is where its parts go"),
            413: OUR_ERRORS[413],
            **_COMMON,
        },
    }


LIST: dict[str, Any] = {
    "operation_id": "listUploads",
    "summary": "The uploads of this key, newest first",
    "responses": {
        200: {
            "model": answers.UploadsAnswer,
            "content": json_example({"uploads": [upload_view(_HALF, _NAME)]}),
        },
        **_COMMON,
    },
}
STATUS: dict[str, Any] = {
    "operation_id": "getUpload",
    "summary": "How far an upload got",
    "description": "`HEAD` says the same in the headers `Upload-Offset` and `Upload-Length`.",
    "responses": {200: _answer(_HALF, "`received` is where the next part begins"), **_ERRORS},
}
PUT: dict[str, Any] = {
    "operation_id": "putUpload",
    "summary": "The next part of a file",
    "description": _HOW,
    "openapi_extra": {
        "parameters": [
            _parameter(
                "Content-Range",
                {"type": "string"},
                "As `bytes 41943040-49999999/50000000`; without it: the whole file",
                "header",
            )
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        },
    },
    "responses": {
        200: _answer(_WHOLE, "Stored; `complete` after the last part"),
        409: our_error(
            "The part does not begin at `received`",
            _OFFSET.code,
            str(_OFFSET),
            received=_OFFSET.received,
        ),
        **_ERRORS,
        **{status: OUR_ERRORS[status] for status in (400, 408, 413, 415, 504)},
    },
}
DELETE: dict[str, Any] = {
    "operation_id": "deleteUpload",
    "summary": "Forget an upload",
    "responses": {200: _answer(_WHOLE, "Forgotten", deleted=True), **_ERRORS},
}
