"""Where a page goes first, and where it may go then."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from serve_app.errors import NoWorker
from serve_app.gateway import pool_choice
from serve_app.gateway.pool_choice import PoolChoice
from serve_app.messages import Level
from serve_app.policy.pool_views import PoolView
from serve_app.settings import PoolSettings

GIB = 2**30
FIXED = {"device": "cpu", "memory_bytes": GIB}
ELASTIC = {"device": "cpu", "memory_bytes": GIB, "autoscaling": {"max_replicas": 2}}


def view(pool: str, level: Level = "normal") -> PoolView:
    return PoolView(pool, "cpu", 1, level, GIB, 0, None)


class Registry:
    """Answers with these views."""

    def __init__(self, *views: PoolView) -> None:
        self.pools, self._views = self, views
        #: What it was told to be known, by call.
        self.asked: list[Mapping[str, PoolView] | None] = []

    async def remote(
        self, known: Mapping[str, PoolView] | None, wait_s: float
    ) -> dict[str, PoolView]:
        self.asked.append(known)
        return {one.pool: one for one in self._views}


async def choice_of(pools: dict[str, dict[str, Any]], *views: PoolView) -> PoolChoice:
    choice = PoolChoice(
        {name: PoolSettings.model_validate(pool) for name, pool in pools.items()}, Registry(*views)
    )
    refreshing = asyncio.create_task(choice.refresh_forever())
    for _ in range(10):  # turns of the loop, for one answer
        await asyncio.sleep(0)
    refreshing.cancel()
    return choice


@pytest.mark.parametrize("first", [FIXED, ELASTIC])
async def test_before_the_first_news_every_pool_may_be_there(first: dict[str, Any]) -> None:
    found = (await choice_of({"first": first, "second": FIXED})).choose("interactive")
    assert found.pool == "first"
    assert found.fallback is not None
    assert found.fallback.pool == "second"
    assert found.empty == ("autoscaling" in first)


async def test_a_pool_without_workers_is_passed_over() -> None:
    choice = await choice_of({"first": FIXED, "second": FIXED}, view("second"))
    found = choice.choose("interactive")
    assert (found.pool, found.fallback, found.fell_back) == ("second", None, True)


async def test_a_pool_that_starts_empty_is_asked_first_and_has_the_next_one_behind_it() -> None:
    choice = await choice_of({"first": ELASTIC, "second": FIXED}, view("second"))
    found = choice.choose("interactive")
    assert (found.pool, found.empty, found.fell_back) == ("first", True, False)
    assert found.fallback is not None
    assert found.fallback.pool == "second"


async def test_under_pressure_a_page_goes_to_the_fallback_even_if_that_is_empty() -> None:
    choice = await choice_of({"first": FIXED, "second": ELASTIC}, view("first", "critical"))
    found = choice.choose("interactive")
    assert (found.pool, found.fell_back) == ("second", True)


async def test_pools_whose_workers_will_never_come_are_passed_over_or_told() -> None:
    pools = {name: PoolSettings.model_validate(FIXED) for name in ("first", "second")}
    without = {"first": "pool first has no worker"}
    choice = PoolChoice(pools, Registry(), without.get)
    assert choice.choose("interactive").pool == "second"
    without["second"] = "pool second has no worker"
    with pytest.raises(NoWorker, match="first has no worker; pool second has no worker"):
        choice.choose("interactive")


@contextlib.asynccontextmanager
async def refreshed(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PoolChoice]:
    """A choice that asks without pauses, and rests as soon as nobody follows it."""
    monkeypatch.setattr(pool_choice, "REFRESH_S", 0)
    monkeypatch.setattr(pool_choice, "QUIET_S", -1)
    choice = PoolChoice({"first": PoolSettings.model_validate(FIXED)}, registry)
    refreshing = asyncio.create_task(choice.refresh_forever())
    try:
        await turns()
        yield choice
    finally:
        refreshing.cancel()


async def turns() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_the_registry_is_asked_only_while_pages_are_on_their_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = Registry(view("first"))
    async with refreshed(registry, monkeypatch) as choice:
        assert len(registry.asked) == 1
        async with choice.followed():
            await turns()
            asked = len(registry.asked)
            assert asked > 2
        await turns()
        rested = len(registry.asked)
        await turns()
        assert len(registry.asked) == rested <= asked + 2


async def test_after_a_rest_a_page_waits_for_news_and_later_ones_only_for_what_is_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = Registry(view("first"))
    async with refreshed(registry, monkeypatch) as choice:
        assert registry.asked == [None]
        registry._views = ()
        async with choice.followed():
            assert registry.asked[1] is None
            assert choice.workers("first") == 0
            registry._views = (view("first"),)
            await turns()
            assert registry.asked[-1] == {"first": view("first")}
            assert choice.workers("first") == 1


async def test_a_page_does_not_wait_long_for_a_registry_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_choice, "NEWS_S", 0.01)
    choice = PoolChoice({"first": PoolSettings.model_validate(FIXED)}, Registry())
    async with choice.followed():  # nobody refreshes at all
        assert choice.choose("interactive").pool == "first"
