"""A long JSON body is read as a short one is, only in less memory."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from serve_app.api import intake
from serve_app.api.errors import InvalidBody
from serve_app.api.file_text import LONG_BYTES, MAX_URL_BYTES, take_apart
from serve_app.api.intake import refuse_url
from serve_app.errors import InvalidFile, UrlFetchDisabled

DATA = bytes(range(256)) * 4500  # its base64 makes a long body
TEXT = base64.b64encode(DATA).decode()


def uncounted(size_bytes: int) -> None:
    """Room for everything."""


def body(text: str = TEXT, before: str = "", after: str = "") -> bytearray:
    """JSON around a raw string."""
    made = bytearray(f'{{{before}"file": "{text}"{after}}}'.encode())
    assert len(made) > LONG_BYTES
    return made


async def decoded(raw: bytearray) -> tuple[Any, bytes]:
    value, text = take_apart(raw)
    assert text is not None
    return value, bytes(await text.decoded(refuse_url, uncounted))


async def test_the_file_is_found_and_the_rest_is_what_a_parser_reads() -> None:
    rest = '"a": {"file": "not this", "x": ["file", {"file": 1}]}, "b": "\\"file\\": \\"y", '
    raw = body(before=rest, after=', "fileType": 1, "ü": "中", "c": "file"')
    expected = json.loads(bytes(raw))
    value, data = await decoded(raw)
    assert data == DATA
    assert value == {**expected, "file": ""}


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("/", "\\/"),  # PHP's json_encode
        base64.urlsafe_b64encode(DATA).decode(),
        base64.encodebytes(DATA).decode().replace("\n", "\\n"),
        base64.encodebytes(DATA).decode().replace("\n", "\\r\\n"),
        TEXT.replace("A", "\\u0041"),
        "data:application/octet-stream;base64," + TEXT,
        "data:application\\/octet-stream;base64," + TEXT,
        "  " + TEXT + "  ",
        TEXT.rstrip("="),
        TEXT + "==",
    ],
    ids=["php", "urlsafe", "lf", "crlf", "hex", "data", "data php", "blank", "bare", "padded"],
)
async def test_every_way_to_write_base64_into_json(text: str) -> None:
    _, data = await decoded(body(text))
    assert data == DATA


@given(st.binary(min_size=60, max_size=200), st.integers(7, 40), st.booleans())
async def test_slices_of_any_length_give_the_same(data: bytes, slice_chars: int, php: bool) -> None:
    text = base64.encodebytes(data).decode()
    written = json.dumps({"file": text, "x": 1})
    raw = bytearray((written.replace("/", "\\/") if php else written).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intake, "BASE64_SLICE_CHARS", slice_chars)
        patch.setattr("serve_app.api.file_text.LONG_BYTES", 30)
        value, found = take_apart(raw)
        assert value == {"file": "", "x": 1}
        assert found is not None
        assert bytes(await found.decoded(refuse_url, uncounted)) == data


@pytest.mark.parametrize(
    "text", ["!" + TEXT, TEXT + "!", TEXT[:-4] + "Q", TEXT + "QQ==QQ==", TEXT + "é", TEXT + "\\\\"]
)
async def test_garbage_is_not_base64(text: str) -> None:
    with pytest.raises(InvalidFile):
        await decoded(body(text))


@pytest.mark.parametrize(
    "raw",
    [
        body(after=', "x": }'),
        body(before='"x": , '),
        body(after=","),
        body() + b"}",
        body()[:-1],
        body()[:-2],  # the string does not end
        body(TEXT[:100_000] + "\n" + TEXT),
        body(TEXT[:100_000] + "\x00" + TEXT),
        body(TEXT[:100_000] + "\\q" + TEXT),
        body(TEXT[:100_000] + "\\u00g0" + TEXT),
        body(after=', "中": nonsense'),
    ],
    ids=range(11),
)
async def test_broken_json_is_located_where_a_parser_finds_it(raw: bytearray) -> None:
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(bytes(raw))
    with pytest.raises(InvalidBody) as caught:
        await decoded(raw)
    [error] = caught.value.errors
    assert (error["type"], error["loc"]) == ("json_invalid", f"body[{expected.value.pos}]")


@pytest.mark.parametrize(
    "raw",
    [
        bytearray(b'{"file": "", "x": "' + b"y" * LONG_BYTES + b'"}'),
        bytearray(b'{"\\u0066ile": "' + TEXT.encode() + b'"}'),
        bytearray(b'["file", "' + TEXT.encode() + b'"]'),
        bytearray(b'{"x": {"file": "' + TEXT.encode() + b'"}}'),
        bytearray(b'{"file": "' + TEXT.encode() + b'", "file": "' + TEXT.encode() + b'"}'),
        bytearray(b" " * (LONG_BYTES + 1)),
        bytearray(b'{"x": "' + b'\\"' * LONG_BYTES + b'"}'),
        bytearray(b'{"x": "' + b"\\\\" * LONG_BYTES + b'"}'),
        bytearray(b"[" * (LONG_BYTES + 1)),
        bytearray('{"file": "x"}'.encode("utf-16") + b" \0" * LONG_BYTES),
    ],
    ids=["field", "hidden", "list", "deeper", "twice", "blank", "quotes", "slashes", "deep", "16"],
)
def test_what_is_long_beside_its_file_is_refused(raw: bytearray) -> None:
    with pytest.raises(InvalidBody) as caught:
        take_apart(raw)
    assert caught.value.errors[0]["type"] == "json_too_complex"


def test_the_last_of_two_files_counts_as_in_a_parser() -> None:
    raw = bytearray(b'{"file": "short", "file": "' + TEXT.encode() + b'"}')
    value, found = take_apart(raw)
    assert value == {"file": ""}
    assert found is not None
    assert found.end - found.start == len(TEXT)


def test_what_is_not_text_is_a_400() -> None:
    raw = body(after=', "x": "@"').replace(b"@", b"\xff")
    with pytest.raises(HTTPException) as caught:
        take_apart(raw)
    assert caught.value.status_code == 400


async def test_a_url_in_a_long_body_is_a_url_if_it_has_the_length_of_one() -> None:
    long_rest = ' "x": "' + "y" * (LONG_BYTES - 1000) + '", '
    raw = bytearray(f'{{{long_rest}"file": "https:\\/\\/a.example/{"b" * 2000}"}}'.encode())
    _, found = take_apart(raw)
    assert found is not None
    with pytest.raises(UrlFetchDisabled):
        await found.decoded(refuse_url, uncounted)
    _, found = take_apart(body("https://a.example/" + "b" * (MAX_URL_BYTES + LONG_BYTES)))
    assert found is not None
    with pytest.raises(InvalidFile, match="URL"):
        await found.decoded(refuse_url, uncounted)
