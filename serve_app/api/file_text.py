"""The ``file`` of a long JSON body, found and decoded where it stands.

A parser would make a second copy of the text, and decoding a third of the bytes. Here the text is
found in the raw body, the rest of the JSON is parsed without it, and the bytes are written over the
text they are made of: the body is in memory once. What a body may have beside its file is bounded,
so a body that hides its file from the search (``"\\u0066ile"``) is refused rather than copied.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from serve_app.api import intake
from serve_app.api.body import Body
from serve_app.api.intake import Base64Slices, Fetch, Grow, in_thread, put
from serve_app.errors import InvalidFile

LONG_BYTES = 1024 * 1024
# A short body, the text of its file and the file are there at the same time.
SHORT_COPIES = 3
MAX_URL_BYTES = 64 * 1024
# Where the file may stand: keys, and how deep in brackets.
Place = tuple[frozenset[bytes], range]
FILE: Place = (frozenset({b"file"}), range(1, 2))
# A search step: short enough for other threads to have their turn.
WINDOW_BYTES = 1024 * 1024
MAX_TOKENS = 4 * intake.MAX_JSON_VALUES
ESCAPE_CHARS = 6  # \u002f
MAX_KEY_BYTES = 32

_MARK = re.compile(rb'["{}\[\]]')
_VALUE = re.compile(rb'[ \t\r\n]*:[ \t\r\n]*"')
_CONTROLS = bytes(range(0x20))  # none of them may stand in a string of JSON


@dataclass(slots=True)
class FileText:
    """The text of ``file`` within a body.

    Attributes:
        body: the whole; taken apart by ``decoded``.
        start, end: the string without its quotes.
    """

    body: bytearray
    start: int
    end: int

    async def decoded(self, fetch: Fetch, grow: Grow) -> bytes | bytearray:
        """The bytes of the file; see ``intake.decode_file``.

        Raises:
            InvalidFile: neither base64 nor a URL.
            InvalidBody: the string is not one of JSON.
            OcrServeError: what ``fetch`` raises.
        """
        size = self.end - self.start
        head = bytes(self.body[self.start : self.start + intake.DATA_URL_HEADER_CHARS])
        text = head[:size].decode("latin-1")
        if intake.is_url(text.replace("\\/", "/")):
            if size > MAX_URL_BYTES:
                raise InvalidFile(f"`file` is a URL of more than {MAX_URL_BYTES} characters")
            url = str(json.loads(self.body[self.start - 1 : self.end + 1]))
            return await fetch(url.strip(), grow)
        skipped = intake.data_start(text.replace("\\/", "//"))
        return await in_thread(size, lambda: self._decode(self.start + skipped))

    def _decode(self, at: int) -> bytearray:
        """Base64 in place: what is written is never beyond what was read."""
        slices, size = Base64Slices(), 0
        while at < self.end:
            stop = self._safe_stop(at)
            size = put(self.body, size, slices.decoded(self._plain(at, stop)))
            at = stop
        size = put(self.body, size, slices.rest())
        del self.body[size:]
        return self.body

    def _safe_stop(self, at: int) -> int:
        """The end of a slice that cuts no escape in two."""
        stop = min(at + intake.BASE64_SLICE_CHARS, self.end)
        if stop < self.end:
            escape = self.body.rfind(b"\\", max(at + 1, stop - ESCAPE_CHARS), stop)
            if escape > 0:
                return escape
        return stop

    def _plain(self, at: int, stop: int) -> bytes:
        """The characters from ``at`` on without JSON's escapes (PHP writes ``\\/``)."""
        piece = bytes(self.body[at:stop])
        if len(piece.translate(None, _CONTROLS)) < len(piece):  # much faster than a search
            raise intake.invalid_json(at + next(n for n, c in enumerate(piece) if c < 0x20))
        if b"\\" not in piece:
            return piece
        try:
            return str(json.loads(b'"' + piece + b'"')).encode("ascii")
        except json.JSONDecodeError as error:
            raise intake.invalid_json(at + error.pos - 1) from None
        except UnicodeError:
            raise intake.not_base64() from None


async def json_of(body: Body, place: Place = FILE) -> tuple[object, FileText | None]:
    """The value of the body; the text of a long ``file`` is apart.

    Args:
        place: of the file, in protocols that call it otherwise.

    Raises: as ``Body.read`` and ``take_apart``.
    """
    raw = await body.read()
    intake.check_json(raw, body.request.headers.get("content-type", ""))
    if len(raw) <= LONG_BYTES:
        body.hold(SHORT_COPIES * len(raw))
    return await in_thread(len(raw), lambda: take_apart(raw, place))


def take_apart(body: bytearray, place: Place = FILE) -> tuple[object, FileText | None]:
    """The value of a JSON body, with an empty ``file`` if that is long; and its text.

    Raises:
        InvalidBody: see ``intake.parse_json``; or more than ``LONG_BYTES`` beside the file.
        HTTPException: 400, the bytes are not text.
    """
    if len(body) <= LONG_BYTES:
        return intake.load_json(body), None
    found = _Search(body, place).file()
    if found is None:
        raise intake.too_complex(_too_much())
    rest = body[: found.start] + body[found.end :]
    if len(rest) > LONG_BYTES:
        raise intake.too_complex(_too_much())
    return intake.load_json(rest, (found.start, found.end - found.start)), found


def _too_much() -> str:
    return f"JSON of more than {LONG_BYTES} bytes beside `file`"


class _Search:
    """Walks over the strings and brackets of a body; what is no JSON is found out by a parser."""

    def __init__(self, body: bytearray, place: Place) -> None:
        self._body = body
        self._keys, self._depths = place
        self._tokens = 0

    def file(self) -> FileText | None:
        """The last string that is the value of such a key."""
        found, at, depth = None, 0, 0
        while (mark := self._mark(at)) >= 0:
            self._count()
            at = mark + 1
            if self._body[mark] in b"{[":
                depth += 1
            elif self._body[mark] in b"}]":
                depth -= 1
            else:
                end = self._string_end(at)
                is_key = depth in self._depths and self._is_key(at, end)
                value = _VALUE.match(self._body, end + 1) if is_key else None
                at = end + 1
                if value is not None:
                    end = self._string_end(value.end())
                    found = FileText(self._body, value.end(), end)
                    at = end + 1
        return found

    def _is_key(self, at: int, end: int) -> bool:
        return end - at <= MAX_KEY_BYTES and bytes(self._body[at:end]) in self._keys

    def _mark(self, at: int) -> int:
        """The next quote or bracket; -1 if there is none."""
        while at < len(self._body):
            stop = at + WINDOW_BYTES
            if mark := _MARK.search(self._body, at, stop):
                return mark.start()
            at = stop
        return -1

    def _string_end(self, at: int) -> int:
        """The quote that closes the string; the end of the body if none does."""
        quote = at
        while (quote := self._body.find(b'"', quote)) >= 0:
            escapes = 0
            while quote - escapes > at and self._body[quote - escapes - 1] == ord("\\"):
                escapes += 1
                self._count()
            if escapes % 2 == 0:
                return quote
            quote += 1
        return len(self._body)

    def _count(self) -> None:
        self._tokens += 1
        if self._tokens > MAX_TOKENS:
            raise intake.too_complex(f"JSON of more than {MAX_TOKENS} marks and escapes")
