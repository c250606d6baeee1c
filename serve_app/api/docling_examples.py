"""What /docs and /openapi.json say about docling-serve's API."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from serve_app.api import answer_schemas as answers
from serve_app.api import docling_schemas as schemas
from serve_app.api.docling_request import DoclingOptions, SourceRequest
from serve_app.api.examples import OUR_ERRORS, json_body, json_example, our_error, schema_of
from serve_app.api.foreign_errors import foreign_body
from serve_app.api.hello_example import HELLO_PNG

_ID = "0d9f6a3c5b1e4a7f8c2d6e5b4a3f2e1d"


def _error(status: int | str, documented: dict[str, Any]) -> dict[str, Any]:
    """One of our errors, in docling's envelope."""
    error = documented["content"]["application/json"]["example"]["error"]
    body = foreign_body("/v1/convert", int(status), error["code"], error["message"])
    return {
        "model": schemas.DoclingError,
        "description": documented["description"],
        "content": json_example(body),
    }


ERRORS: dict[int | str, dict[str, Any]] = {
    status: _error(status, documented) for status, documented in OUR_ERRORS.items()
}
_GONE = our_error("There is none, or it has no result", "job_not_found", "Task not found.")
_ONE: dict[int | str, dict[str, Any]] = {**ERRORS, 404: _error(404, _GONE)}
_ANSWER = {
    "document": {
        "filename": "paper.pdf",
        "md_content": "Hello 42",
        "json_content": None,
        "html_content": None,
        "text_content": None,
        "doctags_content": None,
    },
    "status": "success",
    "errors": [],
    "processing_time": 0.42,
    "timings": {},
}
_TASK = {
    "task_id": _ID,
    "task_type": "convert",
    "task_status": "pending",
    "task_position": 1,
    "task_meta": None,
    "error_message": None,
}


def _answer(
    model: type[BaseModel], example: object, errors: dict[int | str, dict[str, Any]] = ERRORS
) -> dict[str, Any]:
    return {"responses": {200: {"model": model, "content": json_example(example)}, **errors}}


def _form() -> dict[str, Any]:
    options = schema_of(DoclingOptions)["properties"]
    file = {"type": "string", "format": "binary"}
    target = {"type": "string", "enum": ["inbody"]}
    form = {
        "type": "object",
        "required": ["files"],
        "properties": {"files": file, "target_type": target, **options},
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}}}


_SOURCE = {"kind": "file", "base64_string": HELLO_PNG, "filename": "hello.png"}
_BODY = json_body(SourceRequest, {"a picture": {"value": {"sources": [_SOURCE]}}})
FILE: dict[str, Any] = {
    "operation_id": "doclingConvertFile",
    "summary": "A document in several formats (docling)",
    "openapi_extra": _form(),
    **_answer(schemas.DoclingAnswer, _ANSWER),
}
SOURCE: dict[str, Any] = {
    "operation_id": "doclingConvertSource",
    "summary": "A document by URL, or in the body (docling)",
    "openapi_extra": _BODY,
    **_answer(schemas.DoclingAnswer, _ANSWER),
}
FILE_TASK: dict[str, Any] = {
    "operation_id": "doclingSubmitFile",
    "summary": "The same in the background (docling)",
    "openapi_extra": _form(),
    **_answer(schemas.DoclingTask, _TASK),
}
SOURCE_TASK: dict[str, Any] = {
    "operation_id": "doclingSubmitSource",
    "summary": "The same in the background (docling)",
    "openapi_extra": _BODY,
    **_answer(schemas.DoclingTask, _TASK),
}
STATUS: dict[str, Any] = {
    "operation_id": "doclingTaskStatus",
    "summary": "How far a task is (docling)",
    "openapi_extra": {
        "parameters": [
            {
                "name": "wait",
                "in": "query",
                "schema": {"type": "number", "minimum": 0},
                "description": "Answer when it has ended, or after so many seconds",
            }
        ]
    },
    **_answer(schemas.DoclingTask, _TASK, _ONE),
}
RESULT: dict[str, Any] = {
    "operation_id": "doclingTaskResult",
    "summary": "The document of a task (docling)",
    **_answer(schemas.DoclingAnswer, _ANSWER, _ONE),
}
VERSION: dict[str, Any] = {
    "operation_id": "version",
    "summary": "Which server this is (docling)",
    "responses": {
        200: {
            "model": answers.VersionAnswer,
            "content": json_example({"ocr-serve": "0.1.0", "docling-serve": "1 (API)"}),
        }
    },
}
