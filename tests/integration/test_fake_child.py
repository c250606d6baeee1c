"""The fake child does as a real one with the fake pipeline: the same commands given to both."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from serve_app.child.process import (
    ChildCrashed,
    ChildFailure,
    ChildHung,
    ChildProcess,
    JobFailed,
)
from serve_app.errors import InvalidFile
from serve_app.page_codec import decode_result
from serve_app.testing.child import FakeMachine
from serve_app.testing.engine import FACTORY

pytestmark = pytest.mark.integration

MIB = 2**20
New = Callable[[], ChildProcess]


@pytest.fixture(params=["real", "fake"])
def new(request: pytest.FixtureRequest) -> New:
    if request.param == "real":
        return lambda: ChildProcess(FACTORY, name="child")
    machine = FakeMachine()
    return lambda: machine.child(FACTORY, name="child")


async def started(new: New) -> ChildProcess:
    child = new()
    await child.start({}, timeout_s=20)
    return child


async def run(child: ChildProcess, timeout_s: float = 20, **command: Any) -> bytes:
    return await child.run({"index": 3}, [json.dumps(command).encode()], timeout_s=timeout_s)


async def test_a_page_is_answered_with_the_pid_and_the_child_stops_when_asked_to(new: New) -> None:
    child = await started(new)
    result = decode_result(await run(child))
    assert (result.index, result.text) == (3, (str(child.pid),))
    assert decode_result(await run(child, only_page=2, fail="not this one")).index == 3
    assert await child.stop(grace_s=5) == 0
    assert not child.alive
    assert child.killed


@pytest.mark.parametrize(
    ("command", "error", "lives"),
    [
        ({"fail": "boom"}, JobFailed, True),
        ({"memory_error": True}, JobFailed, True),
        ({"invalid": "no picture"}, InvalidFile, True),
        ({"exit": 3}, JobFailed, False),
        ({"crash": signal.SIGSEGV}, ChildCrashed, False),
        ({"sleep_s": 30}, ChildHung, False),
    ],
)
async def test_a_fault_is_told_alike_and_leaves_the_same(
    new: New, command: dict[str, Any], error: type[Exception], lives: bool
) -> None:
    child = await started(new)
    with pytest.raises((ChildFailure, InvalidFile)) as raised:
        await run(child, timeout_s=1, **command)
    assert type(raised.value) is error
    if error is JobFailed:
        assert raised.value.args[0] == ("memory" if "memory_error" in command else "exception")
    if error is ChildCrashed:
        assert raised.value.args[1] == -signal.SIGSEGV
    if not lives:
        ended = await asyncio.wait_for(asyncio.shield(child.exited), 10)
        assert ended == (70 if "exit" in command else -command.get("crash", signal.SIGKILL))
        with pytest.raises(ChildCrashed):
            await run(child)
    assert child.alive is lives
    await child.stop(grace_s=5)


async def test_a_cancelled_page_ends_the_child(new: New) -> None:
    child = await started(new)
    page = asyncio.create_task(run(child, sleep_s=30))
    await asyncio.sleep(0)
    page.cancel()
    await asyncio.gather(page, return_exceptions=True)
    assert await asyncio.wait_for(asyncio.shield(child.exited), 10) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("load", "error"),
    [
        ({"fail": "no weights"}, JobFailed),
        ({"crash": signal.SIGSEGV}, ChildCrashed),
        ({"sleep_s": 60}, ChildHung),
    ],
)
async def test_a_load_that_fails_leaves_no_process(
    new: New, load: dict[str, Any], error: type[Exception]
) -> None:
    child = new()
    with pytest.raises(error):
        await child.start({"load": load}, timeout_s=2)
    assert not child.alive


async def test_what_its_device_holds_is_told_with_each_answer(new: New) -> None:
    child = await started(new)
    told = [(child.device_bytes, child.device_peak_bytes)]
    commands: list[dict[str, Any]] = [{}, {"tell_bytes": [300 * MIB, 500 * MIB]}, {}]
    for command in commands:
        await run(child, **command)
        told.append((child.device_bytes, child.device_peak_bytes))
    await child.trim()
    told.append((child.device_bytes, child.device_peak_bytes))
    await run(child)
    told.append((child.device_bytes, child.device_peak_bytes))
    await child.stop(grace_s=5)
    mib = [(held // MIB, peak // MIB) for held, peak in told]
    assert mib == [(0, 0), (0, 0), (300, 500), (300, 300), (150, 300), (150, 150)]
