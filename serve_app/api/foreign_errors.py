"""Errors as the clients of other servers' protocols expect them, by the request's path."""

from __future__ import annotations

from typing import Any

_MISTRAL = ("/v1/ocr", "/v1/files")
_DOCLING = ("/v1/convert", "/v1/status", "/v1/result", "/version")


def foreign_body(path: str, status: int, code: str, message: str) -> dict[str, Any] | None:
    """The body of an error; None on the paths of other protocols."""
    if _is_below(path, _MISTRAL):
        return _mistral(status, code, message)
    if _is_below(path, _DOCLING):
        return {"detail": message, "code": code}
    return None


def is_doclings(path: str) -> bool:
    """Whether it is a path of docling-serve's API."""
    return _is_below(path, _DOCLING)


def _is_below(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(root + "/") for root in roots)


def _mistral(status: int, code: str, message: str) -> dict[str, Any]:
    body: dict[str, Any] = {"object": "error", "message": message, "type": code, "code": status}
    if status == 422:  # its client reads a list of places then
        body["detail"] = [{"loc": ["body"], "msg": message, "type": code}]
    return body
