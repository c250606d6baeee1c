"""OCRService with processes for engines: what only the kernel can show. No Ray, no Paddle.

The rest is in ``tests/unit/test_worker_pages.py`` and ``test_worker_memory.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Collection
from typing import Any

import numpy as np
import psutil
import pytest

from serve_app.document import PageResult, PredictOptions
from serve_app.errors import (
    EngineCrashed,
    EngineHung,
    EngineKilled,
    EngineOutOfMemory,
    EngineProtocolError,
    PageFailed,
)
from serve_app.messages import ModelFacts
from serve_app.page_job import PageJob
from serve_app.settings import AppSettings
from serve_app.testing.devices import FakeDomain, FakeProbe
from serve_app.testing.engine import FACTORY
from serve_app.worker.ocr_service import OCRService
from tests.e2e.waiting import happens

pytestmark = pytest.mark.integration

MIB = 2**20
TOTAL = 100 * 2**30
ENGINE_BYTES = 100 * MIB
NOTHING = (0, 0)
TURN_RESERVATION_LEASE = 3


class Probe(FakeProbe):
    """Every living process holds ``ENGINE_BYTES``."""

    def per_process(self, pids: Collection[int]) -> dict[int, int]:
        return {pid: ENGINE_BYTES for pid in pids if psutil.pid_exists(pid)}


@contextlib.asynccontextmanager
async def service(
    probe: FakeProbe | None = None, app: dict[str, Any] | None = None, **model: Any
) -> AsyncIterator[OCRService]:
    args = {
        "models": {"ocr": {"pipeline": "OCR", **model}, "other": {"pipeline": "OCR", **model}},
        "pools": {"cpu": {"device": "cpu"}},
        "log_level": "ERROR",
        **(app or {}),
    }
    replica = OCRService("cpu", AppSettings.model_validate(args), FACTORY, probe)
    try:
        yield replica
    finally:
        await replica.close()
        assert psutil.Process().children() == []


async def page(
    replica: OCRService, model: str = "ocr", pixels: int = 0, **command: Any
) -> PageResult:
    file = np.frombuffer(json.dumps(command).encode(), np.uint8)
    job = PageJob(model, "png", 0, PredictOptions(), pixels)
    return await replica.predict_page(file, job, 30)


async def until_held(replica: OCRService, pages: int, entries: int) -> None:
    """Wait until so many pages run or wait, and hold so many things."""

    def held() -> bool:
        report = replica._reporter.report()
        return (report.running + report.queued, report.open_entries) == (pages, entries)

    await happens(held, 10, f"{pages} pages that hold {entries}")


async def until_gone(*pids: str) -> None:
    """Wait until none of these processes is there."""
    await happens(lambda: not any(psutil.pid_exists(int(pid)) for pid in pids), 10, "gone")


def facts(replica: OCRService) -> ModelFacts:
    """Of the model."""
    return replica._worker.models["ocr"].facts()


async def test_twenty_concurrent_first_requests_load_once_and_share_the_engine() -> None:
    async with service() as replica:
        assert psutil.Process().children() == []
        results = await asyncio.gather(*(page(replica) for _ in range(20)))
        assert len({result.text[0] for result in results}) == 1
        assert facts(replica).loads == 1
        assert [e.pid for e in facts(replica).engines] == [int(results[0].text[0])]
        assert facts(replica).references == 0


async def test_a_killed_engine_costs_the_page_one_retry_and_leaves_nothing_held() -> None:
    async with service() as replica:
        (first,) = (await page(replica)).text
        running = asyncio.create_task(page(replica, sleep_s=0.5))
        await until_held(replica, 1, TURN_RESERVATION_LEASE)
        os.kill(int(first), signal.SIGKILL)
        result = await running
        assert result.text != (first,)
        assert result.record is not None
        assert result.record.attempt == 2
        assert facts(replica).loads == 2
        await until_held(replica, *NOTHING)


async def test_an_engine_that_is_killed_while_it_loads_costs_the_page_another_load() -> None:
    async with service() as replica:
        first = asyncio.create_task(page(replica))
        await happens(lambda: bool(psutil.Process().children()), 10, "an engine is started")
        (loading,) = psutil.Process().children()
        loading.kill()
        assert (await first).text != (str(loading.pid),)
        assert facts(replica).loads == 1


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ({"crash": signal.SIGSEGV}, EngineCrashed),
        ({"crash": signal.SIGKILL}, EngineKilled),
        ({"sleep_s": 30}, EngineHung),
        ({"garbage": True}, EngineProtocolError),
        ({"memory_error": True}, EngineOutOfMemory),
    ],
)
async def test_an_engines_fault_costs_one_retry_on_another_engine_then_a_typed_error(
    command: dict[str, Any], error: type[PageFailed]
) -> None:
    async with service(predict_timeout_s=0.5) as replica:
        (first,) = (await page(replica)).text
        with pytest.raises(PageFailed) as raised:
            await page(replica, **command)
        assert type(raised.value) is error
        assert facts(replica).loads == 2
        await until_held(replica, *NOTHING)
        (last,) = (await page(replica)).text
        assert last != first
        assert not psutil.pid_exists(int(first))


async def test_with_kill_a_running_page_ends_a_grace_time_after_its_caller_left() -> None:
    async with service(app={"cancel": {"running": "kill", "grace_s": 0.2}}) as replica:
        (first,) = (await page(replica)).text
        running = asyncio.create_task(page(replica, sleep_s=60))
        await until_held(replica, 1, TURN_RESERVATION_LEASE)
        running.cancel()
        waiting = asyncio.create_task(page(replica))
        (second,) = (await waiting).text
        assert second != first
        assert not psutil.pid_exists(int(first))
        await until_held(replica, *NOTHING)


async def test_an_idle_engine_is_unloaded_and_the_next_page_loads_again() -> None:
    async with service(idle_timeout_s=0.3) as replica:
        (first,) = (await page(replica)).text
        await until_gone(first)
        await happens(lambda: facts(replica).state == "UNLOADED", 10, "the model is unloaded")
        assert (await page(replica)).text != (first,)


async def test_free_heap_is_no_reason_to_replace_an_engine_but_what_it_keeps_is() -> None:
    async with service(app={"recycle": {"drift_bytes": 100 * MIB}}) as replica:
        (first,) = (await page(replica)).text
        assert (await page(replica, use_bytes=200 * MIB)).text == (first,)
        assert (await page(replica)).text == (first,)
        assert (await page(replica, eat_bytes=200 * MIB)).text == (first,)
        assert (await page(replica)).text != (first,)


async def test_a_record_has_the_peak_that_the_kernel_tells() -> None:
    async with service() as replica:
        small = (await page(replica)).record
        large = (await page(replica, use_bytes=100 * MIB)).record
        again = (await page(replica)).record
        assert small is not None
        assert large is not None
        assert again is not None
        assert large.peak_bytes >= small.peak_bytes + 95 * MIB
        assert again.peak_bytes < large.peak_bytes
        assert (small.cold, large.cold) == (True, False)


async def test_everything_idle_is_unloaded_in_an_emergency() -> None:
    domain = FakeDomain(total_bytes=TOTAL)
    async with service(Probe(domain)) as replica:
        pids = [(await page(replica, model)).text[0] for model in ("ocr", "other")]
        domain.others_bytes = int(0.99 * TOTAL)
        await replica._worker.sampler.sample()
        await until_gone(*pids)
