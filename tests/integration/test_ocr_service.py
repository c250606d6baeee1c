"""OCRService with fake engines: leases, growth, crashes and cancels. No Ray, no Paddle."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import psutil
import pytest

from serve_app.document import PageResult, PredictOptions
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
from serve_app.messages import Priority
from serve_app.page_job import PageJob
from serve_app.settings import AppSettings
from serve_app.testing.engine import FACTORY
from serve_app.worker.ocr_service import OCRService
from tests.e2e.waiting import happens

pytestmark = pytest.mark.integration


@contextlib.asynccontextmanager
async def service(
    pool: dict[str, Any] | None = None, app: dict[str, Any] | None = None, **model: Any
) -> AsyncIterator[OCRService]:
    args = {
        "models": {"ocr": {"pipeline": "OCR", **model}, "other": {"pipeline": "OCR", **model}},
        "pools": {"cpu": {"device": "cpu", **(pool or {})}},
        "log_level": "ERROR",
        **(app or {}),
    }
    replica = OCRService("cpu", AppSettings.model_validate(args), factory=FACTORY)
    try:
        yield replica
    finally:
        await replica.close()
        assert psutil.Process().children() == []


async def page(
    replica: OCRService,
    deadline_s: float = 30,
    model: str = "ocr",
    priority: Priority = "interactive",
    **command: Any,
) -> PageResult:
    file = np.frombuffer(json.dumps(command).encode(), np.uint8)
    job = PageJob(model, "png", 0, PredictOptions(), priority=priority)
    return await replica.predict_page(file, job, deadline_s)


def held(replica: OCRService) -> tuple[int, int]:
    """Pages that run or wait, and what they hold, as the registry is told."""
    report = replica._reporter.report()
    return report.running + report.queued, report.open_entries


async def until_held(replica: OCRService, wanted: tuple[int, int]) -> None:
    """Wait until it is so; a caller that left does not wait for its own page."""
    await happens(lambda: held(replica) == wanted, 10, f"pages and what they hold are {wanted}")


@pytest.fixture
def leaks(caplog: pytest.LogCaptureFixture) -> Iterator[list[logging.LogRecord]]:
    """What the ledger complained about; none at the end of a test that uses this."""
    logger, found = logging.getLogger("ocr_serve.ledger"), caplog.handler
    logger.addHandler(found)
    yield caplog.records
    logger.removeHandler(found)
    assert [record for record in caplog.records if record.name == logger.name] == []


async def status(replica: OCRService) -> dict[str, Any]:
    """Facts of the model; see ``messages.ModelFacts``."""
    return (await replica.models())["models"]["ocr"]  # type: ignore[no-any-return]


async def test_a_fresh_replica_holds_no_engine() -> None:
    async with service() as replica:
        assert (await status(replica))["state"] == "UNLOADED"
        assert psutil.Process().children() == []


async def test_twenty_concurrent_first_requests_load_once_and_share_the_engine() -> None:
    async with service() as replica:
        results = await asyncio.gather(*(page(replica) for _ in range(20)))
        assert len({result.text[0] for result in results}) == 1
        facts = await status(replica)
        assert facts["loads"] == 1
        assert [e["pid"] for e in facts["engines"]] == [int(results[0].text[0])]
        assert facts["references"] == 0


async def test_a_second_engine_starts_under_load_only() -> None:
    async with service(max_concurrent_predictions=2, grow_after_s=0.2) as replica:
        await asyncio.gather(*(page(replica) for _ in range(5)))
        assert (await status(replica))["loads"] == 1
        pids = await asyncio.gather(*(page(replica, sleep_s=0.5) for _ in range(8)))
        assert len({result.text[0] for result in pids}) == 2


async def test_a_killed_engine_costs_the_page_one_retry() -> None:
    async with service() as replica:
        (first,) = (await page(replica)).text
        running = asyncio.create_task(page(replica, sleep_s=1))
        await asyncio.sleep(0.3)
        os.kill(int(first), signal.SIGKILL)
        assert (await running).text != (first,)
        assert (await status(replica))["loads"] == 2


async def test_an_engine_that_is_killed_while_it_loads_costs_the_page_another_load() -> None:
    async with service() as replica:
        first = asyncio.create_task(page(replica))
        while not (loading := psutil.Process().children()):
            assert not first.done()
            await asyncio.sleep(0.01)
        loading[0].kill()
        assert (await first).text != (str(loading[0].pid),)
        assert (await status(replica))["loads"] == 1


async def test_a_page_that_crashes_two_engines_is_a_typed_error() -> None:
    async with service() as replica:
        with pytest.raises(EngineCrashed):
            await page(replica, crash=signal.SIGSEGV)
        assert (await page(replica)).text
        assert (await status(replica))["references"] == 0


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
async def test_an_engines_fault_costs_one_retry_on_another_engine_then_a_typed_error(
    command: dict[str, Any], error: type[PageFailed]
) -> None:
    async with service(predict_timeout_s=0.5) as replica:
        (first,) = (await page(replica)).text
        with pytest.raises(PageFailed) as raised:
            await page(replica, **command)
        assert type(raised.value) is error
        assert (await status(replica))["loads"] == 2
        await until_held(replica, NOTHING)
        (last,) = (await page(replica)).text
        assert last != first
        assert not psutil.pid_exists(int(first))


async def test_out_of_memory_unloads_what_is_idle_before_the_retry() -> None:
    async with service() as replica:
        (idle,) = (await page(replica, model="other")).text
        with pytest.raises(EngineOutOfMemory):
            await page(replica, memory_error=True)
        assert not psutil.pid_exists(int(idle))


async def test_a_failed_page_leaves_the_engine_in_place() -> None:
    async with service() as replica:
        (first,) = (await page(replica)).text
        with pytest.raises(PageFailed, match="failed on this page"):
            await page(replica, fail="boom")
        assert (await page(replica)).text == (first,)


async def test_an_engine_that_ran_out_of_memory_is_replaced() -> None:
    async with service() as replica:
        (first,) = (await page(replica)).text
        with pytest.raises(PageFailed):
            await page(replica, memory_error=True)
        assert (await page(replica)).text != (first,)


async def test_a_page_over_its_own_deadline_is_ended() -> None:
    async with service(predict_timeout_s=0.3) as replica:
        await page(replica)
        with pytest.raises(EngineHung):
            await page(replica, sleep_s=30)


async def test_a_page_over_the_requests_deadline_is_ended() -> None:
    async with service() as replica:
        await page(replica)
        with pytest.raises(DeadlineExceeded):
            await page(replica, deadline_s=0.3, sleep_s=30)


async def test_a_page_that_waits_past_its_deadline_is_refused_and_never_runs() -> None:
    async with service() as replica:
        await page(replica)
        running = asyncio.create_task(page(replica, sleep_s=1))
        await asyncio.sleep(0.1)
        with pytest.raises(DeadlineExceeded):
            await page(replica, deadline_s=0.2)
        await running
        facts = await status(replica)
        assert facts["engines"][0]["pages"] == 2


async def test_a_waiting_page_whose_caller_left_never_runs() -> None:
    async with service() as replica:
        await page(replica)
        running = asyncio.create_task(page(replica, sleep_s=0.5))
        await asyncio.sleep(0.1)
        waiting = asyncio.create_task(page(replica))
        await asyncio.sleep(0.1)
        waiting.cancel()
        await running
        await page(replica)
        facts = await status(replica)
        assert facts["engines"][0]["pages"] == 3  # first, running, last
        assert facts["references"] == 0


@pytest.mark.usefixtures("leaks")
async def test_with_kill_a_running_page_ends_a_grace_time_after_its_caller_left() -> None:
    async with service(app={"cancel": {"running": "kill", "grace_s": 0.2}}) as replica:
        (first,) = (await page(replica)).text
        running = asyncio.create_task(page(replica, sleep_s=60))
        await until_held(replica, (1, TURN_RESERVATION_LEASE))
        running.cancel()
        waiting = asyncio.create_task(page(replica))
        await until_held(replica, (2, TURN_RESERVATION_LEASE))
        assert psutil.pid_exists(int(first))
        (second,) = (await waiting).text
        assert second != first
        assert not psutil.pid_exists(int(first))
        await until_held(replica, NOTHING)


@pytest.mark.usefixtures("leaks")
async def test_with_kill_a_page_that_ends_within_the_grace_time_keeps_its_engine() -> None:
    async with service(app={"cancel": {"running": "kill", "grace_s": 30}}) as replica:
        (first,) = (await page(replica)).text
        running = asyncio.create_task(page(replica, sleep_s=0.3))
        await until_held(replica, (1, TURN_RESERVATION_LEASE))
        running.cancel()
        assert (await page(replica)).text == (first,)


async def test_a_running_page_whose_caller_left_keeps_its_engine_to_itself() -> None:
    async with service() as replica:
        (first,) = (await page(replica)).text
        running = asyncio.create_task(page(replica, sleep_s=0.5))
        await asyncio.sleep(0.1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert (await status(replica))["references"] == 1
        assert (await page(replica)).text == (first,)


async def test_beyond_the_bounded_queue_a_page_is_refused_at_once() -> None:
    async with service(pool={"max_queued_pages": 3}) as replica:
        pages = [asyncio.create_task(page(replica, sleep_s=0.2)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull, match="max_queued_pages"):
            await page(replica)
        await asyncio.gather(*pages)
        await page(replica)


async def test_in_a_full_queue_batch_work_makes_room_for_an_interactive_page() -> None:
    async with service(pool={"max_queued_pages": 3}) as replica:
        running = asyncio.create_task(page(replica, sleep_s=0.3))
        await asyncio.sleep(0.1)
        first, last = (asyncio.create_task(page(replica, priority="batch")) for _ in range(2))
        await asyncio.sleep(0.01)
        with pytest.raises(QueueFull):
            await page(replica, priority="batch")
        interactive = asyncio.create_task(page(replica))
        with pytest.raises(QueueFull, match="max_queued_pages"):
            await last
        await asyncio.gather(running, first, interactive)
        assert replica._worker.ledger.open_entries == 0


async def test_an_idle_engine_is_unloaded_and_the_next_page_loads_again() -> None:
    async with service(idle_timeout_s=0.3) as replica:
        (first,) = (await page(replica)).text
        for _ in range(100):
            if not psutil.pid_exists(int(first)):
                break
            await asyncio.sleep(0.05)
        assert not psutil.pid_exists(int(first))
        assert (await status(replica))["state"] == "UNLOADED"
        assert (await page(replica)).text != (first,)


async def test_a_page_that_comes_during_an_unload_is_told_of_the_load_it_waited_for() -> None:
    async with service() as replica:
        assert (await page(replica)).record.cold  # type: ignore[union-attr]
        manager = replica._worker.models["ocr"]
        unload = asyncio.create_task(manager.unload("operator"))
        await asyncio.sleep(0)
        assert manager.state == "UNLOADING"
        record = (await page(replica)).record
        await unload
        assert record is not None
        assert record.cold
        assert record.load_s > 0
        again = (await page(replica)).record
        assert (again.cold, again.load_s) == (False, 0)  # type: ignore[union-attr]


async def test_an_unknown_model_is_a_typed_error() -> None:
    async with service() as replica:
        job = PageJob("latin", "png", 0, PredictOptions())
        with pytest.raises(UnknownModel, match="declared: ocr"):
            await replica.predict_page(np.zeros(1, np.uint8), job, 1)


async def test_a_closed_replica_takes_no_pages() -> None:
    async with service() as replica:
        await page(replica)
        await replica.close()
        with pytest.raises(ReplicaUnavailable):
            await page(replica)


# the ledger: nothing is held by a page that has ended


NOTHING = (0, 0)
TURN_RESERVATION_LEASE = 3


@pytest.mark.usefixtures("leaks")
async def test_a_running_page_holds_three_things_and_nothing_after_success() -> None:
    async with service() as replica:
        assert held(replica) == NOTHING
        running = asyncio.create_task(page(replica, sleep_s=0.5))
        await until_held(replica, (1, TURN_RESERVATION_LEASE))
        record = (await running).record
        assert record is not None
        assert record.outcome == "success"
        await until_held(replica, NOTHING)


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
async def test_nothing_is_held_after_a_failure(
    command: dict[str, Any], error: type[Exception]
) -> None:
    async with service() as replica:
        with pytest.raises(error):
            await page(replica, **command)
        await until_held(replica, NOTHING)


@pytest.mark.usefixtures("leaks")
async def test_nothing_is_held_after_an_engine_was_killed_under_a_page() -> None:
    async with service() as replica:
        (first,) = (await page(replica)).text
        running = asyncio.create_task(page(replica, sleep_s=1))
        await until_held(replica, (1, TURN_RESERVATION_LEASE))
        os.kill(int(first), signal.SIGKILL)
        assert (await running).record.attempt == 2  # type: ignore[union-attr]
        await until_held(replica, NOTHING)


@pytest.mark.usefixtures("leaks")
async def test_a_page_that_is_cancelled_while_it_waits_holds_nothing() -> None:
    async with service() as replica:
        await page(replica)
        running = asyncio.create_task(page(replica, sleep_s=0.5))
        await asyncio.sleep(0.1)
        waiting = asyncio.create_task(page(replica))
        await until_held(replica, (2, TURN_RESERVATION_LEASE))
        waiting.cancel()
        await until_held(replica, (1, TURN_RESERVATION_LEASE))
        await running
        await until_held(replica, NOTHING)


@pytest.mark.usefixtures("leaks")
async def test_a_page_whose_caller_left_holds_its_things_until_it_has_run() -> None:
    async with service() as replica:
        await page(replica)
        running = asyncio.create_task(page(replica, sleep_s=0.5))
        await asyncio.sleep(0.1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert held(replica) == (1, TURN_RESERVATION_LEASE)
        await until_held(replica, NOTHING)


@pytest.mark.usefixtures("leaks")
async def test_nothing_is_held_after_a_deadline_running_or_waiting() -> None:
    async with service() as replica:
        await page(replica)
        with pytest.raises(DeadlineExceeded):
            await page(replica, deadline_s=0.3, sleep_s=30)
        await until_held(replica, NOTHING)
        running = asyncio.create_task(page(replica, sleep_s=1))
        await asyncio.sleep(0.1)
        with pytest.raises(DeadlineExceeded):
            await page(replica, deadline_s=0.2)
        await running
        await until_held(replica, NOTHING)


@pytest.mark.usefixtures("leaks")
async def test_nothing_is_held_after_a_load_that_failed() -> None:
    async with service(load_timeout_s=0.001) as replica:
        with pytest.raises(EngineUnavailable):
            await page(replica)
        await until_held(replica, NOTHING)
