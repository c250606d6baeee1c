"""The pages of a worker: leases, growth, faults, cancels, and what they hold until they end."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from serve_app.document import PredictOptions
from serve_app.errors import (
    DeadlineExceeded,
    EngineCrashed,
    EngineHung,
    EngineKilled,
    EngineOutOfMemory,
    EngineProtocolError,
    EngineUnavailable,
    PageFailed,
    QueueFull,
    ReplicaUnavailable,
    UnknownModel,
)
from serve_app.page_job import PageJob
from tests.unit.worker_scene import NOTHING, TURN_RESERVATION_LEASE, service
from tests.virtual_time import in_virtual_time


@pytest.fixture
def leaks(caplog: pytest.LogCaptureFixture) -> Iterator[list[logging.LogRecord]]:
    """What the ledger complained about; none at the end of a test that uses this."""
    logger, found = logging.getLogger("ocr_serve.ledger"), caplog.handler
    logger.addHandler(found)
    yield caplog.records
    logger.removeHandler(found)
    assert [record for record in caplog.records if record.name == logger.name] == []


@in_virtual_time
async def test_a_fresh_replica_holds_no_engine() -> None:
    async with service() as one:
        assert one.facts().state == "UNLOADED"
        assert one.machine.started == {}


@in_virtual_time
async def test_twenty_concurrent_first_requests_load_once_and_share_the_engine() -> None:
    async with service() as one:
        results = await asyncio.gather(*(one.page() for _ in range(20)))
        assert len({result.text[0] for result in results}) == 1
        facts = one.facts()
        assert facts.loads == 1
        assert [engine.pid for engine in facts.engines] == [int(results[0].text[0])]
        assert facts.references == 0


@in_virtual_time
async def test_a_second_engine_starts_under_load_only() -> None:
    async with service(max_concurrent_predictions=2, grow_after_s=0.2) as one:
        await asyncio.gather(*(one.page() for _ in range(5)))
        assert one.facts().loads == 1
        pids = await asyncio.gather(*(one.page(sleep_s=0.5) for _ in range(8)))
        assert len({result.text[0] for result in pids}) == 2


@in_virtual_time
async def test_a_killed_engine_costs_the_page_one_retry() -> None:
    async with service() as one:
        (first,) = (await one.page()).text
        running = one.begun(sleep_s=1)
        await one.until_held(1, TURN_RESERVATION_LEASE)
        one.machine.started[int(first)].die(-signal.SIGKILL)
        assert (await running).text != (first,)
        assert one.facts().loads == 2


@in_virtual_time
async def test_an_engine_that_is_killed_while_it_loads_costs_the_page_another_load() -> None:
    async with service() as one:
        first = one.begun()
        await one.until(lambda: bool(one.machine.alive))
        (loading,) = one.machine.alive
        loading.die(-signal.SIGKILL)
        assert (await first).text != (str(loading.pid),)
        assert one.facts().loads == 1


@in_virtual_time
async def test_a_page_that_crashes_two_engines_is_a_typed_error() -> None:
    async with service() as one:
        with pytest.raises(EngineCrashed):
            await one.page(crash=signal.SIGSEGV)
        assert (await one.page()).text
        assert one.facts().references == 0


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
@pytest.mark.usefixtures("leaks")
@in_virtual_time
async def test_an_engines_fault_costs_one_retry_on_another_engine_then_a_typed_error(
    command: dict[str, Any], error: type[PageFailed]
) -> None:
    async with service(predict_timeout_s=0.5) as one:
        (first,) = (await one.page()).text
        with pytest.raises(PageFailed) as raised:
            await one.page(**command)
        assert type(raised.value) is error
        assert one.facts().loads == 2
        await one.until_held(*NOTHING)
        (last,) = (await one.page()).text
        assert last != first
        assert not one.exists(first)


@in_virtual_time
async def test_out_of_memory_unloads_what_is_idle_before_the_retry() -> None:
    async with service() as one:
        (idle,) = (await one.page("b")).text
        with pytest.raises(EngineOutOfMemory):
            await one.page(memory_error=True)
        assert not one.exists(idle)


@in_virtual_time
async def test_a_failed_page_leaves_the_engine_in_place() -> None:
    async with service() as one:
        (first,) = (await one.page()).text
        with pytest.raises(PageFailed, match="failed on this page"):
            await one.page(fail="boom")
        assert (await one.page()).text == (first,)


@in_virtual_time
async def test_an_engine_that_ran_out_of_memory_is_replaced() -> None:
    async with service() as one:
        (first,) = (await one.page()).text
        with pytest.raises(PageFailed):
            await one.page(memory_error=True)
        assert (await one.page()).text != (first,)


@in_virtual_time
async def test_a_page_over_its_own_deadline_is_ended() -> None:
    async with service(predict_timeout_s=0.3) as one:
        await one.page()
        with pytest.raises(EngineHung):
            await one.page(sleep_s=30)


@in_virtual_time
async def test_a_page_over_the_requests_deadline_is_ended() -> None:
    async with service() as one:
        await one.page()
        with pytest.raises(DeadlineExceeded):
            await one.page(deadline_s=0.3, sleep_s=30)


@in_virtual_time
async def test_a_page_that_waits_past_its_deadline_is_refused_and_never_runs() -> None:
    async with service() as one:
        await one.page()
        running = one.begun(sleep_s=1)
        await one.until_held(1, TURN_RESERVATION_LEASE)
        with pytest.raises(DeadlineExceeded):
            await one.page(deadline_s=0.2)
        await running
        assert one.facts().engines[0].pages == 2


@in_virtual_time
async def test_a_waiting_page_whose_caller_left_never_runs() -> None:
    async with service() as one:
        await one.page()
        running = one.begun(sleep_s=0.5)
        await one.until_held(1, TURN_RESERVATION_LEASE)
        waiting = one.begun()
        await one.until_held(2, TURN_RESERVATION_LEASE)
        waiting.cancel()
        await running
        await one.page()
        facts = one.facts()
        assert facts.engines[0].pages == 3  # first, running, last
        assert facts.references == 0


@pytest.mark.usefixtures("leaks")
@in_virtual_time
async def test_with_kill_a_running_page_ends_a_grace_time_after_its_caller_left() -> None:
    async with service(app={"cancel": {"running": "kill", "grace_s": 0.2}}) as one:
        (first,) = (await one.page()).text
        running = one.begun(sleep_s=60)
        await one.until_held(1, TURN_RESERVATION_LEASE)
        running.cancel()
        waiting = one.begun()
        await one.until_held(2, TURN_RESERVATION_LEASE)
        assert one.exists(first)
        (second,) = (await waiting).text
        assert second != first
        assert not one.exists(first)
        await one.until_held(*NOTHING)


@pytest.mark.usefixtures("leaks")
@in_virtual_time
async def test_with_kill_a_page_that_ends_within_the_grace_time_keeps_its_engine() -> None:
    async with service(app={"cancel": {"running": "kill", "grace_s": 30}}) as one:
        (first,) = (await one.page()).text
        running = one.begun(sleep_s=0.3)
        await one.until_held(1, TURN_RESERVATION_LEASE)
        running.cancel()
        assert (await one.page()).text == (first,)


@in_virtual_time
async def test_a_running_page_whose_caller_left_keeps_its_engine_to_itself() -> None:
    async with service() as one:
        (first,) = (await one.page()).text
        running = one.begun(sleep_s=0.5)
        await one.until_held(1, TURN_RESERVATION_LEASE)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert one.facts().references == 1
        assert (await one.page()).text == (first,)


@in_virtual_time
async def test_beyond_the_bounded_queue_a_page_is_refused_at_once() -> None:
    async with service(pool={"max_queued_pages": 3}) as one:
        pages = [one.begun(sleep_s=0.2) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull, match="max_queued_pages"):
            await one.page()
        await asyncio.gather(*pages)
        await one.page()


@in_virtual_time
async def test_in_a_full_queue_batch_work_makes_room_for_an_interactive_page() -> None:
    async with service(pool={"max_queued_pages": 3}) as one:
        running = one.begun(sleep_s=0.3)
        await one.until_held(1, TURN_RESERVATION_LEASE)
        first, last = (one.begun(priority="batch") for _ in range(2))
        await one.until_held(3, TURN_RESERVATION_LEASE)
        with pytest.raises(QueueFull):
            await one.page(priority="batch")
        interactive = one.begun()
        with pytest.raises(QueueFull, match="max_queued_pages"):
            await last
        await asyncio.gather(running, first, interactive)
        assert one.held == NOTHING


@in_virtual_time
async def test_an_idle_engine_is_unloaded_at_its_time_and_the_next_page_loads_again() -> None:
    async with service(idle_timeout_s=300) as one:
        (first,) = (await one.page()).text
        await one.passes(299)
        assert one.exists(first)
        await one.passes(2)
        assert not one.exists(first)
        assert one.facts().state == "UNLOADED"
        assert (await one.page()).text != (first,)


@in_virtual_time
async def test_a_page_that_comes_during_an_unload_is_told_of_the_load_it_waited_for() -> None:
    async with service() as one:
        assert (await one.page()).record.cold  # type: ignore[union-attr]
        unload = asyncio.create_task(one.models["a"].unload("operator"))
        await asyncio.sleep(0)
        assert one.facts().state == "UNLOADING"
        record = (await one.page()).record
        await unload
        assert record is not None
        assert record.cold
        assert record.load_s > 0
        again = (await one.page()).record
        assert (again.cold, again.load_s) == (False, 0)  # type: ignore[union-attr]


@in_virtual_time
async def test_an_unknown_model_is_a_typed_error() -> None:
    async with service() as one:
        job = PageJob("latin", "png", 0, PredictOptions())
        with pytest.raises(UnknownModel, match="declared: a"):
            await one.service.predict_page(np.zeros(1, np.uint8), job, 1)


@in_virtual_time
async def test_a_closed_replica_takes_no_pages() -> None:
    async with service() as one:
        await one.page()
        await one.service.close()
        with pytest.raises(ReplicaUnavailable):
            await one.page()


# the ledger: nothing is held by a page that has ended


@pytest.mark.usefixtures("leaks")
@in_virtual_time
async def test_a_running_page_holds_three_things_and_nothing_after_success() -> None:
    async with service() as one:
        assert one.held == NOTHING
        running = one.begun(sleep_s=0.5)
        await one.until_held(1, TURN_RESERVATION_LEASE)
        record = (await running).record
        assert record is not None
        assert record.outcome == "success"
        await one.until_held(*NOTHING)


@pytest.mark.usefixtures("leaks")
@pytest.mark.parametrize(
    ("command", "error"),
    [
        ({"fail": "boom"}, PageFailed),
        ({"memory_error": True}, PageFailed),
        ({"garbage": True}, PageFailed),
        ({"crash": signal.SIGSEGV}, EngineCrashed),
    ],
)
@in_virtual_time
async def test_nothing_is_held_after_a_failure(
    command: dict[str, Any], error: type[Exception]
) -> None:
    async with service() as one:
        with pytest.raises(error):
            await one.page(**command)
        await one.until_held(*NOTHING)


@pytest.mark.usefixtures("leaks")
@in_virtual_time
async def test_nothing_is_held_after_an_engine_was_killed_under_a_page() -> None:
    async with service() as one:
        (first,) = (await one.page()).text
        running = one.begun(sleep_s=1)
        await one.until_held(1, TURN_RESERVATION_LEASE)
        one.machine.started[int(first)].die(-signal.SIGKILL)
        assert (await running).record.attempt == 2  # type: ignore[union-attr]
        await one.until_held(*NOTHING)


@pytest.mark.usefixtures("leaks")
@in_virtual_time
async def test_a_page_that_is_cancelled_while_it_waits_holds_nothing() -> None:
    async with service() as one:
        await one.page()
        running = one.begun(sleep_s=0.5)
        await one.until_held(1, TURN_RESERVATION_LEASE)
        waiting = one.begun()
        await one.until_held(2, TURN_RESERVATION_LEASE)
        waiting.cancel()
        await one.until_held(1, TURN_RESERVATION_LEASE)
        await running
        await one.until_held(*NOTHING)


@pytest.mark.usefixtures("leaks")
@in_virtual_time
async def test_a_page_whose_caller_left_holds_its_things_until_it_has_run() -> None:
    async with service() as one:
        await one.page()
        running = one.begun(sleep_s=0.5)
        await one.until_held(1, TURN_RESERVATION_LEASE)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert one.held == (1, TURN_RESERVATION_LEASE)
        await one.until_held(*NOTHING)


@pytest.mark.usefixtures("leaks")
@in_virtual_time
async def test_nothing_is_held_after_a_deadline_running_or_waiting() -> None:
    async with service() as one:
        await one.page()
        with pytest.raises(DeadlineExceeded):
            await one.page(deadline_s=0.3, sleep_s=30)
        await one.until_held(*NOTHING)
        running = one.begun(sleep_s=1)
        await one.until_held(1, TURN_RESERVATION_LEASE)
        with pytest.raises(DeadlineExceeded):
            await one.page(deadline_s=0.2)
        await running
        await one.until_held(*NOTHING)


@pytest.mark.usefixtures("leaks")
@in_virtual_time
async def test_nothing_is_held_after_a_load_that_failed() -> None:
    async with service(load_timeout_s=0.001) as one:
        with pytest.raises(EngineUnavailable):
            await one.page()
        await one.until_held(*NOTHING)
