"""A gateway that is full, or told to stop: what is under way is answered, the rest is told so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import httpx
import pytest

from serve_app.api import gate as gate_module
from serve_app.api.app import build_http_app
from serve_app.api.gate import RequestGate
from serve_app.errors import QueueFull
from serve_app.messages import Priority
from serve_app.testing.service import FakeDocumentService, fake_settings
from tests.documents import picture

PNG = picture("png")


def client(service: FakeDocumentService, gate: RequestGate) -> httpx.AsyncClient:
    app = build_http_app(service, fake_settings(), gate=gate)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@contextlib.contextmanager
def under_way(gate: RequestGate, priority: Priority) -> Iterator[None]:
    """A request whose body is there."""
    with gate.visit(priority) as visit:
        visit.enter()
        yield


async def test_without_requests_it_is_done_at_once_and_takes_no_more() -> None:
    gate = RequestGate(8)
    async with client(FakeDocumentService(), gate) as http:
        assert await gate.finish(60) == 0
        for path in ("/v1/parse", "/ocr"):
            refused = await http.post(path, content=PNG)
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) >= 1
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["stopping"]) == (503, True)
        assert (await http.get("/livez")).status_code == 200


async def test_a_request_under_way_is_waited_for() -> None:
    gate, service = RequestGate(8), FakeDocumentService(blocked=asyncio.Event())
    async with client(service, gate) as http:
        asked = asyncio.create_task(http.post("/v1/parse", content=PNG))
        await service.begun.wait()
        finishing = asyncio.create_task(gate.finish(60))
        await asyncio.sleep(0)
        late = await http.post("/v1/parse", content=PNG)
        assert late.json()["error"]["code"] == "server_stopping"
        assert not finishing.done()
        assert service.blocked is not None
        service.blocked.set()
        assert await finishing == 0
        assert (await asked).status_code == 200


async def test_one_that_takes_too_long_is_ended_and_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gate_module, "RESPONSE_FLUSH_S", 30)
    gate, service = RequestGate(8), FakeDocumentService(blocked=asyncio.Event())
    async with client(service, gate) as http:
        asked = asyncio.create_task(http.post("/v1/parse", content=PNG))
        await service.begun.wait()
        assert await gate.finish(0) == 1
        answer = await asked
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "server_stopping"
    assert service.ended == 1


async def test_beyond_its_bound_a_request_is_refused_at_once_with_a_time_to_come_back() -> None:
    gate, service = RequestGate(3), FakeDocumentService(blocked=asyncio.Event())
    async with client(service, gate) as http:
        batch = [
            asyncio.create_task(http.post("/v1/parse?priority=batch", content=PNG))
            for _ in range(2)
        ]
        await service.begun.wait()
        refused = await http.post("/v1/parse?priority=batch", content=PNG)
        assert refused.status_code == 503, "batch work may have two of three places"
        interactive = asyncio.create_task(http.post("/v1/parse", content=PNG))
        for _ in range(10_000):
            if len(service.calls) == 3:
                break
            await asyncio.sleep(0)
        refused = await http.post("/ocr", json={"file": ""})
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert "max_ongoing_requests" in refused.json()["errorMsg"]
        assert (await http.get("/v1/models")).status_code == 200
        assert service.blocked is not None
        service.blocked.set()
        assert {(await one).status_code for one in (*batch, interactive)} == {200}
        assert (await http.post("/v1/parse", content=PNG)).status_code == 200


async def test_the_time_to_come_back_follows_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr(gate_module, "now", lambda: clock)
    gate = RequestGate(2)
    with under_way(gate, "interactive"):
        for _ in range(4):
            with under_way(gate, "interactive"):
                clock += 4.0
        with pytest.raises(QueueFull) as error, under_way(gate, "batch"):
            pass
    assert error.value.retry_after_s == 6  # one and one more, at 4 in 12 s
