"""Slow and large uploads against the whole application: others are served as if without them."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from serve_app.api.app import build_http_app
from serve_app.api.gate import RequestGate
from serve_app.document import DocumentInfo, FileBytes
from serve_app.testing.service import FakeDocumentService, fake_settings
from tests import documents
from tests.http_client import RawRequest, b64

PNG = documents.picture("png")
MIB = 2**20
JSON = {"content-type": "application/json"}


@dataclass
class Dripping(RawRequest):
    """A body of which nothing comes but its beginning."""

    left: list[bytes] = field(default_factory=list)

    async def _receive(self) -> dict[str, Any]:
        if self.left:
            return {"type": "http.request", "body": self.left.pop(0), "more_body": True}
        await self.gone.wait()
        return {"type": "http.disconnect"}


def dripping(path: str = "/v1/parse", **headers: str) -> Dripping:
    return Dripping(path, b"", headers, left=[b"x"])


@asynccontextmanager
async def drips(app: FastAPI, requests: list[Dripping]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """The requests have begun; they leave at the end."""
    running = [asyncio.create_task(request.run(app)) for request in requests]
    for _ in range(20):
        await asyncio.sleep(0)
    try:
        yield running
    finally:
        for request in requests:
            request.leave()
        await asyncio.gather(*running)


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


async def test_half_sent_bodies_hold_no_place_of_a_request() -> None:
    app = build_http_app(FakeDocumentService(), fake_settings(gateway={"max_ongoing_requests": 2}))
    requests = [dripping("/v1/parse" if n % 2 else "/ocr", **JSON) for n in range(200)]
    async with drips(app, requests), client(app) as http:
        for _ in range(3):
            assert (await http.post("/v1/parse", content=PNG)).status_code == 200
            assert (await http.post("/ocr", json={"file": b64(PNG)})).status_code == 200
    assert {request.status for request in requests} == {499}


async def test_five_hundred_that_promise_gigabytes_hold_megabytes() -> None:
    app = build_http_app(
        FakeDocumentService(), fake_settings(gateway={"max_body_bytes_total": 64 * MIB})
    )
    promised = str(60 * MIB)
    requests = [dripping("/ocr", **{**JSON, "content-length": promised}) for _ in range(500)]
    async with drips(app, requests), client(app) as http:
        assert (await http.post("/ocr", json={"file": b64(PNG)})).status_code == 200


@pytest.mark.parametrize("path", ["/v1/parse", "/ocr"])
@pytest.mark.parametrize(
    ("gateway", "key"),
    [
        ({"body_timeout_s": 0.05}, "gateway.body_timeout_s"),
        ({"body_grace_s": 0.05}, "gateway.min_body_bytes_per_s"),
    ],
)
async def test_a_body_that_stalls_is_answered_and_its_connection_closed(
    path: str, gateway: dict[str, float], key: str
) -> None:
    app = build_http_app(FakeDocumentService(), fake_settings(gateway=gateway))
    transport = httpx.ASGITransport(app)

    async def stalling() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        answer = await http.post(path, content=stalling(), headers=JSON)
    assert answer.status_code == 408
    assert answer.headers["connection"] == "close"
    body = answer.json()
    if path == "/ocr":
        assert list(body) == ["logId", "errorCode", "errorMsg"]
        assert key in body["errorMsg"]
    else:
        assert (body["error"]["code"], body["error"]["config_key"]) == ("body_too_slow", key)


@pytest.mark.parametrize("path", ["/v1/parse", "/ocr"])
async def test_beyond_the_bytes_that_may_be_held_a_client_is_told_to_come_back(path: str) -> None:
    service = FakeDocumentService(blocked=asyncio.Event())
    settings = fake_settings(gateway={"max_body_bytes_total": 5 * len(PNG)})
    async with client(build_http_app(service, settings)) as http:
        first = asyncio.create_task(http.post("/v1/parse", content=PNG + b"\0" * 3 * len(PNG)))
        await service.begun.wait()
        refused = await http.post(path, content=b"x" * 2 * len(PNG), headers=JSON)
        assert service.blocked is not None
        service.blocked.set()
        assert (await first).status_code == 200
        assert (await http.post("/v1/parse", content=PNG)).status_code == 200
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert "gateway.max_body_bytes_total" in refused.text


async def test_what_can_never_fit_is_not_asked_to_come_back() -> None:
    app = build_http_app(FakeDocumentService(), fake_settings(gateway={"max_body_bytes_total": 10}))
    async with client(app) as http:
        refused = await http.post("/v1/parse", content=PNG)
    assert refused.status_code == 413
    assert refused.json()["error"]["config_key"] == "gateway.max_body_bytes_total"


async def test_a_stop_waits_for_bodies_that_are_on_their_way() -> None:
    gate = RequestGate(8)
    app = build_http_app(FakeDocumentService(), fake_settings(), gate=gate)
    go_on = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield PNG[:10]
        await go_on.wait()
        yield PNG[10:]

    async with client(app) as http:
        asked = asyncio.create_task(http.post("/v1/parse", content=slow()))
        for _ in range(50):
            await asyncio.sleep(0)
        finishing = asyncio.create_task(gate.finish(60))
        await asyncio.sleep(0)
        assert (await http.post("/v1/parse", content=PNG)).status_code == 503
        assert not finishing.done()
        go_on.set()
        assert (await asked).status_code == 200
        assert await finishing == 0


async def test_a_stop_that_has_waited_long_enough_ends_uploads_too() -> None:
    gate = RequestGate(8)
    app = build_http_app(FakeDocumentService(), fake_settings(), gate=gate)
    request = dripping()
    async with drips(app, [request]) as (running,):
        assert await gate.finish(0.01) == 1
        await running
    assert request.status == 503


async def test_a_gate_that_is_full_refuses_before_a_body_is_sent() -> None:
    service = FakeDocumentService(blocked=asyncio.Event())
    app = build_http_app(service, fake_settings(gateway={"max_ongoing_requests": 1}))
    request = dripping()
    async with client(app) as http:
        asked = asyncio.create_task(http.post("/v1/parse", content=PNG))
        await service.begun.wait()
        await request.run(app)
        assert request.status == 503
        assert request.left, "nothing was read"
        assert service.blocked is not None
        service.blocked.set()
        assert (await asked).status_code == 200


def of_json(size: int) -> tuple[str, bytes, dict[str, str]]:
    data = b'{"file": "' + b64(PNG + b"\0" * (size * 3 // 4)).encode() + b'", "fileType": 1}'
    return "/ocr", data, JSON


def of_raw(size: int) -> tuple[str, bytes, dict[str, str]]:
    return "/v1/parse", PNG + b"\0" * size, {}


def of_form(size: int) -> tuple[str, bytes, dict[str, str]]:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    return "/v1/parse", head + PNG + b"\0" * size + b"\r\n--b--\r\n", headers


@pytest.mark.parametrize("kind", [of_json, of_raw, of_form])
async def test_a_large_body_is_in_memory_once(
    kind: Callable[[int], tuple[str, bytes, dict[str, str]]],
) -> None:
    path, data, headers = kind(24 * MIB)
    chunks = [data[at : at + 64 * 1024] for at in range(0, len(data), 64 * 1024)]
    size = len(data)
    headers = {**headers, "content-length": str(size)}
    del data
    app = build_http_app(ReaderElsewhere(keep_calls=False), fake_settings())
    request = Pieces(path, b"", headers, pieces=chunks)
    tracemalloc.start()
    try:
        await request.run(app)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert request.status == 200
    assert peak < 1.2 * size + 6 * MIB, f"{peak / size:.2f} times the body"


class ReaderElsewhere(FakeDocumentService):
    """As the gateway's service: another process opens the file."""

    async def inspect(self, data: FileBytes) -> DocumentInfo:
        """Of the picture."""
        assert data[: len(PNG)] == PNG
        return await super().inspect(PNG)


@dataclass
class Pieces(RawRequest):
    """A body in pieces; the client stays."""

    pieces: list[bytes] = field(default_factory=list)
    at: int = 0

    async def _receive(self) -> dict[str, Any]:
        if self.at == len(self.pieces):
            await self.gone.wait()
            return {"type": "http.disconnect"}
        self.at += 1
        # A copy, as it comes from the network; it is the application's to keep or not.
        body = bytes(bytearray(self.pieces[self.at - 1]))
        return {"type": "http.request", "body": body, "more_body": self.at < len(self.pieces)}
