"""Untrusted input, mutated: every answer is a result or a typed error, and limits hold."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from serve_app.api.errors import InvalidBody
from serve_app.api.intake import decode_base64, parse_json
from serve_app.api.parse_params import OWN, read_params
from serve_app.documents.inspect import inspect
from serve_app.documents.page_ranges import parse_page_ranges
from serve_app.documents.render import render_page
from serve_app.errors import InvalidFile, InvalidRequest, OcrServeError, UnknownModel
from serve_app.settings import DocumentSettings, LimitSettings
from serve_app.testing.service import fake_settings
from tests.fuzz.effort import fuzzed
from tests.fuzz.mutation import damaged

pytestmark = pytest.mark.fuzz

LIMITS = LimitSettings(max_page_pixels=4_000_000, max_pages=8)
DOCUMENTS = DocumentSettings()
SETTINGS = fake_settings()

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@fuzzed
@given(damaged() | st.binary(max_size=300))
def test_a_document_is_described_and_drawn_as_described_or_refused(data: bytes) -> None:
    try:
        info = inspect(data, LIMITS, DOCUMENTS)
    except OcrServeError:
        return
    assert 1 <= len(info.pages) <= 8
    for page in info.pages:
        assert 1 <= page.width * page.height <= 4_000_000
        try:
            drawn = render_page(data, info.kind, page.index, LIMITS, DOCUMENTS)
        except OcrServeError:
            continue
        assert drawn.dtype == np.uint8
        assert drawn.shape == (page.height, page.width, 3)


@fuzzed
@given(JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200))
async def test_a_body_is_json_or_refused(body: bytes) -> None:
    try:
        await parse_json(body, "application/json")
    except (InvalidBody, HTTPException):
        return
    json.loads(body)  # what we took, the reference takes


@fuzzed
@given(st.binary(max_size=300), st.data())
def test_base64_of_either_alphabet_with_blanks_anywhere_is_read(data: bytes, draw: Any) -> None:
    encode = draw.draw(st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]))
    text = encode(data).decode().rstrip("=" * draw.draw(st.integers(0, 1)))
    at = draw.draw(st.integers(0, len(text)))
    assert decode_base64(text[:at] + draw.draw(st.text(" \r\n\t", max_size=3)) + text[at:]) == data


@fuzzed
@given(st.text(max_size=200))
def test_other_text_is_no_base64(text: str) -> None:
    try:
        decode_base64(text)
    except InvalidFile:
        return
    assert text.isascii()


@fuzzed
@given(st.dictionaries(st.sampled_from(OWN) | st.text(max_size=12), st.text(max_size=12)))
def test_parameters_are_read_or_refused(given_: dict[str, str]) -> None:
    try:
        params = read_params(given_, SETTINGS)
    except (InvalidRequest, UnknownModel):
        return
    assert params.model in SETTINGS.models


@fuzzed
@given(st.text("0123456789-, x", max_size=12), st.integers(1, 20))
def test_page_ranges_are_read_or_refused(text: str, count: int) -> None:
    try:
        pages = parse_page_ranges(text, count)
    except InvalidRequest:
        return
    assert pages
    assert all(0 <= page < count for page in pages)
