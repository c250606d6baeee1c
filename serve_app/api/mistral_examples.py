"""What /docs and /openapi.json say about Mistral's API."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from serve_app.api import mistral_schemas as schemas
from serve_app.api.examples import OUR_ERRORS, json_body, json_example, our_error
from serve_app.api.foreign_errors import foreign_body
from serve_app.api.hello_example import HELLO_PNG
from serve_app.api.mistral_request import OcrRequest

_ID = "5f0c9a3e-2d0b-4c9d-8a53-9c1f8b1f3a77"


def _error(path: str, status: int | str, documented: dict[str, Any]) -> dict[str, Any]:
    """One of our errors, in Mistral's envelope."""
    error = documented["content"]["application/json"]["example"]["error"]
    body = foreign_body(path, int(status), error["code"], error["message"])
    return {
        "model": schemas.MistralError,
        "description": documented["description"],
        "content": json_example(body),
    }


ERRORS: dict[int | str, dict[str, Any]] = {
    status: _error("/v1/ocr", status, documented) for status, documented in OUR_ERRORS.items()
}
_NOT_FOUND = _error(
    "/v1/files",
    404,
    our_error("There is none, or it is another key's", "file_not_found", "There is no file"),
)
_ONE: dict[int | str, dict[str, Any]] = {404: _NOT_FOUND, **ERRORS}
_FILE = {
    "id": _ID,
    "object": "file",
    "bytes": 24_000,
    "created_at": 1_790_000_000,
    "expires_at": 1_790_014_400,
    "filename": "paper.pdf",
    "purpose": "ocr",
    "sample_type": "ocr_input",
    "source": "upload",
    "num_lines": None,
}
_SIGNED = f"https://ocr.example.com/v1/files/{_ID}/signed?expires=1790014400&signature=9f86d0…"
_PAGE = {
    "index": 0,
    "markdown": "Hello 42",
    "dimensions": {"dpi": 144, "height": 40, "width": 150},
    "images": [],
}
_ANSWER = {
    "pages": [_PAGE],
    "model": "structure",
    "usage_info": {"pages_processed": 1, "doc_size_bytes": 24_000},
}


def _answer(
    model: type[BaseModel], example: object, errors: dict[int | str, dict[str, Any]] = _ONE
) -> dict[str, Any]:
    good = {"model": model, "content": json_example(example)}
    return {"responses": {200: good, **errors}}


_DOCUMENT = {"type": "image_url", "image_url": f"data:image/png;base64,{HELLO_PNG}"}
OCR: dict[str, Any] = {
    "operation_id": "mistralOcr",
    "summary": "A document as markdown, page by page (Mistral)",
    "description": "Any `mistral-ocr-…` is answered by the default model.",
    "openapi_extra": json_body(
        OcrRequest,
        {"a picture": {"value": {"model": "mistral-ocr-latest", "document": _DOCUMENT}}},
    ),
    **_answer(schemas.MistralOcrAnswer, _ANSWER),
}
_FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "purpose": {"type": "string", "enum": ["ocr"]},
    },
}
UPLOAD: dict[str, Any] = {
    "operation_id": "uploadFile",
    "summary": "Keep a document for /v1/ocr (Mistral)",
    "openapi_extra": {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}
    },
    **_answer(schemas.MistralFile, _FILE, ERRORS),
}
FILES: dict[str, Any] = {
    "operation_id": "listFiles",
    "summary": "The files of this key (Mistral)",
    **_answer(schemas.MistralFiles, {"data": [_FILE], "object": "list", "total": 1}, ERRORS),
}
FILE: dict[str, Any] = {
    "operation_id": "getFile",
    "summary": "What is known of a file (Mistral)",
    **_answer(schemas.MistralFile, {**_FILE, "deleted": False}),
}
DELETE: dict[str, Any] = {
    "operation_id": "deleteFile",
    "summary": "Forget a file (Mistral)",
    **_answer(schemas.MistralDeleted, {"id": _ID, "object": "file", "deleted": True}),
}
URL: dict[str, Any] = {
    "operation_id": "getFileUrl",
    "summary": "A URL of a file that needs no key (Mistral)",
    "openapi_extra": {
        "parameters": [
            {
                "name": "expiry",
                "in": "query",
                "schema": {"type": "number", "maximum": 168, "default": 24},
                "description": "Hours; not longer than the file is kept",
            }
        ]
    },
    **_answer(schemas.MistralUrl, {"url": _SIGNED}),
}


def _download(operation_id: str, summary: str) -> dict[str, Any]:
    content = {
        "application/octet-stream": {
            "schema": {"type": "string", "format": "binary"},
            "example": "…",
        }
    }
    return {
        "operation_id": operation_id,
        "response_class": Response,
        "summary": summary,
        "responses": {200: {"description": "The file", "content": content}, **_ONE},
    }


CONTENT = _download("downloadFile", "A file itself (Mistral)")
SIGNED = _download("downloadSignedFile", "A file itself, by its signed URL (Mistral)")
