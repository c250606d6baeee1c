from __future__ import annotations

import asyncio

import pytest

from serve_app.changes import Changes, end, until_set


async def test_waiting_ends_with_the_event_or_the_time() -> None:
    event = asyncio.Event()
    await until_set(event, 0.001)
    await until_set(event, 0)
    event.set()
    await until_set(event, 60)


async def test_a_cancellation_that_comes_with_the_event_is_not_forgotten() -> None:
    event = asyncio.Event()
    waiting = asyncio.create_task(until_set(event, 60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    event.set()
    await asyncio.sleep(0)  # the inner wait is through, the outer one has not heard of it
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_each_waiter_hears_of_the_next_change_only() -> None:
    changes = Changes()
    waiting = [asyncio.create_task(changes.wait(60)) for _ in range(3)]
    await asyncio.sleep(0)
    changes.tell()
    await asyncio.gather(*waiting)
    await changes.wait(0.001)


async def test_a_task_that_loses_a_cancellation_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serve_app.changes.CANCEL_AGAIN_S", 0.01)
    lost = 0

    async def forgetful() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if lost:
                    raise
                lost += 1

    async def broken() -> None:
        raise ValueError

    tasks = asyncio.create_task(forgetful()), asyncio.create_task(broken())
    await asyncio.sleep(0)
    await asyncio.wait_for(end(*tasks), 5)
    assert lost == 1
    assert tasks[0].cancelled()
    await end()
