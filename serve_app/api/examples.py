"""What /docs and /openapi.json say about each route: keyword arguments of ``add_api_route``.

The handlers read the request themselves (limits, spooling), so FastAPI cannot derive this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from serve_app.api import answer_schemas as answers
from serve_app.api import schemas
from serve_app.api.hello_example import (
    HELLO_BLOCK,
    HELLO_DATA_INFO,
    HELLO_DOCUMENT,
    HELLO_LINE,
    HELLO_PNG,
)
from serve_app.errors import BodyTooSlow, OcrServeError, RequestTooLarge

LOG_ID = "9c5b94b1-35ad-49bb-b118-8e8fc24abf80"
REQUEST_ID = "6f1c2a34-3c55-4d4c-9c1f-0d6d1f4c2a10"
TOO_LARGE = RequestTooLarge(
    "The size of the request body in bytes", 70_000_000, 67_108_864, "limits.max_request_bytes"
)
TOO_SLOW = BodyTooSlow(
    "The rate in bytes a second at which the request body came",
    100,
    8192,
    "gateway.min_body_bytes_per_s",
)
NO_ENCODING = "Content-Encoding 'br' is not supported: send gzip, or the body as it is"
FROM_ELSEWHERE = "A web page of another site asks"


def json_example(example: object) -> dict[str, Any]:
    """A response's or request's ``content`` with one example."""
    return {"application/json": {"example": example}}


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Its JSON schema without references: what they would refer to is not part of the page."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def resolved(value: Any) -> Any:
        if isinstance(value, list):
            return [resolved(one) for one in value]
        if not isinstance(value, dict):
            return value
        if isinstance(name := value.get("$ref"), str):
            return resolved(definitions[name.rsplit("/", 1)[-1]])
        # What tells alternatives apart refers to them by name, too.
        return {key: resolved(one) for key, one in value.items() if key != "discriminator"}

    whole: dict[str, Any] = resolved(schema)
    return whole


def json_body(model: type[BaseModel], examples: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """``openapi_extra`` of a route that reads a JSON body of ``model``."""
    content = {"application/json": {"schema": schema_of(model), "examples": examples}}
    return {"requestBody": {"required": True, "content": content}}


def _failed(description: str, status: int, message: str) -> dict[str, Any]:
    body = {"logId": LOG_ID, "errorCode": status, "errorMsg": message}
    return {
        "model": schemas.NoResultResponse,
        "description": description,
        "content": json_example(body),
    }


PADDLEX_ERRORS: dict[int | str, dict[str, Any]] = {
    400: _failed("The body is not text", 400, "There was an error parsing the body"),
    401: _failed("No API key, or an unknown one", 401, "an API key is needed"),
    403: _failed("Without keys: another host's name, or another site's page", 403, FROM_ELSEWHERE),
    408: _failed("The body did not come in time", 408, str(TOO_SLOW)),
    413: _failed("The body is too big", 413, str(TOO_LARGE)),
    415: _failed("Its Content-Encoding is not gzip", 415, NO_ENCODING),
    422: _failed("A wrong field, an unreadable file, a limit", 422, "Invalid input file"),
    429: _failed(
        "Above a limit of the key or the address; see Retry-After", 429, "too many requests"
    ),
    500: _failed("Something unexpected", 500, "Internal server error"),
    503: _failed("No capacity now; see Retry-After", 503, "The queue is full"),
    504: _failed("The deadline passed", 504, "The request's deadline has passed"),
}


def _answer(model: type[BaseModel], result: dict[str, Any]) -> dict[str, Any]:
    body = {"logId": LOG_ID, "result": result, "errorCode": 0, "errorMsg": "Success"}
    return {"model": model, "description": "One element per page", "content": json_example(body)}


HEALTH: dict[str, Any] = {
    "operation_id": "checkHealth",
    "summary": "Alive (PaddleX)",
    "responses": {
        200: {
            "model": schemas.NoResultResponse,
            "content": json_example({"logId": LOG_ID, "errorCode": 0, "errorMsg": "Healthy"}),
        }
    },
}

OCR: dict[str, Any] = {
    "operation_id": "ocr",
    "summary": "Lines of text (PaddleX)",
    "openapi_extra": json_body(
        schemas.OcrRequest,
        {
            "a picture": {"value": {"file": HELLO_PNG, "fileType": 1}},
            "turned pages": {"value": {"file": HELLO_PNG, "useDocOrientationClassify": True}},
        },
    ),
    "responses": {
        200: _answer(
            schemas.OcrResponse,
            {"ocrResults": [{"prunedResult": HELLO_LINE}], "dataInfo": HELLO_DATA_INFO},
        ),
        **PADDLEX_ERRORS,
    },
}

_HELLO_PAGE = {
    "prunedResult": HELLO_BLOCK,
    "markdown": {"text": "Hello 42", "isStart": True, "isEnd": True, "images": {}},
}


def _layout_parsing(operation_id: str, summary: str) -> dict[str, Any]:
    return {
        "operation_id": operation_id,
        "summary": summary,
        "openapi_extra": json_body(
            schemas.LayoutParsingRequest,
            {
                "a picture": {"value": {"file": HELLO_PNG, "fileType": 1}},
                "text only, and word": {
                    "value": {
                        "file": HELLO_PNG,
                        "returnMarkdownImages": False,
                        "outputFormats": ["docx"],
                    }
                },
                "what is left out has a notice": {
                    "value": {"file": HELLO_PNG, "useChartRecognition": True}
                },
            },
        ),
        "responses": {
            200: _answer(
                schemas.LayoutParsingResponse,
                {"layoutParsingResults": [_HELLO_PAGE], "dataInfo": HELLO_DATA_INFO},
            ),
            **PADDLEX_ERRORS,
        },
    }


LAYOUT_PARSING = _layout_parsing("layoutParsing", "Layout as markdown and JSON (PaddleX)")
PADDLEOCR = _layout_parsing("paddleocr", "Alias of /layout-parsing")


def our_error(description: str, code: str, message: str, **details: object) -> dict[str, Any]:
    """A documented error in our own envelope."""
    error = {"code": code, "message": message, "request_id": REQUEST_ID, **details}
    return {
        "model": answers.ErrorAnswer,
        "description": description,
        "content": json_example({"error": error}),
    }


OUR_ERRORS: dict[int | str, dict[str, Any]] = {
    400: our_error("The body is not text", "http_error", "There was an error parsing the body"),
    401: our_error("No API key, or an unknown one", "unauthorized", "an API key is needed"),
    403: our_error(
        "Without keys: another host's name, or another site's page",
        "origin_refused",
        FROM_ELSEWHERE,
    ),
    408: our_error(
        "The body did not come in time",
        TOO_SLOW.code,
        str(TOO_SLOW),
        value=TOO_SLOW.value,
        limit=TOO_SLOW.limit,
        config_key=TOO_SLOW.config_key,
    ),
    413: our_error(
        "The body is too big",
        "request_too_large",
        str(TOO_LARGE),
        value=TOO_LARGE.value,
        limit=TOO_LARGE.limit,
        config_key=TOO_LARGE.config_key,
    ),
    415: our_error("Its Content-Encoding is not gzip", "unsupported_encoding", NO_ENCODING),
    422: our_error(
        "A wrong parameter, an unreadable file, a limit",
        "invalid_request",
        "page ranges: there is no page 7, the document has 5 pages",
    ),
    429: our_error(
        "Above a limit of the key's own; see Retry-After", "too_many_requests", "too many requests"
    ),
    500: our_error("Something unexpected", OcrServeError.code, "Internal server error"),
    503: our_error("No capacity now; see Retry-After", "queue_full", "The queue is full"),
    504: our_error("The deadline passed", "deadline_exceeded", "The request's deadline has passed"),
}

MARKDOWN_EXAMPLE = "Hello 42\n"
HTML_EXAMPLE = '<!DOCTYPE html>\n<html…<p dir="auto">Hello 42</p>\n…</html>\n'
HOCR_EXAMPLE = '…<span class="ocr_line" …title="bbox …; x_wconf …">Hello 42</span>\n…</html>\n'
ALTO_EXAMPLE = '…<String HPOS="…" VPOS="…" … CONTENT="Hello 42"/></TextLine>\n…</alto>\n'


TEXT = {"type": "string"}
_BYTES = {"schema": {"type": "string", "format": "binary"}, "example": "…"}
# Beside types that programs which make clients do not know.
AS_BYTES = {"application/octet-stream": _BYTES}
PICTURE = {"image/jpeg": _BYTES, **AS_BYTES}
UPLOAD_ID = "5f0c9a3e-2d0b-4c9d-8a53-9c1f8b1f3a77"
# Of a JSON body, beside the parameters.
EITHER = {
    "url": {"type": "string", "description": "Where the file is (url_fetch)"},
    "file": {"type": "string", "description": "The file, base64"},
    "upload_id": {"type": "string", "description": "Of a file of /v1/uploads that is whole"},
}


def parse(parameters: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """POST /v1/parse, with its query parameters."""
    file = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"file": file}, "required": ["file"]}
    content = {
        "multipart/form-data": {"schema": form},
        "application/octet-stream": {"schema": file},
        "application/json": {
            "schema": {"type": "object", "properties": EITHER},
            "examples": {
                "a picture": {"value": {"file": HELLO_PNG, "model": "structure"}},
                "a large file": {"value": {"upload_id": UPLOAD_ID, "pages": "1"}},
            },
        },
    }
    content_of_answer = {
        "application/json": {"example": HELLO_DOCUMENT},
        "text/markdown": {"schema": TEXT, "example": MARKDOWN_EXAMPLE},
        "text/plain": {"schema": TEXT, "example": "Hello 42\n"},
        "text/html": {"schema": TEXT, "example": HTML_EXAMPLE},
        "text/vnd.hocr+html": {"schema": TEXT, "example": HOCR_EXAMPLE},
        "application/xml": {"schema": TEXT, "example": ALTO_EXAMPLE},
    }
    good = {
        "model": answers.ParsedDocument,
        "description": "The document; JSON with `format=json` or `chunks`",
        "content": content_of_answer,
    }
    return {
        "operation_id": "parse",
        "summary": "A document as markdown, text, JSON or a file",
        "description": "`curl -F file=@paper.pdf 'http://localhost:8000/v1/parse?pages=1-3'`, or "
        "`curl --data-binary @paper.pdf http://localhost:8000/v1/parse`. Parameters may also be "
        "fields of the form; the query wins. `format=chunks` is JSON, too: `document`, `chunks` "
        "(`id`, `kind`, `text`, `heading_path`, `pages`, `boxes` in pixels of the page; of a table "
        "also `html`), `pages` with their sizes, `notices`.",
        "openapi_extra": {
            "parameters": list(parameters),
            "requestBody": {"required": True, "content": content},
        },
        "responses": {200: good, **OUR_ERRORS},
    }


LIVEZ: dict[str, Any] = {
    "operation_id": "livez",
    "summary": "The process lives",
    "responses": {
        200: {"model": answers.AliveAnswer, "content": json_example({"status": "alive"})}
    },
}

_POOL = {"device": "cpu", "running_replicas": 1, "status": "HEALTHY"}
_POOLS_READY = {"cpu": {**_POOL, "ready": True, "starts_empty": False}}
_POOLS_NOT_READY = {"cpu": {**_POOL, "running_replicas": 0, "status": "UPDATING", "ready": False}}

READYZ: dict[str, Any] = {
    "operation_id": "readyz",
    "summary": "Requests can be answered now",
    "responses": {
        200: {
            "model": answers.ReadyAnswer,
            "content": json_example({"ready": True, "pools": _POOLS_READY}),
        },
        503: {
            "model": answers.ReadyAnswer,
            "description": "Not now; `pools` says why",
            "content": json_example({"ready": False, "pools": _POOLS_NOT_READY}),
        },
    },
}

_ENGINE = {
    "pool": "cpu",
    "replica_pid": 4700,
    "engine": 1,
    "pid": 4711,
    "state": "READY",
    "memory_bytes": 912_000_000,
    "baseline_bytes": 533_000_000,
    "pages": 60,
}
_READS = {"scripts": ["Latin", "Han"], "languages": ["zh", "en"]}
_STRUCTURE = {
    "name": "structure",
    "pipeline": "PP-StructureV3",
    "state": "READY",
    "engines": [_ENGINE],
    "references": 0,
    "loads": 1,
    **_READS,
}
_OCR = {
    "name": "ocr",
    "pipeline": "OCR",
    "state": "UNLOADED",
    "engines": [],
    "references": 0,
    "loads": 0,
    **_READS,
}

MODELS: dict[str, Any] = {
    "operation_id": "models",
    "summary": "The declared models: state, where they are loaded, pid, memory",
    "responses": {
        200: {
            "model": answers.ModelsAnswer,
            "content": json_example({"models": [_STRUCTURE, _OCR]}),
        }
    },
}
