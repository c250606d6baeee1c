"""EngineProcess against a fake pipeline: real processes, real channel, no Paddle, no Ray."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import Any

import psutil
import pytest

from serve_app.child.host import REST_S
from serve_app.errors import (
    EngineCrashed,
    EngineHung,
    EngineOutOfMemory,
    EngineProtocolError,
    EngineUnavailable,
    InvalidFile,
    PageFailed,
)
from serve_app.settings import EngineSettings, ModelSettings, PoolSettings
from serve_app.testing.engine import FACTORY
from serve_app.worker.engine_environment import engine_environment
from serve_app.worker.engine_process import EngineProcess, Prediction
from tests.e2e.waiting import happens

pytestmark = pytest.mark.integration


MIB = 2**20


async def started(**load: Any) -> EngineProcess:
    engine = EngineProcess("fake", {"load": load}, factory=FACTORY)
    await engine.start(timeout_s=20)
    return engine


async def predict(engine: EngineProcess, timeout_s: float = 20, **command: Any) -> Prediction:
    return await engine.predict({"index": 3}, json.dumps(command).encode(), timeout_s=timeout_s)


async def test_a_page_is_answered_by_the_child_process() -> None:
    engine = await started()
    prediction = await predict(engine)
    assert prediction.result.text[0] == str(engine.pid) != str(os.getpid())
    assert prediction.result.index == 3
    assert prediction.peak_bytes > 0
    assert await engine.stop() == 0


async def test_an_engine_at_rest_hands_back_what_its_last_page_needed() -> None:
    pool, model = (
        PoolSettings(device="cpu"),
        ModelSettings(pipeline="OCR", engine=EngineSettings(provider="cpu")),
    )
    env = engine_environment(pool, model, None, 2**40)
    engine = EngineProcess("fake", {"load": {}}, factory=FACTORY, env=env)
    await engine.start(timeout_s=20)
    await predict(engine)
    before = engine.memory.resident_bytes()
    await predict(engine, use_bytes=200 * MIB)
    assert engine.memory.resident_bytes() > before + 150 * MIB, "kept for the next page"
    await happens(
        lambda: engine.memory.resident_bytes() < before + 20 * MIB,
        REST_S + 5,
        "its heap was trimmed",
    )
    assert (await predict(engine)).result.text[0] == str(engine.pid)
    await engine.stop()


async def test_the_trim_of_a_dead_engine_raises_nothing() -> None:
    engine = await started()
    os.kill(engine.pid, signal.SIGKILL)
    await engine.trim()
    assert await engine.exited == -signal.SIGKILL


async def test_stop_leaves_no_process() -> None:
    engine = await started()
    pid = engine.pid
    await engine.stop()
    assert not psutil.pid_exists(pid)
    assert engine.memory.resident_bytes() == 0


async def test_a_failed_load_is_typed_and_leaves_no_process(
    our_log: pytest.LogCaptureFixture,
) -> None:
    before = psutil.Process().children()
    with pytest.raises(EngineUnavailable) as caught:
        await started(fail="no file /srv/weights/secret.onnx")
    assert str(caught.value) == "loading fake failed", "a client reads this"
    assert any("/srv/weights/secret.onnx" in text for text in logged_errors(our_log))
    await gone(before)


async def test_a_crash_while_loading_is_typed() -> None:
    with pytest.raises(EngineUnavailable, match="-11"):
        await started(crash=signal.SIGSEGV)


async def test_a_load_past_its_deadline_is_ended() -> None:
    before = psutil.Process().children()
    engine = EngineProcess("fake", {"load": {"sleep_s": 60}}, factory=FACTORY)
    with pytest.raises(EngineUnavailable, match="load_timeout_s"):
        await engine.start(timeout_s=1)
    await gone(before)


async def test_a_cancelled_start_leaves_no_process() -> None:
    before = psutil.Process().children()
    engine = EngineProcess("fake", {"load": {"sleep_s": 60}}, factory=FACTORY)
    starting = asyncio.create_task(engine.start(timeout_s=60))
    await asyncio.sleep(0.01)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await gone(before)


async def test_an_exception_in_the_pipeline_is_a_failed_page_and_the_engine_lives(
    our_log: pytest.LogCaptureFixture,
) -> None:
    engine = await started()
    with pytest.raises(PageFailed) as caught:
        await predict(engine, fail="boom")
    assert str(caught.value) == "fake failed on this page", "a client reads this"
    assert any("RuntimeError" in text and "boom" in text for text in logged_errors(our_log))
    assert (await predict(engine)).result.text[0] == str(engine.pid)
    await engine.stop()


async def test_a_typed_error_comes_back_as_itself() -> None:
    engine = await started()
    with pytest.raises(InvalidFile, match="not a picture"):
        await predict(engine, invalid="not a picture")
    assert engine.alive
    await engine.stop()


async def test_out_of_memory_is_typed() -> None:
    engine = await started()
    with pytest.raises(EngineOutOfMemory):
        await predict(engine, memory_error=True)
    await engine.stop()


@pytest.mark.parametrize("how", [{"crash": signal.SIGKILL}, {"crash": signal.SIGSEGV}])
async def test_a_crash_under_a_page_is_typed(how: dict[str, int]) -> None:
    engine = await started()
    with pytest.raises(EngineCrashed):
        await predict(engine, **how)
    assert not engine.alive
    with pytest.raises(EngineCrashed):
        await predict(engine)


async def test_a_system_exit_in_the_pipeline_ends_the_engine_only(
    our_log: pytest.LogCaptureFixture,
) -> None:
    engine = await started()
    with pytest.raises(PageFailed):
        await predict(engine, exit=3)
    assert any("SystemExit" in text for text in logged_errors(our_log))
    assert await asyncio.wait_for(engine.exited, 10) == 70


async def test_a_hang_is_ended_at_the_deadline() -> None:
    engine = await started()
    begun = time.monotonic()
    with pytest.raises(EngineHung):
        await predict(engine, timeout_s=0.5, sleep_s=60)
    assert time.monotonic() - begun < 5
    assert await asyncio.wait_for(engine.exited, 10) == -signal.SIGKILL


async def test_garbage_instead_of_a_result_is_typed_and_ends_the_engine() -> None:
    engine = await started()
    with pytest.raises(EngineProtocolError):
        await predict(engine, garbage=True)
    assert await asyncio.wait_for(engine.exited, 10) == -signal.SIGKILL


async def test_a_large_result_comes_back_whole() -> None:
    engine = await started()
    result = (await predict(engine, big_bytes=30_000_000)).result
    assert len(result.images["big"]) == 30_000_000
    await engine.stop()


async def test_no_descriptor_is_left_open_by_a_page() -> None:
    engine = await started()
    await predict(engine)
    before = psutil.Process().num_fds()
    for _ in range(20):
        await predict(engine, big_bytes=100_000)
    assert psutil.Process().num_fds() == before
    await engine.stop()


async def test_what_the_child_prints_becomes_log_records_for_debugging(
    our_log: pytest.LogCaptureFixture,
) -> None:
    engine = await started()
    await predict(engine, print="a line of the pipeline")
    await engine.stop()
    lines = [getattr(record, "line", "") for record in our_log.records]
    assert "a line of the pipeline" in lines
    assert {record.levelname for record in our_log.records if hasattr(record, "line")} == {"DEBUG"}


def test_an_engine_ends_when_its_parent_is_killed() -> None:
    program = """
        import asyncio, sys
        from serve_app.worker.engine_process import EngineProcess
        from serve_app.testing.engine import FACTORY
        async def main():
            engine = EngineProcess("fake", {}, factory=FACTORY)
            await engine.start(timeout_s=20)
            print(engine.pid, flush=True)
            await engine.predict({}, b'{"sleep_s": 60}', timeout_s=60)
        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        engine = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    try:
        engine.wait(timeout=5)
    except psutil.NoSuchProcess:
        pass
    assert not engine.is_running()


def logged_errors(our_log: pytest.LogCaptureFixture) -> list[str]:
    """The details that the log has of failures."""
    return [str(getattr(record, "error", "")) for record in our_log.records]


async def gone(before: list[psutil.Process]) -> None:
    """No child of ours is left that was not there before."""
    for _ in range(100):
        if set(psutil.Process().children()) <= set(before):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"still there: {set(psutil.Process().children()) - set(before)}")
