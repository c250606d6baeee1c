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
from serve_app.api.intake import (
    decode_base64,
    decode_file,
    is_json,
    parse_json,
    refuse_url,
)
from serve_app.errors import InvalidFile, UrlFetchDisabled

JSON = "application/json"


def uncounted(size_bytes: int) -> None:
    """Room for everything."""


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/problem+json", True),
        ("", False),
        ("text/json", False),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
    ],
)
def test_content_types(header: str, expected: bool) -> None:
    assert is_json(header) is expected


@pytest.mark.parametrize(
    "encoded",
    [b'{"a": "\xe4\xb8\xad"}', '{"a": "中"}'.encode("utf-16"), b'\xef\xbb\xbf{"a":"\xe4\xb8\xad"}'],
)
async def test_json_in_any_of_its_encodings(encoded: bytes) -> None:
    assert await parse_json(encoded, JSON) == {"a": "中"}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    )
)
async def test_json_is_read_as_the_standard_library_reads_it(value: object) -> None:
    body = json.dumps(value).encode()
    assert await parse_json(body, JSON) == json.loads(body)


@pytest.mark.parametrize(
    ("body", "kind", "loc"),
    [
        (b"", "missing", "body"),
        (b'{"a":', "json_invalid", "body[5]"),
        (b"{}}", "json_invalid", "body[2]"),
        (b"nonsense", "json_invalid", "body[0]"),
    ],
)
async def test_broken_json_is_located(body: bytes, kind: str, loc: str) -> None:
    with pytest.raises(InvalidBody) as caught:
        await parse_json(body, JSON)
    [error] = caught.value.errors
    assert (error["type"], error["loc"]) == (kind, loc)
    assert json.loads(str(caught.value)) == [error]


@pytest.mark.parametrize("body", [b'{"a": "\xff"}', b"1" * 10_000])
async def test_what_is_not_text_is_a_400(body: bytes) -> None:
    with pytest.raises(HTTPException) as caught:
        await parse_json(body, JSON)
    assert caught.value.status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 40 + b"]" * 40,
        b"[" * 5_000 + b"]" * 5_000,
        b"[" * 1_000_000,
        b"[" + b"0," * 200_000 + b"0]",
        b'{"file": "", "layoutThreshold": ' + b'{"a":' * 40 + b"1" + b"}" * 41,
    ],
    ids=["deep", "deeper than the parsers go", "unclosed", "wide", "deep in a field"],
)
async def test_json_bombs_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidBody) as caught:
        await parse_json(body, JSON)
    assert caught.value.errors[0]["type"] == "json_too_complex"


@given(st.binary(max_size=300))
def test_base64_round_trip_in_both_alphabets(data: bytes) -> None:
    assert decode_base64(base64.b64encode(data).decode()) == data
    assert decode_base64(base64.urlsafe_b64encode(data).decode()) == data
    assert decode_base64(base64.encodebytes(data).decode()) == data
    assert decode_base64(base64.b64encode(data).decode().rstrip("=")) == data
    assert decode_base64(base64.b64encode(data).decode() + "==") == data


@given(st.binary(min_size=20, max_size=60), st.integers(1, 9))
def test_base64_is_the_same_in_slices_of_any_length(data: bytes, slice_chars: int) -> None:
    text = base64.encodebytes(data).decode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intake, "BASE64_SLICE_CHARS", slice_chars)
        assert decode_base64(text) == data


@pytest.mark.parametrize(
    "text",
    ["!!!", "QUJD!", "中", "\ud800", "QUJDR", "QQ==QQ==", "QQ=A", "=QUJ", "Q" * 9, "a b c d e"],
)
def test_garbage_is_not_base64(text: str) -> None:
    with pytest.raises(InvalidFile):
        decode_base64(text)


@pytest.mark.parametrize(
    "text",
    [
        "aGVsbG8=",
        "  aGVs\r\nbG8=\n",
        "data:image/png;base64,aGVsbG8=",
        "DATA:;Base64,aGVsbG8",
        " data:application/pdf;name=a;base64,aGVs\nbG8=",
    ],
)
async def test_files_with_and_without_a_data_header(text: str) -> None:
    assert await decode_file(text, refuse_url, uncounted) == b"hello"


@pytest.mark.parametrize("text", ["data:text/plain,hello", "data:aGVsbG8=", "data:"])
async def test_data_urls_without_base64_are_refused(text: str) -> None:
    with pytest.raises(InvalidFile):
        await decode_file(text, refuse_url, uncounted)


@pytest.mark.parametrize("text", ["http://a/b.pdf", "HTTPS://a/b.pdf", "  https://a", "http://"])
async def test_urls_are_refused_by_name(text: str) -> None:
    with pytest.raises(UrlFetchDisabled, match="disabled"):
        await decode_file(text, refuse_url, uncounted)


async def test_a_big_file_is_decoded_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    hops: list[object] = []

    async def to_thread(work: Any) -> Any:
        hops.append(work)
        return work()

    monkeypatch.setattr("serve_app.api.intake.asyncio.to_thread", to_thread)
    await decode_file("QUJD", refuse_url, uncounted)
    assert not hops
    assert await decode_file("QUJD" * 100_000, refuse_url, uncounted) == b"ABC" * 100_000
    assert len(hops) == 1
