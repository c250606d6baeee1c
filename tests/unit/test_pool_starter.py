"""The first worker of an empty pool: asked for once, and waited for only so long."""

from __future__ import annotations

import asyncio

import pytest

from serve_app import clock
from serve_app.gateway.pool_starter import PoolStarter


class Pool:
    """Counts the calls; they are answered when ``worker`` is set."""

    def __init__(self) -> None:
        self.worker = asyncio.Event()
        self.calls = 0
        self.error: Exception | None = None

    async def call(self, pool: str) -> object:
        self.calls += 1
        await self.worker.wait()
        if self.error:
            raise self.error
        return {}


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still."""
    time = [100.0]
    monkeypatch.setattr(clock, "now", lambda: time[0])
    return time


async def test_all_pages_wait_for_one_call(now: list[float]) -> None:
    pool = Pool()
    starter = PoolStarter(pool.call, 60)
    pages = [asyncio.create_task(starter.started("gpu", 30)) for _ in range(5)]
    await asyncio.sleep(0)
    pool.worker.set()
    assert await asyncio.gather(*pages) == [True] * 5
    assert pool.calls == 1


async def test_a_page_that_comes_later_does_not_wait_and_the_call_stays(now: list[float]) -> None:
    pool = Pool()
    starter = PoolStarter(pool.call, 60)
    assert not await starter.started("gpu", 0.001)
    now[0] += 10
    assert not await starter.started("gpu", 10)
    assert pool.calls == 1
    pool.worker.set()
    for _ in range(10):  # turns of the loop, for the call to end
        await asyncio.sleep(0)
    assert await starter.started("gpu", 10)
    await starter.close()


async def test_a_failed_call_is_no_worker_and_the_next_page_asks_again(now: list[float]) -> None:
    pool = Pool()
    pool.worker.set()
    pool.error = RuntimeError("no")
    starter = PoolStarter(pool.call, 60)
    assert not await starter.started("gpu", 10)
    pool.error = None
    assert await starter.started("gpu", 10)
    assert pool.calls == 2


async def test_closing_takes_the_call_back(now: list[float]) -> None:
    pool = Pool()
    starter = PoolStarter(pool.call, 60)
    assert not await starter.started("gpu", 0.001)
    await starter.close()
    assert pool.calls == 1
