from __future__ import annotations

import inspect
import json
import pickle
import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from serve_app import errors
from serve_app.api.context import RequestContext
from serve_app.api.errors import InvalidBody, error_response, to_http, uses_our_envelope
from serve_app.errors import CapacityError, LimitExceeded, OcrServeError


def all_errors(base: type[OcrServeError] = OcrServeError) -> Iterator[type[OcrServeError]]:
    yield base
    for sub in base.__subclasses__():
        yield from all_errors(sub)


def example(kind: type[OcrServeError]) -> OcrServeError:
    if kind is InvalidBody:
        return InvalidBody([{"type": "missing", "loc": "body.file", "msg": "Field required"}])
    if issubclass(kind, LimitExceeded):
        return kind("The number of pages", 501, 500, "limits.max_pages")
    return kind("what happened")


def answer(exc: BaseException, path: str) -> tuple[int, Any, Any]:
    context = RequestContext("rid", 0.0, lambda: 0.0, log_id="lid")
    scope = {
        "type": "http",
        "path": path,
        "headers": [],
        "server": ("test", 80),
        "state": {"ocr_serve": context},
    }
    response = error_response(Request(scope), exc)
    return response.status_code, json.loads(bytes(response.body)), response.headers


EVERY_ERROR = pytest.mark.parametrize("kind", list(dict.fromkeys(all_errors())))


@EVERY_ERROR
def test_every_error_has_a_row(kind: type[OcrServeError]) -> None:
    row = to_http(example(kind))
    # As it is written down for people (``serve_app/errors``); those without a code of their own are
    # bases that nothing raises.
    drawn = re.search(rf" {kind.__name__} +(\d{{3}}) (\w+)", errors.__doc__ or "")
    if "code" in vars(kind) and kind not in (OcrServeError, CapacityError):
        assert drawn
        assert (str(row.status), row.code) == drawn.groups()
    assert 400 <= row.status < 600
    assert row.message
    assert row.paddlex_message


@EVERY_ERROR
def test_every_error_is_written_in_both_envelopes(kind: type[OcrServeError]) -> None:
    exc = example(kind)
    status, ours, headers = answer(exc, "/v1/parse")
    assert status == kind.status
    assert ours["error"]["code"] == kind.code
    assert ours["error"]["request_id"] == "rid"
    status, theirs, theirs_headers = answer(exc, "/ocr")
    assert status == kind.status
    assert list(theirs) == ["logId", "errorCode", "errorMsg"]
    assert (theirs["logId"], theirs["errorCode"]) == ("lid", status)
    assert headers.get("retry-after") == theirs_headers.get("retry-after")


@EVERY_ERROR
def test_every_503_says_when_to_come_back(kind: type[OcrServeError]) -> None:
    headers = to_http(example(kind)).headers
    if kind.status == 503:
        assert int(headers["Retry-After"]) >= 1


def test_codes_are_one_per_public_class() -> None:
    public = [
        kind
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if not name.startswith("_")
    ]
    codes = [kind.code for kind in public if issubclass(kind, OcrServeError)]
    assert len(codes) == len(set(codes))


def test_retry_after_is_rounded_up_to_whole_seconds() -> None:
    error = errors.QueueFull("full")
    error.retry_after_s = 2.1
    assert to_http(error).headers == {"Retry-After": "3"}


def test_limits_name_value_limit_and_key() -> None:
    exc = errors.TooManyPages("The number of pages", 501, 500, "limits.max_pages")
    _, ours, _ = answer(exc, "/v1/parse")
    details = {key: ours["error"][key] for key in ("value", "limit", "config_key")}
    assert details == {"value": 501, "limit": 500, "config_key": "limits.max_pages"}
    _, theirs, _ = answer(exc, "/layout-parsing")
    assert "limits.max_pages" in theirs["errorMsg"]


@pytest.mark.parametrize(
    "kind", [errors.InvalidFile, errors.EmptyFile, errors.UnsupportedFile, errors.EncryptedFile]
)
def test_unreadable_files_in_paddlex_words(kind: type[OcrServeError]) -> None:
    _, theirs, _ = answer(kind("the details"), "/ocr")
    assert theirs["errorMsg"] == "Invalid input file"
    _, ours, _ = answer(kind("the details"), "/v1/parse")
    assert ours["error"]["message"] == "the details"


def test_url_fetch_is_named_on_paddlex_routes() -> None:
    _, theirs, _ = answer(errors.UrlFetchDisabled("fetching is disabled"), "/ocr")
    assert theirs["errorMsg"] == "fetching is disabled"


@pytest.mark.parametrize(
    "exc", [RuntimeError("secret path"), KeyError("secret"), OSError("secret")]
)
@pytest.mark.parametrize("path", ["/ocr", "/v1/parse"])
def test_unexpected_errors_leak_nothing(exc: Exception, path: str) -> None:
    status, body, _ = answer(exc, path)
    assert status == 500
    assert "secret" not in json.dumps(body)
    assert "Internal server error" in json.dumps(body)


def test_a_failed_page_has_no_detail_for_paddlex_clients() -> None:
    exc = errors.PageFailed("RuntimeError: secret")
    status, theirs, _ = answer(exc, "/ocr")
    assert (status, theirs["errorMsg"]) == (500, "Internal server error")


def test_framework_errors_keep_status_and_headers() -> None:
    row = to_http(HTTPException(405, "Method Not Allowed", {"Allow": "POST"}))
    assert (row.status, row.code) == (405, "method_not_allowed")
    assert row.headers == {"Allow": "POST"}
    assert to_http(HTTPException(404)).code == "not_found"


def test_a_client_that_left_is_not_our_failure() -> None:
    assert to_http(ClientDisconnect()).status == 499


def test_invalid_body_survives_pickle() -> None:
    exc = InvalidBody([{"type": "missing", "loc": "body.file", "msg": "Field required"}])
    assert str(pickle.loads(pickle.dumps(exc))) == str(exc)


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("/v1/parse", True),
        ("/v1/nothing", True),
        ("/livez", True),
        ("/readyz", True),
        ("/ocr", False),
        ("/health", False),
        ("/", False),
        ("/v1", False),
    ],
)
def test_envelope_by_path(path: str, ours: bool) -> None:
    assert uses_our_envelope(path) is ours


def test_the_log_has_the_place_but_not_the_text(caplog: pytest.LogCaptureFixture) -> None:
    def fail(text: str) -> None:
        raise RuntimeError(text)

    try:
        fail("Text of a document.".lower())
    except RuntimeError as exc:
        answer(exc, "/ocr")
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert "in fail" in record.__dict__["stack"]
    assert "text of a document" not in str(record.__dict__)
    assert record.__dict__["request_id"] == "rid"
