"""Reading untrusted input: JSON, base64. Every step has a limit.

JSON is bounded in values and in depth, because 64 MiB of ``[[],[],…`` would become gigabytes of
Python objects. Of a long body only what is beside ``file`` is parsed (``file_text.py``); base64 is
decoded where it stands, in slices, so that a file is in memory once and the event loop runs on.
How a body is read is in ``body.py``, multipart in ``upload.py``.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Protocol, TypeVar

import pydantic_core
from starlette.exceptions import HTTPException

from serve_app.api.errors import NOT_AN_OBJECT, InvalidBody
from serve_app.document import FileBytes
from serve_app.errors import InvalidFile, UrlFetchDisabled

T = TypeVar("T")
Grow = Callable[[int], None]  # told how many bytes there are; raises if they are too many


class Fetch(Protocol):
    """Gets the file at a URL."""

    async def __call__(self, url: str, grow: Grow) -> bytes:
        """``grow`` is called before more bytes are taken in."""
        ...


IN_THREAD_BYTES = 64 * 1024  # below this, the hop to a thread costs more than the work
MAX_JSON_VALUES = 100_000
MAX_JSON_DEPTH = 32
BASE64_SLICE_CHARS = 1024 * 1024
DATA_URL_HEADER_CHARS = 256
MAX_LEFT_OVER_CHARS = 8  # a last group, and the padding that some clients always add

A_FORM = (
    "Send JSON (Content-Type: application/json) with `file` as base64 or a URL; forms with a file "
    "go to /v1/parse"
)
_URLSAFE_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_WHITESPACE = b" \t\r\n\f\v"


async def in_thread(size_bytes: int, work: Callable[[], T]) -> T:
    """Run ``work`` in a thread if the data is big enough to block the loop for long."""
    return await asyncio.to_thread(work) if size_bytes > IN_THREAD_BYTES else work()


def is_json(content_type: str) -> bool:
    """Whether a Content-Type header announces JSON (``application/json``, ``application/*+json``).

    No header is not JSON: a web page can make a browser send any other type to a server on
    localhost without asking.
    """
    main, _, sub = content_type.split(";")[0].strip().lower().partition("/")
    return main == "application" and (sub == "json" or sub.endswith("+json"))


def check_json(body: FileBytes, content_type: str) -> None:
    """Refuse what is no JSON by its look, with the answers of FastAPI (hence of PaddleX).

    Raises:
        InvalidBody: empty, or of another type.
    """
    if not body:
        raise InvalidBody([{"type": "missing", "loc": "body", "msg": "Field required"}])
    if content_type.lower().startswith("multipart/form-data"):
        raise InvalidBody([{**NOT_AN_OBJECT, "msg": A_FORM}])
    if not is_json(content_type):
        raise InvalidBody([NOT_AN_OBJECT])


async def parse_json(body: FileBytes, content_type: str) -> object:
    """The value of a JSON body, with the answers of FastAPI (hence of PaddleX) for broken ones.

    Raises:
        InvalidBody: empty, not JSON, or more than ``MAX_JSON_VALUES`` or ``MAX_JSON_DEPTH``.
        HTTPException: 400, the bytes are not text.
    """
    check_json(body, content_type)
    return await in_thread(len(body), lambda: load_json(body))


def load_json(body: FileBytes, cut: tuple[int, int] = (0, 0)) -> object:
    """As ``parse_json``, for what is known to be JSON by its type.

    Args:
        cut: where something was left out of the body and how many bytes, for the places of errors.
    """
    if sum(body.count(mark) for mark in b",[{") > MAX_JSON_VALUES:
        raise too_complex(f"JSON of more than {MAX_JSON_VALUES} values")
    value = _parse(body, cut)
    if _is_deeper(value, MAX_JSON_DEPTH):
        raise too_complex(f"JSON nested deeper than {MAX_JSON_DEPTH}")
    return value


def _parse(body: FileBytes, cut: tuple[int, int]) -> object:
    try:
        return pydantic_core.from_json(body)
    except ValueError:
        # The fast parser knows UTF-8 only and has no positions: the slow one decides.
        return _parse_slowly(body, cut)


def _parse_slowly(body: FileBytes, cut: tuple[int, int]) -> object:
    try:
        return json.loads(body)
    except json.JSONDecodeError as exc:
        at, length = cut
        raise invalid_json(exc.pos + (length if exc.pos > at else 0)) from None
    except RecursionError:
        raise too_complex(f"JSON nested deeper than {MAX_JSON_DEPTH}") from None
    except ValueError:
        # Not text in any of JSON's encodings, or a number of thousands of digits.
        raise HTTPException(400, "There was an error parsing the body") from None


def invalid_json(at: int) -> InvalidBody:
    """It is not JSON from this character on."""
    return InvalidBody([{"type": "json_invalid", "loc": f"body[{at}]", "msg": "JSON decode error"}])


def too_complex(message: str) -> InvalidBody:
    """JSON that would cost too much to read."""
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


async def decode_file(text: str, fetch: Fetch, grow: Grow) -> FileBytes:
    """The bytes of PaddleX's ``file``: a URL, or base64 with or without a ``data:`` header.

    Raises:
        InvalidFile: it is neither.
        OcrServeError: what ``fetch`` raises.
    """
    head = text[:DATA_URL_HEADER_CHARS]
    if is_url(head):
        return await fetch(text.strip(), grow)
    start = data_start(head)
    return await in_thread(len(text), lambda: decode_base64(text, start))


def data_start(head: str) -> int:
    """Where the base64 begins: after the header of a ``data:`` URL, if there is one.

    Raises:
        InvalidFile: a header without base64.
    """
    if head.lstrip()[:5].lower() != "data:":
        return 0
    start = head.find(",") + 1
    if start == 0 or not head[:start].lower().rstrip(",").endswith(";base64"):
        raise InvalidFile("`file` is a data: URL without base64")
    return start


def is_url(text: str) -> bool:
    """Whether ``text`` starts as an http(s) URL."""
    return text.lstrip()[:8].lower().startswith(("http://", "https://"))


async def refuse_url(url: str, grow: Grow) -> bytes:
    """In place of a fetcher where URLs are not fetched.

    Raises:
        UrlFetchDisabled: always.
    """
    raise UrlFetchDisabled("Fetching of URLs is disabled here: send the file itself")


def decode_base64(text: str, start: int = 0) -> bytearray:
    """Decode ``text[start:]``: both alphabets, whitespace anywhere, padding optional.

    Raises:
        InvalidFile: any other character, data after padding, or a length that cannot be.
    """
    try:
        buffer = bytearray(text[start:], "ascii")
    except UnicodeEncodeError:
        raise not_base64() from None
    size = 0
    slices = Base64Slices()
    for at in range(0, len(buffer), BASE64_SLICE_CHARS):
        size = put(buffer, size, slices.decoded(bytes(buffer[at : at + BASE64_SLICE_CHARS])))
    size = put(buffer, size, slices.rest())
    del buffer[size:]
    return buffer


def put(buffer: bytearray, at: int, piece: bytes) -> int:
    """Write over what was read already; where the next piece goes."""
    buffer[at : at + len(piece)] = piece
    return at + len(piece)


def not_base64() -> InvalidFile:
    """What ``file`` is not."""
    return InvalidFile("`file` is not base64")


class Base64Slices:
    """Decodes base64 piece by piece: as many whole groups of four as there are."""

    def __init__(self) -> None:
        self._carry = b""

    def decoded(self, piece: bytes) -> bytes:
        """What this piece brings.

        Raises:
            InvalidFile: it is no base64.
        """
        data = self._carry + piece.translate(_URLSAFE_TO_STANDARD, _WHITESPACE)
        padding_at = data.find(b"=")
        usable = len(data) if padding_at < 0 else padding_at
        usable -= usable % 4
        if len(data) - usable > MAX_LEFT_OVER_CHARS:
            raise not_base64()  # data after padding
        self._carry = data[usable:]
        return _decode(data[:usable])

    def rest(self) -> bytes:
        """What the last group brings.

        Raises:
            InvalidFile: its length cannot be.
        """
        left = self._carry.rstrip(b"=")
        return _decode(left + b"=" * (-len(left) % 4))


def _decode(data: bytes) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        raise not_base64() from None
