"""What Mistral's clients send to POST /v1/ocr: the document, which pages, which pictures."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from serve_app.api.body import Body
from serve_app.api.file_text import FileText, Place, json_of
from serve_app.api.intake import Fetch, Grow, decode_file, is_url
from serve_app.document import FileBytes
from serve_app.errors import InvalidRequest

PLACE: Place = (frozenset({b"document_url", b"image_url", b"url"}), range(1, 4))
MAX_PAGES_LENGTH = 1000
_RANGE = re.compile(r"\s*([0-9]{1,9})\s*(?:-\s*([0-9]{1,9})\s*)?")


class UrlDocument(BaseModel):
    """A document by URL; most clients send a ``data:`` URL."""

    type: Literal["document_url"] = "document_url"
    document_url: str = Field(description="http(s) URL, `data:` URL, or a URL of /v1/files")
    document_name: str | None = None


class ImageUrl(BaseModel):
    """A picture's URL as an object."""

    url: str


class UrlImage(BaseModel):
    """A picture by URL."""

    type: Literal["image_url"]
    image_url: str | ImageUrl


class UploadedDocument(BaseModel):
    """A file of /v1/files."""

    type: Literal["file"]
    file_id: str


class OcrRequest(BaseModel):
    """The body. Members that are not here are accepted and have no effect."""

    model: str | None = Field(None, description="`mistral-ocr-…`, or a declared model's name")
    document: Annotated[UrlDocument | UrlImage | UploadedDocument, Field(discriminator="type")]
    pages: str | list[Annotated[int, Field(ge=0)]] | None = Field(
        None, description='From 0: `[0, 2]` or `"0-5,7"`'
    )
    include_image_base64: bool | None = None
    image_limit: Annotated[int, Field(ge=0)] | None = None
    image_min_size: Annotated[int, Field(ge=0)] | None = None


# Asks for the bytes of an uploaded file: its id, or a URL that is one of ours; None: it is not.
Own = Callable[[str, Grow], Awaitable[FileBytes | None]]
NOT_DONE = ("document_annotation_format", "bbox_annotation_format")


@dataclass(frozen=True, slots=True)
class Document:
    """A request that was read, with its file.

    Attributes:
        ranges: of pages, as our own API writes them.
        notices: what was asked for and is not done.
    """

    data: FileBytes
    asked: OcrRequest
    ranges: str | None
    notices: tuple[str, ...]


async def read_document(body: Body, fetch: Fetch, by_id: Own, by_url: Own) -> Document:
    """Read it.

    Raises:
        InvalidRequest: the body is not such a request.
        OcrServeError: see ``json_of``, ``decode_file``, and what the others raise.
    """
    value, text = await json_of(body, PLACE)
    asked = _valid(value)
    ranges = page_ranges(asked.pages)
    data = await _file(asked, text, body, fetch, by_id, by_url)
    given = value if isinstance(value, dict) else {}
    notices = tuple(
        f"{name} was asked for, but this server has no language model"
        for name in NOT_DONE
        if given.get(name) is not None
    )
    return Document(data, asked, ranges, notices)


def _valid(value: Any) -> OcrRequest:
    if isinstance(value, dict) and isinstance(document := value.get("document"), dict):
        # Clients leave the type out where the other member says it.
        for name in ("document_url", "image_url"):
            if name in document:
                document.setdefault("type", name)
    try:
        return OcrRequest.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "body"
        raise InvalidRequest(f"{place}: {first['msg']}") from None


async def _file(
    asked: OcrRequest, text: FileText | None, body: Body, fetch: Fetch, by_id: Own, by_url: Own
) -> FileBytes:
    document = asked.document
    if isinstance(document, UploadedDocument):
        data = await by_id(document.file_id, body.hold)
        if data is None:
            raise InvalidRequest("document.file_id: this server keeps no files (jobs.enabled)")
        return data
    if text is not None:  # a long one
        return await text.decoded(fetch, body.hold)
    if isinstance(document, UrlDocument):
        url = document.document_url
    else:
        image = document.image_url
        url = image if isinstance(image, str) else image.url
    own = await by_url(url, body.hold) if is_url(url) else None
    return await decode_file(url, fetch, body.hold) if own is None else own


def page_ranges(pages: str | list[int] | None) -> str | None:
    """Mistral counts from 0, we count from 1.

    Raises:
        InvalidRequest: the text is no such list.
    """
    if pages is None:
        return None
    if isinstance(pages, list):
        if not pages:
            raise InvalidRequest("pages: the list is empty; leave it out for all pages")
        return ",".join(str(page + 1) for page in pages[:MAX_PAGES_LENGTH])
    if len(pages) > MAX_PAGES_LENGTH:
        raise InvalidRequest(f"pages: more than {MAX_PAGES_LENGTH} characters")
    return ",".join(map(_one_more, pages.split(",")))


def _one_more(part: str) -> str:
    found = _RANGE.fullmatch(part)
    if found is None:
        raise InvalidRequest(f"pages: {part.strip()[:20]!r} is no page or range such as 0-5")
    first = str(int(found[1]) + 1)
    return first if found[2] is None else f"{first}-{int(found[2]) + 1}"
