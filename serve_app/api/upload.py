"""One uploaded file: a multipart form with a ``file`` part, or simply the body.

The form is parsed while it arrives, with the same limit in bytes as every other body; the file
part waits in a spooled temporary file, not in memory twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from serve_app.api.body import Body
from serve_app.api.intake import Fetch, is_url
from serve_app.document import FileBytes
from serve_app.errors import InvalidRequest

FILE_PART = "file"
MAX_FIELDS = 64
MAX_FIELD_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """What was uploaded.

    Attributes:
        data: the bytes of the file.
        fields: the form's text fields by name.
        name: what the client calls the file, as it sent it; "" if it did not.
    """

    data: FileBytes
    fields: Mapping[str, str]
    name: str = ""


async def read_upload(body: Body, fetch: Fetch) -> Upload:
    """Read the file out of a form, or take the body as the file whatever its type.

    Raises:
        RequestTooLarge, UploadsFull, BodyTooSlow: see ``body.py``.
        InvalidRequest: a broken form, or one without a ``file`` part.
        OcrServeError: what ``fetch`` raises, where ``file`` is a text field with a URL.
    """
    content_type = body.request.headers.get("content-type", "")
    if content_type.split(";")[0].strip().lower() != "multipart/form-data":
        return Upload(await body.read(), {})
    form = await _parse_form(body)
    try:
        return Upload(await _file_of(form, fetch, body), _fields_of(form), _name_of(form))
    finally:
        await form.close()


class _FormParser(MultiPartParser):
    """Starlette's parser, which takes a form without its end for a whole one."""

    ended = False

    def on_end(self) -> None:
        """The closing boundary was read."""
        self.ended = True


async def _parse_form(body: Body) -> FormData:
    async def whole_stream() -> AsyncGenerator[bytes, None]:
        async with aclosing(body.chunks()) as chunks:
            async for chunk in chunks:
                yield chunk
        if not parser.ended:
            # Raised inside the parser's loop, where it closes the half-written file.
            raise MultiPartException("The form is cut off.")

    stream = whole_stream()
    parser = _FormParser(
        body.request.headers,
        stream,
        max_files=1,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_FIELD_BYTES,
    )
    try:
        return await parser.parse()
    except MultiPartException as exc:
        raise InvalidRequest(f"Broken multipart form: {exc.message}") from None
    except FormParserError:
        raise InvalidRequest("Broken multipart form") from None
    finally:
        await stream.aclose()


async def _file_of(form: FormData, fetch: Fetch, body: Body) -> bytes:
    part = form.get(FILE_PART)
    if isinstance(part, UploadFile):
        return await part.read()
    if part is None:
        raise InvalidRequest("The form has no part named `file`")
    if is_url(part):
        return await fetch(part.strip(), body.hold)
    raise InvalidRequest("The part `file` must be a file: in curl, -F file=@NAME")


def _name_of(form: FormData) -> str:
    part = form.get(FILE_PART)
    return (part.filename or "") if isinstance(part, UploadFile) else ""


def _fields_of(form: FormData) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in form.multi_items():
        if not isinstance(value, str) or name == FILE_PART:
            continue
        if name in fields:
            raise InvalidRequest(f"`{name}` is given twice")
        fields[name] = value
    return fields
