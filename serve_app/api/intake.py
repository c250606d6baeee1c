"""Reading what strangers send: bodies, JSON, base64. Every step has a limit.

A body is counted while it is read; JSON is bounded in values and in depth, because 64 MiB of
``[[],[],…`` would become gigabytes of Python objects; base64 is decoded in slices, so that the
event loop runs on while a big file is decoded in a thread. Multipart is in ``upload.py``.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import TypeVar

import pydantic_core
from starlette.exceptions import HTTPException
from starlette.requests import Request

from serve_app.api.errors import NOT_AN_OBJECT, InvalidBody
from serve_app.errors import InvalidFile, RequestTooLarge, UrlFetchDisabled

T = TypeVar("T")
Fetch = Callable[[str], Awaitable[bytes]]  # the file at a URL

IN_THREAD_BYTES = 64 * 1024  # below this, the hop to a thread costs more than the work
MAX_JSON_VALUES = 100_000
MAX_JSON_DEPTH = 32
BASE64_SLICE_CHARS = 1024 * 1024
DATA_URL_HEADER_CHARS = 256
MAX_LEFT_OVER_CHARS = 8  # a last group, and the padding that some clients always add

_URLSAFE_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_WHITESPACE = b" \t\r\n\f\v"


async def in_thread(size_bytes: int, work: Callable[[], T]) -> T:
    """Run ``work`` in a thread if the data is big enough to block the loop for long."""
    return await asyncio.to_thread(work) if size_bytes > IN_THREAD_BYTES else work()


async def limited_stream(request: Request, limit_bytes: int) -> AsyncGenerator[bytes, None]:
    """The chunks of the body.

    Raises:
        RequestTooLarge: at once if Content-Length says so, else when the limit is crossed.
    """
    _check_size(declared_bytes(request.headers), limit_bytes)
    received = 0
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            received += len(chunk)
            _check_size(received, limit_bytes)
            yield chunk


def declared_bytes(headers: Mapping[str, str]) -> int:
    """Content-Length; 0 if there is none that can be read."""
    declared = headers.get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdigit() else 0


def _check_size(size_bytes: int, limit_bytes: int) -> None:
    if size_bytes > limit_bytes:
        what = "The size of the request body in bytes"
        raise RequestTooLarge(what, size_bytes, limit_bytes, "limits.max_request_bytes")


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The whole body, of at most ``limit_bytes``.

    Raises:
        RequestTooLarge: the body is bigger.
    """
    buffer = io.BytesIO()
    async with aclosing(limited_stream(request, limit_bytes)) as chunks:
        async for chunk in chunks:
            buffer.write(chunk)
    return buffer.getvalue()


def is_json(content_type: str) -> bool:
    """Whether a Content-Type header announces JSON (``application/json``, ``application/*+json``).

    No header is not JSON: a web page can make a browser send any other type to a server on
    localhost without asking.
    """
    main, _, sub = content_type.split(";")[0].strip().lower().partition("/")
    return main == "application" and (sub == "json" or sub.endswith("+json"))


async def parse_json(body: bytes, content_type: str) -> object:
    """The value of a JSON body, with the answers of FastAPI (hence of PaddleX) for broken ones.

    Raises:
        InvalidBody: empty, not JSON, or more than ``MAX_JSON_VALUES`` or ``MAX_JSON_DEPTH``.
        HTTPException: 400, the bytes are not text.
    """
    if not body:
        raise InvalidBody([{"type": "missing", "loc": "body", "msg": "Field required"}])
    if not is_json(content_type):
        raise InvalidBody([NOT_AN_OBJECT])
    return await in_thread(len(body), lambda: _load_json(body))


def _load_json(body: bytes) -> object:
    if sum(body.count(mark) for mark in b",[{") > MAX_JSON_VALUES:
        raise _too_complex(f"JSON of more than {MAX_JSON_VALUES} values")
    value = _parse(body)
    if _is_deeper(value, MAX_JSON_DEPTH):
        raise _too_complex(f"JSON nested deeper than {MAX_JSON_DEPTH}")
    return value


def _parse(body: bytes) -> object:
    try:
        return pydantic_core.from_json(body)
    except ValueError:
        # The fast parser knows UTF-8 only and has no positions: the slow one decides.
        return _parse_slowly(body)


def _parse_slowly(body: bytes) -> object:
    try:
        return json.loads(body)
    except json.JSONDecodeError as exc:
        error = {"type": "json_invalid", "loc": f"body[{exc.pos}]", "msg": "JSON decode error"}
        raise InvalidBody([error]) from None
    except RecursionError:
        raise _too_complex(f"JSON nested deeper than {MAX_JSON_DEPTH}") from None
    except ValueError:
        # Not text in any of JSON's encodings, or a number of thousands of digits.
        raise HTTPException(400, "There was an error parsing the body") from None


def _too_complex(message: str) -> InvalidBody:
    return InvalidBody([{"type": "json_too_complex", "loc": "body", "msg": message}])


def _is_deeper(value: object, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return True


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


async def decode_file(text: str, fetch: Fetch) -> bytes:
    """The bytes of PaddleX's ``file``: a URL, or base64 with or without a ``data:`` header.

    Raises:
        InvalidFile: it is neither.
        OcrServeError: what ``fetch`` raises.
    """
    head = text[:DATA_URL_HEADER_CHARS]
    if is_url(head):
        return await fetch(text.strip())
    start = 0
    if head.lstrip()[:5].lower() == "data:":
        start = head.find(",") + 1
        if start == 0 or not head[:start].lower().rstrip(",").endswith(";base64"):
            raise InvalidFile("`file` is a data: URL without base64")
    return await in_thread(len(text), lambda: decode_base64(text, start))


def is_url(text: str) -> bool:
    """Whether ``text`` starts as an http(s) URL."""
    return text.lstrip()[:8].lower().startswith(("http://", "https://"))


async def refuse_url(url: str) -> bytes:
    """In place of a fetcher where URLs are not fetched.

    Raises:
        UrlFetchDisabled: always.
    """
    raise UrlFetchDisabled("Fetching of URLs is disabled here: send the file itself")


def decode_base64(text: str, start: int = 0) -> bytes:
    """Decode ``text[start:]``: both alphabets, whitespace anywhere, padding optional.

    Raises:
        InvalidFile: any other character, data after padding, or a length that cannot be.
    """
    out = io.BytesIO()
    try:
        carry = b""
        for at in range(start, len(text), BASE64_SLICE_CHARS):
            carry = _decode_slice(carry, text[at : at + BASE64_SLICE_CHARS], out)
        carry = carry.rstrip(b"=")
        out.write(base64.b64decode(carry + b"=" * (-len(carry) % 4), validate=True))
    except ValueError:
        raise InvalidFile("`file` is not base64") from None
    return out.getvalue()


def _decode_slice(carry: bytes, text: str, out: io.BytesIO) -> bytes:
    """Decode as many whole groups of four as there are; returns what is left over."""
    data = carry + text.encode("ascii").translate(_URLSAFE_TO_STANDARD, _WHITESPACE)
    padding_at = data.find(b"=")
    usable = len(data) if padding_at < 0 else padding_at
    usable -= usable % 4
    if len(data) - usable > MAX_LEFT_OVER_CHARS:
        raise ValueError("data after padding")
    out.write(base64.b64decode(data[:usable], validate=True))
    return data[usable:]
