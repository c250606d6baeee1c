"""Answers of Mistral's API, for the OpenAPI page; they are written by ``mistral_writer.py``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class MistralImage(BaseModel):
    """A picture of a page; pixels of the page's dimensions."""

    id: str
    top_left_x: int | None
    top_left_y: int | None
    bottom_right_x: int | None
    bottom_right_y: int | None
    image_base64: str | None = None


class MistralDimensions(BaseModel):
    """Pixels of the page as it was read."""

    dpi: int
    height: int
    width: int


class MistralPage(BaseModel):
    """One page, counted from 0."""

    index: int
    markdown: str
    images: list[MistralImage]
    dimensions: MistralDimensions


class MistralUsage(BaseModel):
    """What was read."""

    pages_processed: int
    doc_size_bytes: int


class MistralOcrAnswer(BaseModel):
    """Answer of POST /v1/ocr."""

    pages: list[MistralPage]
    model: str
    usage_info: MistralUsage
    notices: list[str] | None = None


class MistralFile(BaseModel):
    """A kept document."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    sample_type: str
    source: str
    num_lines: int | None = None
    deleted: bool | None = None


class MistralFiles(BaseModel):
    """The files of a key."""

    data: list[MistralFile]
    object: Literal["list"] = "list"
    total: int


class MistralDeleted(BaseModel):
    """A file that is gone."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


class MistralUrl(BaseModel):
    """A signed URL."""

    url: str


class MistralPlace(BaseModel):
    """Where in a request something is wrong."""

    loc: list[str | int]
    msg: str
    type: str


class MistralError(BaseModel):
    """An error, on the routes of Mistral's API."""

    object: Literal["error"] = "error"
    message: str
    type: str
    code: int
    detail: list[MistralPlace] | None = None
