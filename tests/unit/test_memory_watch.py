"""The memory watch: who asks for the levels is told of a change, and waits while there is none."""

from __future__ import annotations

import asyncio

import pytest

from serve_app.control.memory_watch import MemoryWatch
from serve_app.messages import DomainReading, Level, PressureSnapshot
from serve_app.testing.service import fake_settings

LONG_S = 3600.0


@pytest.fixture(autouse=True)
def _logging_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve_app.control.memory_watch.configure_logging", lambda level: None)


def reading(percent: int, domain: str = "ram:a") -> tuple[DomainReading, ...]:
    return (DomainReading(domain, "ram", 100, percent),)


async def watch_with(percent: int) -> MemoryWatch:
    watch = MemoryWatch(fake_settings())
    await watch.report(reading(percent))
    return watch


async def asking(watch: MemoryWatch, known: dict[str, Level]) -> asyncio.Task[PressureSnapshot]:
    """A caller that has begun to wait."""
    task = asyncio.create_task(watch.levels(known, LONG_S))
    await asyncio.sleep(0)
    return task


async def test_levels_that_the_caller_does_not_know_are_told_at_once() -> None:
    watch = await watch_with(85)
    assert (await watch.levels({}, LONG_S)).levels == {"ram:a": "warning"}


async def test_a_crossing_is_told_to_all_who_wait() -> None:
    watch = await watch_with(10)
    callers = [await asking(watch, {"ram:a": "normal"}) for _ in range(2)]
    await watch.report(reading(20))
    await asyncio.sleep(0)
    assert not any(caller.done() for caller in callers)
    await watch.report(reading(99))
    answers = await asyncio.wait_for(asyncio.gather(*callers), 5)
    assert [answer.levels for answer in answers] == [{"ram:a": "emergency"}] * 2


async def test_who_waited_long_enough_is_told_that_nothing_changed() -> None:
    watch = await watch_with(10)
    assert (await watch.levels({"ram:a": "normal"}, 0)).levels == {"ram:a": "normal"}
