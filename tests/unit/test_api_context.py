from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request

from serve_app.api.app import build_http_app
from serve_app.api.connection import before, closing
from serve_app.api.context import (
    Deadline,
    RequestContext,
    RequestContextMiddleware,
    deadline_of,
    plain_token,
)
from serve_app.api.errors import error_response
from serve_app.api.spool import Spool, Spools
from serve_app.errors import DeadlineExceeded, InvalidRequest, QueueFull
from serve_app.testing.service import FakeDocumentService, fake_settings
from tests import documents
from tests.http_client import RawRequest, b64, http_client

PNG = documents.picture("png")


def request_with(header: str | None = None, started_s: float = 100.0) -> Request:
    context = RequestContext("rid", started_s, lambda: 103.0)
    headers = [(b"x-request-timeout-seconds", header.encode())] if header is not None else []
    return Request({"type": "http", "headers": headers, "state": {"ocr_serve": context}})


@pytest.mark.parametrize("value", ["a", "A-b_c.9", "x" * 128])
def test_plain_tokens(value: str) -> None:
    assert plain_token(value) == value


@pytest.mark.parametrize("value", [None, 5, "", "x" * 129, "a b", "../x", "a/b", "..", "a\n", "é"])
def test_what_is_no_plain_token(value: object) -> None:
    assert plain_token(value) is None


def test_deadline_counts_from_the_arrival() -> None:
    assert deadline_of(request_with(), 600).remaining_s() == 597


def test_header_lowers_the_deadline_and_leaves_room_before_the_proxy_acts() -> None:
    assert deadline_of(request_with("60"), 600).remaining_s() == 60 - 0.5 - 3
    assert deadline_of(request_with("4"), 600).remaining_s() == pytest.approx(4 - 0.4 - 3)


def test_header_cannot_raise_the_deadline() -> None:
    assert deadline_of(request_with("9999"), 600).remaining_s() == 597


@pytest.mark.parametrize("header", ["", "soon", "0", "-1", "nan", "inf"])
def test_bad_timeouts_are_refused(header: str) -> None:
    with pytest.raises(InvalidRequest, match="x-request-timeout-seconds"):
        deadline_of(request_with(header), 600)


def test_a_passed_deadline_raises() -> None:
    with pytest.raises(DeadlineExceeded):
        Deadline(102.0, lambda: 103.0).remaining_s()


async def test_work_in_time_gives_its_result() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert await before(Deadline(104.0, lambda: 103.0), work()) == 7


async def test_work_that_is_late_is_cancelled_and_cleaned_up_first() -> None:
    cleaned = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    with pytest.raises(DeadlineExceeded):
        await before(Deadline(103.001, lambda: 103.0), work())
    assert cleaned


async def test_closing_takes_iterators_with_and_without_aclose() -> None:
    class Plain:
        def __aiter__(self) -> AsyncIterator[int]:
            return self

        async def __anext__(self) -> int:
            raise StopAsyncIteration

    async with closing(Plain()) as numbers:
        assert [n async for n in numbers] == []


@pytest.mark.parametrize("path", ["/livez", "/health", "/nowhere", "/v1/models", "/docs"])
async def test_every_answer_has_a_request_id(path: str) -> None:
    async with http_client() as client:
        generated = (await client.get(path)).headers["x-request-id"]
        assert len(generated) == 36
        given = await client.get(path, headers={"x-request-id": "my-id.7"})
        assert given.headers["x-request-id"] == "my-id.7"
        strange = await client.get(path, headers={"x-request-id": "a b"})
        assert plain_token(strange.headers["x-request-id"]) != "a b"


async def test_the_id_is_left_to_the_proxy_if_it_adds_it() -> None:
    app = build_http_app(FakeDocumentService(), fake_settings(), request_id_header=False)
    request = RawRequest("/nowhere", b"")
    await request.run(app)
    assert b"x-request-id" not in dict(request.sent[0]["headers"])


async def test_one_log_line_per_request_without_its_content(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "ocr_serve.api")
    async with http_client() as client:
        await client.post("/v1/parse", content=PNG, headers={"x-request-id": "r1"})
        await client.get("/livez")
    [record] = [r for r in caplog.records if r.message == "request"]
    facts = record.__dict__
    assert (facts["request_id"], facts["status"], facts["pages"]) == ("r1", 200, 1)
    assert (facts["model"], facts["file_bytes"]) == ("structure", len(PNG))
    assert "Hello 42" not in str(facts)


@pytest.mark.parametrize("path", ["/v1/parse", "/ocr"])
async def test_a_client_that_leaves_ends_the_work(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spools: list[Spool] = []
    init = Spool.__init__

    def remember(self: Spool, *args: Any) -> None:
        init(self, *args)
        spools.append(self)

    monkeypatch.setattr(Spool, "__init__", remember)
    service = FakeDocumentService(blocked=asyncio.Event())
    body = PNG
    headers = {"content-type": "application/octet-stream"}
    if path == "/ocr":
        body, headers = _ocr_body(), {"content-type": "application/json"}
    request = RawRequest(path, body, headers)
    running = asyncio.ensure_future(request.run(build_http_app(service, fake_settings())))
    await service.begun.wait()
    request.leave()
    await running
    assert request.status == 499
    assert service.ended == 1
    assert [spool.closed for spool in spools] == [True]


def _ocr_body() -> bytes:
    return f'{{"file": "{b64(PNG)}"}}'.encode()


async def test_a_cancelled_request_ends_the_work() -> None:
    service = FakeDocumentService(blocked=asyncio.Event())
    request = RawRequest("/v1/parse", PNG)
    running = asyncio.ensure_future(request.run(build_http_app(service, fake_settings())))
    await service.begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert service.ended == 1


async def test_the_deadline_ends_the_work() -> None:
    settings = fake_settings(gateway={"request_timeout_s": 0.05})
    service = FakeDocumentService(blocked=asyncio.Event(), settings=settings)
    async with http_client(service, settings) as client:
        response = await client.post("/v1/parse", content=PNG)
    assert response.status_code == 504
    assert response.json()["error"]["code"] == "deadline_exceeded"
    assert service.ended == 1
    assert 0 < service.calls[0].deadline_s <= 0.05


async def test_a_slow_upload_meets_the_deadline() -> None:
    settings = fake_settings(gateway={"request_timeout_s": 0.05})
    request = RawRequest("/v1/parse", b"")

    async def receive() -> Any:
        await asyncio.Event().wait()

    request._receive = receive  # type: ignore[method-assign]
    await request.run(build_http_app(FakeDocumentService(), settings))
    assert request.status == 504


async def test_an_error_after_the_first_byte_breaks_the_connection() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise QueueFull("too late")

    request = RawRequest("/v1/parse", b"")
    with pytest.raises(QueueFull):
        await request.run(RequestContextMiddleware(app, error_response))
    assert len(request.sent) == 1


async def test_spool_moves_to_a_file_and_keeps_its_bytes() -> None:
    spool = Spools(fake_settings()).spool(memory_bytes=10)
    await spool.append(lambda: [b"12345", b"67890"])
    await spool.append(lambda: [b"more"])
    await spool.rewind()
    assert (await spool.read(), await spool.read()) == (b"1234567890more", b"")
    assert spool.size_bytes == 14
    spool.close()
    spool.close()
    assert spool.closed
