"""A worker's byte budget and levels, with fake engines and a fake device. No Ray, no Paddle."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Collection
from typing import Any, Literal

import numpy as np
import psutil
import pytest

from serve_app.document import PageResult, PredictOptions
from serve_app.errors import (
    DeadlineExceeded,
    FallBackAdvised,
    MemoryPressure,
    PageTooLargeForBudget,
)
from serve_app.messages import ModelFacts, Priority
from serve_app.page_job import PageJob
from serve_app.policy.admission import FallbackFacts
from serve_app.settings import AppSettings
from serve_app.testing.devices import FakeDomain, FakeProbe
from serve_app.testing.engine import FACTORY
from serve_app.worker.ocr_service import OCRService
from tests.e2e.waiting import happens

pytestmark = pytest.mark.integration

MIB = 2**20
TOTAL = 100 * 2**30
ENGINE_BYTES = 100 * MIB
FALLBACK = FallbackFacts("cpu", "normal", 0, 2**40)


class Probe(FakeProbe):
    """Every living process holds ``ENGINE_BYTES``."""

    def per_process(self, pids: Collection[int]) -> dict[int, int]:
        return {pid: ENGINE_BYTES for pid in pids if psutil.pid_exists(pid)}


class Worker:
    """An OCRService with two small models on a device whose readings the test sets."""

    def __init__(
        self, budget_mib: int, base_mib: int, queue_timeout_s: float, drift_mib: int, gpu: bool
    ) -> None:
        model = {
            "pipeline": "OCR",
            "memory": {"base_bytes": base_mib * MIB, "bytes_per_pixel": 1},
        }
        device = {"device": "gpu", "num_gpus": 0.5} if gpu else {"device": "cpu"}
        pool = {
            **device,
            "memory_bytes": budget_mib * MIB,
            "queue_timeout_s": queue_timeout_s,
        }
        args = {
            "models": {"a": model, "b": model},
            "pools": {"cpu": pool},
            "paddlex": {"ocr_model": "a"},
            "pressure": {"sample_interval_s": 0.05},
            "recycle": {"drift_bytes": drift_mib * MIB},
            "log_level": "ERROR",
        }
        kind: Literal["gpu", "ram"] = "gpu" if gpu else "ram"
        self.domain = FakeDomain(kind=kind, total_bytes=TOTAL)
        self.probe = FakeProbe(self.domain) if gpu else Probe(self.domain)
        settings = AppSettings.model_validate(args)
        self.service = OCRService("cpu", settings, FACTORY, self.probe)

    async def page(
        self,
        model: str = "a",
        *,
        pixels: int = 0,
        priority: Priority = "interactive",
        fallback: FallbackFacts | None = None,
        deadline_s: float = 30,
        **command: Any,
    ) -> PageResult:
        file = np.frombuffer(json.dumps(command).encode(), np.uint8)
        job = PageJob(model, "png", 0, PredictOptions(), pixels, "r", priority, fallback)
        return await self.service.predict_page(file, job, deadline_s)

    async def facts(self, model: str) -> ModelFacts:
        return self.service._worker.models[model].facts()

    async def until_waits(self) -> None:
        """One page has come, and waits."""
        report = self.service._reporter.report
        await happens(lambda: report().queued == 1, 10, "a page waits")
        assert report().running == 0

    async def fill(self, fraction: float) -> None:
        """Others use this much of the device; waits until the worker has seen it."""
        self.domain.others_bytes = int(fraction * TOTAL)
        await self.service._worker.sampler.sample()


@contextlib.asynccontextmanager
async def worker(
    budget_mib: int = 1000,
    base_mib: int = 100,
    queue_timeout_s: float = 20,
    drift_mib: int = 1000,
    gpu: bool = False,
) -> AsyncIterator[Worker]:
    one = Worker(budget_mib, base_mib, queue_timeout_s, drift_mib, gpu)
    try:
        yield one
    finally:
        await one.service.close()
        assert psutil.Process().children() == []


async def test_a_page_that_can_never_fit_is_refused_at_once_with_the_numbers() -> None:
    async with worker(budget_mib=200) as one:
        with pytest.raises(PageTooLargeForBudget, match=r"pools\.cpu\.memory_bytes"):
            await one.page(pixels=10**9)
        assert (await one.facts("a")).loads == 0


async def test_free_heap_is_no_reason_to_replace_an_engine_but_what_it_keeps_is() -> None:
    async with worker(drift_mib=100) as one:
        (first,) = (await one.page()).text
        assert (await one.page(use_bytes=200 * MIB)).text == (first,)
        assert (await one.page()).text == (first,)
        assert (await one.page(eat_bytes=200 * MIB)).text == (first,)
        assert (await one.page()).text != (first,)


async def test_what_a_larger_page_leaves_behind_is_no_reason_to_replace_an_engine() -> None:
    """The next engine would keep as much; of pages no larger than that it is."""
    async with worker(drift_mib=40) as one:
        (first,) = (await one.page()).text
        assert (await one.page(pixels=1000, eat_bytes=50 * MIB)).text == (first,)
        assert (await one.page()).text == (first,)
        assert (await one.page(eat_bytes=50 * MIB)).text == (first,)
        assert (await one.page()).text != (first,)


async def test_trims_put_off_no_idle_time_out() -> None:
    async with worker() as one:
        await one.page()
        manager = one.service._worker.models["a"]
        before = await one.facts("a")
        await asyncio.sleep(0.2)
        await manager.trim()
        after = await one.facts("a")
        assert after.generation == before.generation
        assert (after.idle_s or 0) >= (before.idle_s or 0) + 0.2


async def test_room_is_made_by_evicting_an_idle_model() -> None:
    async with worker(budget_mib=150) as one:
        (first,) = (await one.page("a")).text
        await one.service._worker.sampler.sample()
        await one.page("b")
        assert not psutil.pid_exists(int(first))
        assert (await one.facts("a")).state == "UNLOADED"


async def test_a_page_waits_for_room_that_another_page_holds() -> None:
    async with worker(budget_mib=150) as one:
        running = asyncio.create_task(one.page("a", sleep_s=0.6))
        await asyncio.sleep(0.1)
        waiting = asyncio.create_task(one.page("b"))
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
        assert running.done()
        assert (await waiting).text


async def test_no_room_within_the_queue_deadline_is_a_typed_refusal() -> None:
    async with worker(budget_mib=150, queue_timeout_s=0.3) as one:
        running = asyncio.create_task(one.page("a", sleep_s=2))
        await asyncio.sleep(0.1)
        with pytest.raises(MemoryPressure) as refused:
            await one.page("b")
        assert refused.value.retry_after_s >= 1
        with pytest.raises(FallBackAdvised):
            await one.page("b", fallback=FALLBACK)
        await running


async def test_batch_work_waits_at_warning_and_goes_on_after_it() -> None:
    async with worker() as one:
        await one.page()
        await one.fill(0.85)
        deferred = asyncio.create_task(one.page(priority="batch"))
        await one.page()
        assert not deferred.done()
        await one.fill(0.1)
        assert (await deferred).text


async def test_new_work_is_refused_or_sent_elsewhere_at_critical() -> None:
    async with worker() as one:
        await one.fill(0.96)
        with pytest.raises(MemoryPressure):
            await one.page()
        with pytest.raises(FallBackAdvised):
            await one.page(fallback=FALLBACK)
        await one.fill(0.1)
        assert (await one.page()).text


async def test_everything_idle_is_unloaded_in_an_emergency() -> None:
    async with worker() as one:
        pids = [int((await one.page(model)).text[0]) for model in ("a", "b")]
        await one.fill(0.99)
        for _ in range(100):
            if not any(map(psutil.pid_exists, pids)):
                break
            await asyncio.sleep(0.05)
        assert not any(map(psutil.pid_exists, pids))


async def test_nothing_stays_reserved_after_pages_of_every_ending() -> None:
    async with worker() as one:
        await one.page()
        ends = [
            one.page(),
            one.page(fail="boom"),
            one.page(invalid="no picture"),
            one.page(memory_error=True),
            one.page(crash=11),
            one.page(exit=3),
        ]
        await asyncio.gather(*ends, return_exceptions=True)
        cancelled = asyncio.create_task(one.page(sleep_s=0.3))
        await asyncio.sleep(0.1)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        await one.page()
        guard = one.service._worker.admission
        assert guard.budget.reserved_bytes == 0
        assert (await one.facts("a")).references == 0


async def test_a_record_has_the_estimate_and_the_measured_peak() -> None:
    async with worker() as one:
        record = (await one.page(pixels=1000)).record
        assert record is not None
        assert record.estimate_bytes >= 100 * MIB
        assert record.peak_bytes > 0
        assert record.cold
        again = (await one.page(pixels=1000)).record
        assert again is not None
        assert not again.cold


async def test_a_batch_page_that_waits_for_the_level_holds_up_nobody() -> None:
    async with worker() as one:
        await one.page()
        await one.fill(0.85)
        night = asyncio.create_task(one.page(priority="batch"))
        for _ in range(3):
            page = await one.page()
            assert page.record is not None
            assert page.record.queue_s < 1
        assert not night.done()
        await one.fill(0)
        late = await asyncio.wait_for(night, 10)
        assert late.record is not None
        assert late.record.queue_s > 0


async def test_a_batch_page_in_its_turn_steps_aside_when_the_level_rises() -> None:
    async with worker(budget_mib=250) as one:
        big = asyncio.create_task(one.page("b", pixels=100 * MIB, sleep_s=1))
        await asyncio.sleep(0.5)
        night = asyncio.create_task(one.page(pixels=50 * MIB, priority="batch"))
        await asyncio.sleep(0.1)
        assert one.service._worker.slots["a"]._free == 0
        await one.fill(0.85)
        await big
        assert not night.done()
        assert (await one.page()).record is not None
        assert not night.done()
        await one.fill(0)
        await asyncio.wait_for(night, 10)


async def test_who_waits_for_the_level_keeps_no_engine_from_going() -> None:
    async with worker() as one:
        await one.page()
        await one.fill(0.85)
        night = asyncio.create_task(one.page(priority="batch"))
        await one.until_waits()
        await one.fill(0.99)
        await asyncio.sleep(0)
        await asyncio.gather(*one.service._worker.models["a"]._stops.values())
        assert (await one.facts("a")).engines == ()
        assert not night.done()
        await one.fill(0)
        await asyncio.wait_for(night, 10)


async def test_the_wait_for_the_level_ends_with_the_requests_deadline() -> None:
    async with worker() as one:
        await one.fill(0.85)
        with pytest.raises(DeadlineExceeded, match="warning"):
            await one.page(priority="batch", deadline_s=0.3)
        assert (await one.facts("a")).loads == 0


async def test_a_page_that_comes_at_critical_is_refused_also_if_it_had_its_turn_to_wait_for() -> (
    None
):
    async with worker() as one:
        running = asyncio.create_task(one.page(sleep_s=0.5))
        await asyncio.sleep(0.2)
        next_one = asyncio.create_task(one.page())
        await asyncio.sleep(0.1)
        await one.fill(0.96)
        await running
        with pytest.raises(MemoryPressure):
            await asyncio.wait_for(next_one, 5)


async def test_on_a_gpu_what_counts_is_what_the_device_tells() -> None:
    async with worker(gpu=True) as one:
        (pid,) = (await one.page()).text
        one.domain.processes[int(pid)] = 700 * MIB
        page = await one.page(pixels=1000)
        assert page.record is not None
        assert page.record.peak_bytes == 700 * MIB
        (engine,) = (await one.facts("a")).engines
        assert (engine.memory_bytes, engine.baseline_bytes) == (700 * MIB, 700 * MIB)
        unload = asyncio.create_task(one.service._worker.models["a"].unload("test"))
        await asyncio.sleep(0.5)
        assert not unload.done(), "the device still tells of the process"
        one.domain.processes.clear()
        (result,) = await asyncio.wait_for(unload, 5)
        assert (result.freed_bytes, result.missing_bytes) == (700 * MIB, 0)


async def test_where_the_device_does_not_tell_the_engines_allocator_does() -> None:
    async with worker(gpu=True) as one:
        page = await one.page(tell_bytes=[300 * MIB, 500 * MIB])
        assert page.record is not None
        assert page.record.peak_bytes == 500 * MIB
        assert (await one.facts("a")).memory_bytes == 300 * MIB
        await one.service._worker.models["a"].trim()
        page = await one.page()
        assert page.record is not None
        assert page.record.peak_bytes == 150 * MIB, "not that of the page before"
        one.domain.others_bytes = 400 * MIB
        await one.service._worker.sampler.sample()
        assert one.service._worker.sampler.readings[0].ours_bytes == 150 * MIB
        (result,) = await one.service._worker.models["a"].unload("test")
        assert (result.held_bytes, result.missing_bytes) == (150 * MIB, 0)


async def test_an_engine_that_grows_on_its_gpu_is_replaced() -> None:
    async with worker(gpu=True, drift_mib=100) as one:
        (first,) = (await one.page(tell_bytes=[300 * MIB, 300 * MIB])).text
        assert (await one.page(tell_bytes=[410 * MIB, 410 * MIB])).text == (first,)
        # A trim gave half of it back, so it stays. Next, that is not enough.
        assert (await one.page(tell_bytes=[1000 * MIB, 1000 * MIB])).text == (first,)
        assert (await one.page()).text != (first,)
