"""The registry's answers to gateways, at once when it matters; and what its memory watch hears."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from serve_app.control import model_registry
from serve_app.control.model_registry import ModelRegistry
from serve_app.policy.registry_state import RecoveryState
from serve_app.testing.service import fake_settings
from tests.unit.policy_reports import reading, report

NOTHING = RecoveryState()
LONG_S = 3600.0
EVERYTHING_S = 5.0


@contextlib.asynccontextmanager
async def running(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelRegistry]:
    monkeypatch.setattr(model_registry, "configure_logging", lambda level: None)
    monkeypatch.setattr(model_registry, "VIEWS_LOOK_S", 0)
    registry = ModelRegistry(fake_settings())
    try:
        yield registry
    finally:
        await registry.close()


async def test_a_gateway_hears_at_once_of_what_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as registry:
        await registry.report(report("a"), NOTHING)
        known = await registry.pools()
        assert known["cpu"].level == "normal"
        waiting = asyncio.create_task(registry.pools(known, LONG_S))
        await registry.report(report("a", queued=7), NOTHING)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
        await registry.report(report("a", domains=(reading("ram:node", 990),)), NOTHING)
        views = await asyncio.wait_for(waiting, EVERYTHING_S)
        assert views["cpu"].level == "emergency"


async def test_who_waited_long_enough_is_told_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as registry:
        await registry.report(report("a"), NOTHING)
        known = await registry.pools()
        await registry.report(report("a", queued=7), NOTHING)
        assert (await registry.pools(known, 0.0))["cpu"].queued == 7


async def test_readings_that_are_not_due_change_no_level(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as registry:
        await registry.report(report("a", domains=(reading("ram:node", 990),)), NOTHING, True)
        await registry.report(report("b", domains=(reading("ram:node", 100),)), NOTHING, False)
        assert (await registry.pools())["cpu"].level == "emergency"
