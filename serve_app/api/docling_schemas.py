"""Answers of docling-serve's API, for the OpenAPI page; ``docling_writer.py`` writes them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel


class DoclingContent(BaseModel):
    """One document; what was not asked for is null."""

    filename: str
    md_content: str | None = None
    json_content: dict[str, Any] | None = None
    html_content: str | None = None
    text_content: str | None = None
    doctags_content: str | None = None


class DoclingPageError(BaseModel):
    """A page that has no result."""

    component_type: str
    module_name: str
    error_message: str
    page_no: int


class DoclingAnswer(BaseModel):
    """A converted document."""

    document: DoclingContent
    status: Literal["success", "partial_success"]
    errors: list[DoclingPageError]
    processing_time: float
    timings: dict[str, Any]


class DoclingTask(BaseModel):
    """A task."""

    task_id: str
    task_type: Literal["convert"] = "convert"
    task_status: Literal["pending", "started", "success", "failure"]
    task_position: int | None = None
    task_meta: dict[str, Any] | None = None
    error_message: str | None = None


class DoclingError(BaseModel):
    """An error, on the routes of docling-serve's API."""

    detail: str
    code: str
