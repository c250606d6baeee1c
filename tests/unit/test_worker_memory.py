"""A worker's byte budget and levels: what is admitted, waits, is trimmed, evicted and replaced."""

from __future__ import annotations

import asyncio
import logging

import pytest

from serve_app.devices.errors import DeviceError
from serve_app.errors import (
    DeadlineExceeded,
    FallBackAdvised,
    MemoryPressure,
    PageTooLargeForBudget,
)
from tests.unit.worker_scene import (
    FALLBACK,
    MIB,
    NOTHING,
    TURN_RESERVATION_LEASE,
    service,
    worker,
)
from tests.virtual_time import in_virtual_time


@in_virtual_time
async def test_a_page_that_can_never_fit_is_refused_at_once_with_the_numbers() -> None:
    async with worker(budget_mib=200) as one:
        with pytest.raises(PageTooLargeForBudget, match=r"pools\.cpu\.memory_bytes"):
            await one.page(pixels=10**9)
        assert one.facts("a").loads == 0


@in_virtual_time
async def test_free_heap_is_no_reason_to_replace_an_engine_but_what_it_keeps_is() -> None:
    async with worker(drift_mib=100) as one:
        (first,) = (await one.page()).text
        assert (await one.page(use_bytes=200 * MIB)).text == (first,)
        assert (await one.page()).text == (first,)
        assert (await one.page(eat_bytes=200 * MIB)).text == (first,)
        assert (await one.page()).text != (first,)


@in_virtual_time
async def test_what_a_larger_page_leaves_behind_is_no_reason_to_replace_an_engine() -> None:
    """The next engine would keep as much; of pages no larger than that it is."""
    async with worker(drift_mib=40) as one:
        (first,) = (await one.page()).text
        assert (await one.page(pixels=1000, eat_bytes=50 * MIB)).text == (first,)
        assert (await one.page()).text == (first,)
        assert (await one.page(eat_bytes=50 * MIB)).text == (first,)
        assert (await one.page()).text != (first,)


@in_virtual_time
async def test_an_engine_is_replaced_after_so_many_pages() -> None:
    async with service(app={"recycle": {"max_pages": 2}}) as one:
        pids = [(await one.page()).text[0] for _ in range(4)]
        assert pids[0] == pids[1] != pids[2] == pids[3]


@in_virtual_time
async def test_at_most_one_engine_of_a_worker_is_replaced_at_a_time() -> None:
    async with service(app={"recycle": {"max_pages": 1}}) as one:
        one.machine.end_s = 1.0
        before = await asyncio.gather(one.page("a"), one.page("b"))
        states = {name: manager.state for name, manager in one.models.items()}
        assert sorted(states.values()) == ["READY", "UNLOADING"]
        (kept,) = (name for name, state in states.items() if state == "READY")
        assert (await one.page(kept)).text in [page.text for page in before]


@in_virtual_time
async def test_trims_put_off_no_idle_time_out() -> None:
    async with worker() as one:
        await one.page()
        before = one.facts("a")
        await one.passes(0.2)
        await one.models["a"].trim()
        after = one.facts("a")
        assert after.generation == before.generation
        assert (after.idle_s or 0) >= (before.idle_s or 0) + 0.2


@in_virtual_time
async def test_room_is_made_by_evicting_an_idle_model() -> None:
    async with worker(budget_mib=150) as one:
        (first,) = (await one.page("a")).text
        await one.service._worker.sampler.sample()
        await one.page("b")
        assert not one.exists(first)
        assert one.facts("a").state == "UNLOADED"


@in_virtual_time
async def test_a_page_waits_for_room_that_another_page_holds() -> None:
    async with worker(budget_mib=150) as one:
        running = one.begun("a", sleep_s=0.6)
        await one.until_held(1, TURN_RESERVATION_LEASE)
        waiting = one.begun("b")
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
        assert running.done()
        assert (await waiting).text


@in_virtual_time
async def test_no_room_within_the_queue_deadline_is_a_typed_refusal() -> None:
    async with worker(budget_mib=150, queue_timeout_s=0.3) as one:
        running = one.begun("a", sleep_s=2)
        await one.until_held(1, TURN_RESERVATION_LEASE)
        with pytest.raises(MemoryPressure) as refused:
            await one.page("b")
        assert refused.value.retry_after_s >= 1
        with pytest.raises(FallBackAdvised):
            await one.page("b", fallback=FALLBACK)
        await running


@in_virtual_time
async def test_batch_work_waits_at_warning_and_goes_on_after_it() -> None:
    async with worker() as one:
        await one.page()
        await one.fill(0.85)
        deferred = one.begun(priority="batch")
        await one.page()
        assert not deferred.done()
        await one.fill(0.1)
        assert (await deferred).text


@in_virtual_time
async def test_new_work_is_refused_or_sent_elsewhere_at_critical() -> None:
    async with worker() as one:
        await one.fill(0.96)
        with pytest.raises(MemoryPressure):
            await one.page()
        with pytest.raises(FallBackAdvised):
            await one.page(fallback=FALLBACK)
        await one.fill(0.1)
        assert (await one.page()).text


@in_virtual_time
async def test_a_page_that_waits_for_memory_already_is_not_refused_at_critical() -> None:
    async with worker(budget_mib=150) as one:
        running = one.begun("a", sleep_s=1)
        await one.until_held(1, TURN_RESERVATION_LEASE)
        waiting = one.begun("b")
        await one.until_held(2, TURN_RESERVATION_LEASE + 1)
        await one.fill(0.96)
        await running
        await one.passes(5)
        assert not waiting.done()
        await one.fill(0)
        assert (await waiting).text


@in_virtual_time
async def test_at_warning_free_engines_are_trimmed_and_those_in_use_left_alone() -> None:
    async with worker() as one:
        (idle,) = (await one.page("a", use_bytes=50 * MIB)).text
        busy = one.begun("b", use_bytes=50 * MIB, sleep_s=1)
        await one.until_held(1, TURN_RESERVATION_LEASE)
        await one.fill(0.85)
        await one.passes(0.1)
        free_heap = {pid: child.free_heap_bytes for pid, child in one.machine.started.items()}
        assert free_heap.pop(int(idle)) == 0
        assert list(free_heap.values()) == [50 * MIB]
        assert (await busy).text


@in_virtual_time
async def test_at_critical_a_worker_that_is_alone_unloads_what_is_idle_and_not_pinned() -> None:
    async with worker() as one:
        pids = {model: (await one.page(model)).text[0] for model in ("a", "b")}
        one.models["b"].pinned = True
        await one.fill(0.96)
        await one.until(lambda: not one.exists(pids["a"]))
        await one.passes(1)
        assert one.exists(pids["b"])


@in_virtual_time
async def test_at_critical_a_worker_with_a_registry_leaves_that_to_it() -> None:
    async with worker() as one:
        (pid,) = (await one.page()).text
        one.models["a"].set_autonomous(False)
        await one.fill(0.96)
        await one.passes(1)
        assert one.exists(pid)


@in_virtual_time
async def test_everything_idle_is_unloaded_in_an_emergency() -> None:
    async with worker() as one:
        pids = [(await one.page(model)).text[0] for model in ("a", "b")]
        one.models["b"].pinned = True
        await one.fill(0.99)
        await one.until(lambda: not any(map(one.exists, pids)))


@in_virtual_time
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
        ended = await asyncio.gather(*ends, return_exceptions=True)
        assert [isinstance(one, Exception) for one in ended] == [False] + [True] * 5
        cancelled = one.begun(sleep_s=0.3)
        await one.until_held(1, TURN_RESERVATION_LEASE)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        await one.page()
        await one.until_held(*NOTHING)
        assert one.service._worker.admission.budget.reserved_bytes == 0
        assert one.facts("a").references == 0


@in_virtual_time
async def test_a_record_has_the_estimate_and_the_measured_peak() -> None:
    async with worker() as one:
        record = (await one.page(pixels=1000, use_bytes=30 * MIB)).record
        assert record is not None
        assert record.estimate_bytes >= 100 * MIB
        assert record.peak_bytes == one.machine.base_bytes + 30 * MIB
        assert (record.cold, record.load_s) == (True, one.machine.load_s)
        assert record.run_s == one.machine.page_s
        again = (await one.page(pixels=1000)).record
        assert again is not None
        assert not again.cold


@in_virtual_time
async def test_a_batch_page_that_waits_for_the_level_holds_up_nobody() -> None:
    async with worker() as one:
        await one.page()
        await one.fill(0.85)
        night = one.begun(priority="batch")
        for _ in range(3):
            page = await one.page()
            assert page.record is not None
            assert page.record.queue_s < 1
        assert not night.done()
        await one.fill(0)
        late = await asyncio.wait_for(night, 10)
        assert late.record is not None
        assert late.record.queue_s > 0


@in_virtual_time
async def test_a_batch_page_in_its_turn_steps_aside_when_the_level_rises() -> None:
    async with worker(budget_mib=250) as one:
        big = one.begun("b", pixels=100 * MIB, sleep_s=1)
        await one.until_held(1, TURN_RESERVATION_LEASE)
        night = one.begun(pixels=50 * MIB, priority="batch")
        await one.until(lambda: one.service._worker.slots["a"]._free == 0)
        await one.fill(0.85)
        await big
        assert not night.done()
        assert (await one.page()).record is not None
        assert not night.done()
        await one.fill(0)
        await asyncio.wait_for(night, 10)


@in_virtual_time
async def test_who_waits_for_the_level_keeps_no_engine_from_going() -> None:
    async with worker() as one:
        await one.page()
        await one.fill(0.85)
        night = one.begun(priority="batch")
        await one.until_waits()
        await one.fill(0.99)
        await one.until(lambda: one.facts("a").engines == ())
        assert not night.done()
        await one.fill(0)
        await asyncio.wait_for(night, 10)


@in_virtual_time
async def test_the_wait_for_the_level_ends_with_the_requests_deadline() -> None:
    async with worker() as one:
        await one.fill(0.85)
        with pytest.raises(DeadlineExceeded, match="warning"):
            await one.page(priority="batch", deadline_s=0.3)
        assert one.facts("a").loads == 0


@in_virtual_time
async def test_a_page_that_comes_at_critical_is_refused_also_if_it_had_its_turn_to_wait_for() -> (
    None
):
    async with worker() as one:
        running = one.begun(sleep_s=0.5)
        await one.until_held(1, TURN_RESERVATION_LEASE)
        next_one = one.begun()
        await one.until_held(2, TURN_RESERVATION_LEASE)
        await one.fill(0.96)
        await running
        with pytest.raises(MemoryPressure):
            await asyncio.wait_for(next_one, 5)


@in_virtual_time
async def test_a_model_that_a_page_waits_to_use_does_not_idle_out_meanwhile() -> None:
    async with service(pool={"memory_bytes": 8 * 2**30}, idle_timeout_s=1.0) as one:
        (first,) = (await one.page()).text
        with one.models["a"].keep_alive("a page that waits for memory"):
            await one.passes(30)
            assert one.exists(first)
        await one.until(lambda: not one.exists(first))


@in_virtual_time
async def test_a_device_that_cannot_be_read_changes_nothing_that_was_known(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with worker() as one:
        await one.page()
        await one.fill(0.96)
        before = one.service._worker.sampler.readings
        one.probe.error = DeviceError("no driver")
        with caplog.at_level(logging.WARNING, "ocr_serve.memory"):
            await one.passes(1)
        assert {record.message for record in caplog.records} == {"devices could not be read"}
        assert one.service._worker.sampler.readings is before
        with pytest.raises(MemoryPressure):
            await one.page()
        one.probe.error = None
        await one.fill(0)
        assert (await one.page()).text


@in_virtual_time
async def test_on_a_gpu_what_counts_is_what_the_device_tells() -> None:
    async with worker(gpu=True) as one:
        (pid,) = (await one.page()).text
        one.domain.processes[int(pid)] = 700 * MIB
        page = await one.page(pixels=1000)
        assert page.record is not None
        assert page.record.peak_bytes == 700 * MIB
        (engine,) = one.facts("a").engines
        assert (engine.memory_bytes, engine.baseline_bytes) == (700 * MIB, 700 * MIB)
        unload = asyncio.create_task(one.models["a"].unload("test"))
        await one.passes(2)
        assert not unload.done(), "the device still tells of the process"
        one.domain.processes.clear()
        (result,) = await asyncio.wait_for(unload, 5)
        assert (result.freed_bytes, result.missing_bytes) == (700 * MIB, 0)


@in_virtual_time
async def test_memory_that_never_comes_back_is_told_after_half_a_minute() -> None:
    async with worker(gpu=True) as one:
        (pid,) = (await one.page()).text
        one.domain.processes[int(pid)] = 700 * MIB
        (result,) = await one.models["a"].unload("test")
        assert (result.freed_bytes, result.missing_bytes) == (0, 700 * MIB)
        assert 30 <= result.unload_s < 31


@in_virtual_time
async def test_where_the_device_does_not_tell_the_engines_allocator_does() -> None:
    async with worker(gpu=True) as one:
        page = await one.page(tell_bytes=[300 * MIB, 500 * MIB])
        assert page.record is not None
        assert page.record.peak_bytes == 500 * MIB
        assert one.facts("a").memory_bytes == 300 * MIB
        await one.models["a"].trim()
        page = await one.page()
        assert page.record is not None
        assert page.record.peak_bytes == 150 * MIB, "not that of the page before"
        one.domain.others_bytes = 400 * MIB
        await one.service._worker.sampler.sample()
        assert one.service._worker.sampler.readings[0].ours_bytes == 150 * MIB
        (result,) = await one.models["a"].unload("test")
        assert (result.held_bytes, result.missing_bytes) == (150 * MIB, 0)


@in_virtual_time
async def test_an_engine_that_grows_on_its_gpu_is_replaced() -> None:
    async with worker(gpu=True, drift_mib=100) as one:
        (first,) = (await one.page(tell_bytes=[300 * MIB, 300 * MIB])).text
        assert (await one.page(tell_bytes=[410 * MIB, 410 * MIB])).text == (first,)
        # A trim gave half of it back, so it stays. Next, that is not enough.
        assert (await one.page(tell_bytes=[1000 * MIB, 1000 * MIB])).text == (first,)
        assert (await one.page()).text != (first,)
