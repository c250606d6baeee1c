"""One uploaded file: a multipart form with a ``file`` part, or simply the body.

The form is parsed while it arrives, with the same limit in bytes as every other body; the file
part waits in a spooled temporary file, not in memory twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from serve_app.api.body import Body
from serve_app.api.intake import Fetch, is_url
from serve_app.document import FileBytes
from serve_app.errors import InvalidRequest

FILE_PART = "file"
MAX_FIELDS = 64
MAX_FIELD_BYTES = 16 * 1024
MAX_URL_BYTES = 16 * 1024
# What `curl -d` strips: a picture or a PDF of this size has at least one of them.
STRIPPED, SURE_BYTES = (b"\0", b"\r", b"\n"), 1024


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


@dataclass(frozen=True, slots=True)
class Form:
    """The same, of a form whose fields may come several times."""

    data: FileBytes
    fields: Sequence[tuple[str, str]]
    name: str


async def read_upload(body: Body, fetch: Fetch) -> Upload:
    """Read the file out of a form, or take the body as the file whatever its type.

    Raises:
        RequestTooLarge, UploadsFull, BodyTooSlow: see ``body.py``.
        InvalidRequest: a broken form, or one without a ``file`` part; a body that curl's ``-d``
            has damaged.
        OcrServeError: what ``fetch`` raises, where ``file`` is a text field with a URL.
    """
    content_type = body.request.headers.get("content-type", "")
    if not is_form(content_type):
        data = await body.read()
        _check_undamaged(data, content_type)
        return Upload(data, {})
    form = await read_form(body, fetch)
    return Upload(form.data, _once(form.fields), form.name)


def is_form(content_type: str) -> bool:
    """Whether a body is announced as a form that can hold a file."""
    return content_type.split(";")[0].strip().lower() == "multipart/form-data"


async def read_form(body: Body, fetch: Fetch, part: str = FILE_PART) -> Form:
    """Read a form with one file, in the part of this name.

    Raises: as ``read_upload``.
    """
    form = await _parse_form(body, part)
    try:
        data, name = await _file_of(form, part, fetch, body)
        texts = [(name, text) for name, text in form.multi_items() if isinstance(text, str)]
        return Form(data, texts, name)
    finally:
        await form.close()


def _check_undamaged(data: FileBytes, content_type: str) -> None:
    if content_type.split(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return
    if len(data) > SURE_BYTES and not any(byte in data for byte in STRIPPED):
        raise InvalidRequest(
            "The file was damaged on its way: `curl -d` strips line breaks. Send it by "
            "--data-binary @NAME or -F file=@NAME"
        )


class _FormParser(MultiPartParser):
    """Starlette's parser, which takes a form without its end for a whole one, and a file without
    a name for a text."""

    ended = False
    file_part = FILE_PART

    def on_headers_finished(self) -> None:
        """The kind of a part is known."""
        disposition = self._current_part.content_disposition
        _, options = parse_options_header(disposition)
        if disposition is not None and options.get(b"name") == self.file_part.encode():
            if b"filename" not in options:
                self._current_part.content_disposition = disposition + b'; filename=""'
            if self._current_files >= self.max_files:
                raise MultiPartException(
                    "There is more than one file: send a request, or a job, for each."
                )
        super().on_headers_finished()

    def on_end(self) -> None:
        """The closing boundary was read."""
        self.ended = True


async def _parse_form(body: Body, part: str) -> FormData:
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
    parser.file_part = part
    try:
        return await parser.parse()
    except MultiPartException as exc:
        raise InvalidRequest(f"Broken multipart form: {exc.message}") from None
    except FormParserError:
        raise InvalidRequest("Broken multipart form") from None
    finally:
        await stream.aclose()


async def _file_of(form: FormData, part: str, fetch: Fetch, body: Body) -> tuple[bytes, str]:
    """The file, and its name; a URL in its place is fetched."""
    found = form.get(part)
    if not isinstance(found, UploadFile):
        others = [name for name, value in form.multi_items() if isinstance(value, UploadFile)]
        beside = f", but a file named `{others[0][:64]}`" if others else ""
        raise InvalidRequest(
            f"The form has no part named `{part}`{beside}: in curl, -F {part}=@NAME"
        )
    data, name = await found.read(), found.filename or ""
    if name or len(data) > MAX_URL_BYTES:
        return data, name
    text = data.decode("utf-8", "replace").strip()
    if is_url(text):
        return await fetch(text, body.hold), name
    if text.isprintable():  # the name of a file, most likely, and not the file
        raise InvalidRequest(f"The part `{part}` must be a file: in curl, -F {part}=@NAME")
    return data, name


def _once(items: Sequence[tuple[str, str]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in items:
        if name in fields:
            raise InvalidRequest(f"`{name}` is given twice")
        fields[name] = value
    return fields
