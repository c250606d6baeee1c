"""ModelManager with an engine that fails in ways a real one does not on demand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from serve_app.errors import EngineUnavailable
from serve_app.settings import ModelSettings
from serve_app.worker.engine_process import EngineProcess
from serve_app.worker.model_manager import ModelManager


class Memory:
    baseline_bytes = 0

    def held_bytes(self) -> int:
        return 0


class FakeEngine:
    """Loads at once. ``broken`` has ``stop`` raise what nobody expects."""

    pid, pages = 4711, 0

    def __init__(self, broken: bool) -> None:
        self.broken, self.killed, self.memory = broken, False, Memory()
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def alive(self) -> bool:
        return not self.exited.done()

    async def start(self, *, timeout_s: float) -> None:
        """At once."""

    async def stop(self) -> None:
        if self.broken:
            raise OSError("the channel's descriptor is no more")
        self.exited.set_result(0)

    def kill(self) -> None:
        self.killed = True
        if self.alive:
            self.exited.set_result(-9)


async def no_memory(_: EngineProcess) -> int:
    return 0


@asynccontextmanager
async def manager(
    engines: list[FakeEngine], broken: bool = False, **given: Any
) -> AsyncIterator[ModelManager]:
    def new_engine() -> Any:
        engines.append(FakeEngine(broken))
        return engines[-1]

    settings = ModelSettings.model_validate({"pipeline": "OCR"})
    parts: dict[str, Any] = {"load_gate": asyncio.Semaphore(1), "memory_of": no_memory, **given}
    one = ModelManager("ocr", settings, new_engine, **parts)
    try:
        yield one
    finally:
        for engine in engines:
            engine.broken = False
        await one.close()


async def test_an_unload_that_fails_is_logged_and_the_model_can_be_loaded_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engines: list[FakeEngine] = []
    async with manager(engines, broken=True) as one:
        await one.load()
        with caplog.at_level(logging.ERROR, "ocr_serve.models"):
            (result,) = await one.unload("a test")
        assert [record.message for record in caplog.records] == ["unload failed"]
        assert result.reason == "a test"
        assert one.state == "UNLOADED"
        assert engines[0].killed
        await one.load()
        assert (one.state, len(engines)) == ("READY", 2)


async def test_a_reading_that_fails_under_an_unload_does_not_keep_the_engine() -> None:
    engines: list[FakeEngine] = []
    readings = iter([0])

    async def memory_of(_: EngineProcess) -> int:
        return next(readings)  # at the load; then there are none

    async with manager(engines, memory_of=memory_of) as one:
        await one.load()
        await one.unload("a test")
        assert one.state == "UNLOADED"
        assert not engines[0].alive


async def test_what_fails_right_after_a_load_is_told_to_who_waits() -> None:
    engines: list[FakeEngine] = []

    def broken(held_bytes: int) -> None:
        raise LookupError(held_bytes)

    async with manager(engines, on_loaded=broken) as one:
        with pytest.raises(EngineUnavailable, match="LookupError"):
            await one.load()
        assert one.state == "FAILED"
        assert engines[0].killed
