"""What /docs and /openapi.json say about PaddleOCR's Job API."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from serve_app.api import answer_schemas as answers
from serve_app.api.examples import AS_BYTES, MARKDOWN_EXAMPLE, PICTURE, TEXT, json_example

_ID = "0d9f6a3c5b1e4a7f8c2d6e5b4a3f2e1d"
_URL = f"https://ocr.example.com/api/v2/ocr/jobs/{_ID}"
_SIGNED = "?expires=1790014400&signature=9f86d081884c7d65…"
_DONE = {
    "jobId": _ID,
    "state": "done",
    "extractProgress": {
        "totalPages": 3,
        "extractedPages": 3,
        "startTime": "2026-09-21 14:13:20",
        "endTime": "2026-09-21 14:13:23",
    },
    "resultUrl": {
        "jsonUrl": f"{_URL}/result.jsonl{_SIGNED}",
        "markdownUrl": f"{_URL}/result.md{_SIGNED}",
    },
}


def _error(description: str, code: int, message: str) -> dict[str, Any]:
    content = json_example({"code": code, "msg": message})
    return {"model": answers.PaddleJobError, "description": description, "content": content}


_ERRORS: dict[int | str, dict[str, Any]] = {
    400: _error("A wrong parameter or file", 400, "There is no model 'x'"),
    401: _error("No API key, or an unknown one", 401, "An API key is needed"),
    404: _error("There is none, or it is another key's", 404, "There is no job"),
    429: _error("Above a limit of the key's own", 429, "too many jobs"),
    503: _error("No room", 503, "The queue is full"),
}


def _answer(data: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    body = {"code": 0, "msg": "Success", "data": data}
    return {
        200: {"model": answers.PaddleJobAnswer, "content": json_example(body)},
        **_ERRORS,
    }


_FORM = {
    "type": "object",
    "required": ["file", "model"],
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "model": {
            "type": "string",
            "description": "PP-OCRv6, PP-StructureV3, PaddleOCR-VL-1.6…",
            "example": "PP-StructureV3",
        },
        "optionalPayload": {"type": "string", "description": "Options as JSON"},
        "pageRanges": {"type": "string", "description": "As `2,4-6`"},
        "batchId": {"type": "string", "example": "monday"},
    },
}
_JSON = {
    "type": "object",
    "required": ["fileUrl", "model"],
    "properties": {
        "fileUrl": {"type": "string"},
        "optionalPayload": {"type": "object"},
        **{name: _FORM["properties"][name] for name in ("model", "pageRanges", "batchId")},  # type: ignore[index]
    },
}
_BY_URL = {"fileUrl": "https://example.com/paper.pdf", "model": "PaddleOCR-VL-1.6"}
SUBMIT: dict[str, Any] = {
    "operation_id": "submitPaddleJob",
    "summary": "A document, as PaddleOCR's clients send it",
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": _FORM},
                "application/json": {"schema": _JSON, "examples": {"a file": {"value": _BY_URL}}},
            },
        }
    },
    "responses": _answer({"jobId": _ID}),
}
STATUS: dict[str, Any] = {
    "operation_id": "getPaddleJob",
    "summary": "How far a job is; held until it has ended, for 20 s",
    "responses": _answer(_DONE),
}
CANCEL: dict[str, Any] = {
    "operation_id": "cancelPaddleJob",
    "summary": "Cancel a job (ours: the contract has none)",
    "responses": _answer({"jobId": _ID, "state": "failed", "errorMsg": "The job was cancelled"}),
}
BATCH: dict[str, Any] = {
    "operation_id": "getPaddleBatch",
    "summary": "The jobs of a batch",
    "responses": _answer({"batchId": "monday", "extractResult": [_DONE]}),
}


def _text(media_type: str, example: str) -> dict[str, Any]:
    return {media_type: {"schema": TEXT, "example": example}}


def _signed(operation_id: str, summary: str, content: dict[str, Any]) -> dict[str, Any]:
    refused = _error("The URL is not signed, or has expired", 403, "The URL has expired")
    return {
        "operation_id": operation_id,
        "response_class": Response,
        "summary": summary,
        "description": "The URL is in the job's status; it needs no key, and expires.",
        "responses": {200: {"description": "The result", "content": content}, 403: refused},
    }


_LINE = '{"logId":"…","result":{"layoutParsingResults":[…],"dataInfo":{…}},"errorCode":0…}\n'
JSON_LINES = _signed(
    "paddleJobLines", "The result", _text("application/x-ndjson", _LINE) | AS_BYTES
)
MARKDOWN = _signed(
    "paddleJobMarkdown", "The result as text", _text("text/markdown", MARKDOWN_EXAMPLE)
)
IMAGE = _signed("paddleJobImage", "A picture", PICTURE)
