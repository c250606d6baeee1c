"""What /docs and /openapi.json say about the loaders' routes."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, RootModel

from serve_app.api.examples import OUR_ERRORS, json_example


class LoadedPage(BaseModel):
    """One page as Open WebUI's loader takes it."""

    page_content: str
    metadata: dict[str, Any]


class LoadedPages(RootModel[list[LoadedPage]]):
    """Answer of PUT /process."""


class TikaText(BaseModel):
    """Answer of PUT /tika/text; further members are facts about the file."""

    model_config = ConfigDict(extra="allow")
    content: str = Field(alias="X-TIKA:content")
    content_type: str = Field(alias="Content-Type")


_NAME = {
    "name": "X-Filename",
    "in": "header",
    "schema": {"type": "string"},
    "description": "What the file is called",
    "example": "paper.pdf",
}


def _raw(
    operation_id: str, summary: str, model: type[BaseModel], example: object
) -> dict[str, Any]:
    file = {"type": "string", "format": "binary"}
    content = {"application/octet-stream": {"schema": file}}
    return {
        "operation_id": operation_id,
        "summary": summary,
        "openapi_extra": {
            "parameters": [_NAME],
            "requestBody": {"required": True, "content": content},
        },
        "responses": {200: {"model": model, "content": json_example(example)}, **OUR_ERRORS},
    }


_PAGE = {
    "page_content": "Hello 42",
    "metadata": {"page": 0, "page_label": "1", "source": "paper.pdf"},
}
PROCESS = _raw("process", "A file's pages (Open WebUI's external loader)", LoadedPages, [_PAGE])
TIKA = _raw(
    "tikaText",
    "A file's text (Apache Tika)",
    TikaText,
    {
        "Content-Type": "application/pdf",
        "xmpTPg:NPages": "1",
        "resourceName": "paper.pdf",
        "X-TIKA:content": "Hello 42\n",
    },
)
