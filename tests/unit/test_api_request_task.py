"""Requests as tasks: one record for each, however it ends, and nothing that it still holds."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import Any

import httpx
import pytest

from serve_app.api.app import build_http_app
from serve_app.api.request_task import RequestTasks
from serve_app.api.spool import Spool, Spools
from serve_app.document import DocumentRequest, PageInfo, PageResult
from serve_app.errors import EngineCrashed, QueueFull
from serve_app.messages import TaskKind, TaskRecord
from serve_app.task_ledger import TaskLedger
from serve_app.testing.service import FakeDocumentService, canned_layout_page, fake_settings
from tests import documents
from tests.http_client import RawRequest, b64

PNG = documents.picture("png")
PDF = documents.text_pdf(3)


def measured_page(info: PageInfo) -> PageResult:
    """Page n: n00 bytes of estimate, n0 of peak, n s of queue, n/10 s of run; page 2 was cold."""
    number = info.index + 1
    cost = TaskRecord(
        task_id=f"page{number}",
        request_id="r",
        model="structure",
        pool="gpu" if number == 3 else "cpu",
        device="gpu" if number == 3 else "cpu",
        page=number,
        pixels=1000,
        estimate_bytes=100 * number,
        peak_bytes=10 * number,
        queue_s=1.0 * number,
        load_s=2.0 if number == 2 else 0.0,
        run_s=0.1 * number,
        outcome="success",
        fallback=number == 3,
        cold=number == 2,
        engine_pid=7,
        attempt=number,
    )
    return dataclasses.replace(canned_layout_page(info), record=cost)


class Edge:
    """An application whose ledger and records can be looked at."""

    def __init__(self, service: FakeDocumentService, **settings: Any) -> None:
        self.records: list[TaskRecord] = []
        self.ledger = TaskLedger()
        spools = Spools(fake_settings())
        tasks = RequestTasks(
            spools, self.ledger, lambda record, seconds: self.records.append(record)
        )
        self.app = build_http_app(service, fake_settings(**settings), tasks=tasks)

    async def post(self, path: str = "/v1/parse", **request: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post(path, **request)

    @property
    def only(self) -> TaskRecord:
        """The one record; nothing is open any more."""
        assert self.ledger.open_entries == 0
        (record,) = self.records
        return record


async def test_a_requests_record_sums_up_its_pages() -> None:
    edge = Edge(FakeDocumentService(page=measured_page))
    response = await edge.post(content=PDF, headers={"x-request-id": "mine"})
    assert response.status_code == 200
    one = edge.only
    assert (one.kind, one.page, one.request_id, one.model) == ("request", None, "mine", "structure")
    assert (one.pool, one.device, one.pixels) == ("cpu,gpu", "gpu", 3000)
    assert (one.estimate_bytes, one.peak_bytes) == (300, 30)
    assert (one.queue_s, one.load_s, one.run_s) == (3.0, 2.0, 0.6)
    assert (one.cold, one.fallback, one.attempt, one.engine_pid) == (True, True, 3, 0)
    assert (one.outcome, one.error) == ("success", None)
    assert response.headers["x-ocr-peak-bytes"] == str(one.peak_bytes)
    assert response.headers["x-ocr-run-seconds"] == "0.600"


async def test_each_request_has_a_task_of_its_own_whatever_its_name() -> None:
    edge = Edge(FakeDocumentService(page=measured_page))
    for _ in range(2):
        await edge.post(content=PNG, headers={"x-request-id": "same"})
    assert len({one.task_id for one in edge.records}) == 2


@pytest.mark.parametrize(("path", "model"), [("/ocr", "ocr"), ("/layout-parsing", "structure")])
async def test_paddlex_requests_have_records_too(path: str, model: str) -> None:
    edge = Edge(FakeDocumentService())
    assert (await edge.post(path, json={"file": b64(PNG)})).status_code == 200
    assert (edge.only.model, edge.only.outcome, edge.only.device) == (model, "success", None)


@pytest.mark.parametrize(
    ("error", "outcome"), [(EngineCrashed("gone"), "failed"), (QueueFull("full"), "rejected")]
)
async def test_a_failed_requests_record_has_the_error_and_the_pages_before(
    error: Exception, outcome: str
) -> None:
    edge = Edge(FakeDocumentService(page=measured_page, errors={2: error}))
    await edge.post(content=PDF)
    code = error.code  # type: ignore[attr-defined]
    assert (edge.only.outcome, edge.only.error, edge.only.pixels) == (outcome, code, 2000)


async def test_an_unreadable_file_is_a_failed_task() -> None:
    edge = Edge(FakeDocumentService())
    assert (await edge.post(content=b"no picture")).status_code == 422
    assert (edge.only.outcome, edge.only.error) == ("failed", "unsupported_file")


async def test_an_invalid_request_is_no_task() -> None:
    edge = Edge(FakeDocumentService())
    assert (await edge.post(params={"model": "none"}, content=PNG)).status_code == 422
    assert (await edge.post("/ocr", json={})).status_code == 422
    assert (edge.records, edge.ledger.open_entries) == ([], 0)


@pytest.mark.parametrize("how", ["client leaves", "cancelled"])
async def test_a_request_that_nobody_waits_for_is_cancelled_and_holds_nothing(how: str) -> None:
    service = FakeDocumentService(blocked=asyncio.Event())
    edge, request = Edge(service), RawRequest("/v1/parse", PNG)
    running = asyncio.ensure_future(request.run(edge.app))
    await service.begun.wait()
    assert edge.ledger.open_entries == 1  # the spool; a fake service keeps nothing else
    request.leave() if how == "client leaves" else running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (edge.only.outcome, edge.only.error) == ("cancelled", "cancelled")


async def test_a_request_over_its_deadline_holds_nothing() -> None:
    service = FakeDocumentService(blocked=asyncio.Event())
    edge = Edge(service, gateway={"request_timeout_s": 0.05})
    assert (await edge.post(content=PNG)).status_code == 504
    assert (edge.only.outcome, edge.only.error) == ("failed", "deadline_exceeded")


async def test_a_service_that_keeps_something_is_found_out(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("ocr_serve"), "propagate", True)

    class Leaky(FakeDocumentService):
        def predict_pages(self, request: DocumentRequest, *args: Any, **kwargs: Any) -> Any:
            edge.ledger.open(request.ids.task, "object_ref")
            return super().predict_pages(request, *args, **kwargs)

    edge = Edge(Leaky())
    assert (await edge.post(content=PNG)).status_code == 200
    (leak,) = [line for line in caplog.records if line.name == "ocr_serve.ledger"]
    assert (leak.levelname, vars(leak)["open"]) == ("ERROR", {"object_ref": 1})
    assert edge.only.outcome == "success"


async def test_the_spool_counts_until_the_answer_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    read, seen = Spool.read, list[int]()

    async def watched(self: Spool) -> bytes:
        seen.append(edge.ledger.open_entries)
        return await read(self)

    monkeypatch.setattr(Spool, "read", watched)
    edge = Edge(FakeDocumentService())
    await edge.post(content=PNG)
    assert set(seen) == {1}
    assert edge.ledger.open_entries == 0


class Operator:
    """Remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, TaskKind | None]] = []

    async def tasks(self, limit: int, kind: TaskKind | None = None) -> list[dict[str, Any]]:
        self.asked.append((limit, kind))
        return []


async def test_tasks_can_be_asked_for_by_kind() -> None:
    operator = Operator()
    app = build_http_app(FakeDocumentService(), fake_settings(), operator=operator)  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for query in ("", "?kind=page", "?kind=request&limit=5"):
            assert (await client.get(f"/v1/tasks{query}")).status_code == 200
        refused = await client.get("/v1/tasks?kind=document")
    assert operator.asked == [(100, None), (100, "page"), (5, "request")]
    assert refused.status_code == 422
    assert "page, request" in refused.json()["error"]["message"]
