"""SPEC.md, rows 1-3 and 11-12, 14: loading, sharing and unloading models."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.documents import encoded, text_picture
from tests.e2e.busy import full_pages, wait_until_busy
from tests.e2e.ledger import domains
from tests.e2e.server import Server, app_args
from tests.e2e.waiting import eventually
from tests.spec.scene import IDLE_TIMEOUT_S, Devices, one_pool_config

pytestmark = pytest.mark.spec

HELLO = encoded(text_picture("Hello 42"), "png")
MIB = 2**20


def test_row_01_loading_a_model(server: Server) -> None:
    """GIVEN not loaded WHEN requested THEN a new instance, reference count 1."""
    assert server.models()["ocr"]["state"] == "UNLOADED"
    loads = server.models()["ocr"]["loads"]
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(server.parse, full_pages(1), model="ocr")
        eventually(lambda: server.models()["ocr"]["references"] == 1, 60, "one reference")
        assert asked.result().status_code == 200
    model = server.models()["ocr"]
    assert (model["state"], model["loads"], model["references"]) == ("READY", loads + 1, 0)
    (engine,) = model["engines"]
    assert psutil.pid_exists(engine["pid"])


def test_row_02_reusing_a_loaded_model(server: Server) -> None:
    """GIVEN loaded WHEN another request THEN the same instance, count + 1; one load for twenty."""
    loads = server.models()["ocr"]["loads"]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: server.parse(HELLO, model="ocr"), range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert server.models()["ocr"]["loads"] == loads + 1
    (pid,) = server.engines_of("ocr")
    with ThreadPoolExecutor() as pool:
        first = pool.submit(server.parse, full_pages(1), model="ocr")
        wait_until_busy(pid, first)
        second = pool.submit(server.parse, HELLO, model="ocr")
        eventually(lambda: server.models()["ocr"]["references"] == 2, 30, "two references")
        assert first.result().status_code == second.result().status_code == 200
    assert server.engines_of("ocr") == {pid}


def test_row_03_unloading_an_idle_model(server: Server) -> None:
    """GIVEN count 0 WHEN the idle timeout is over THEN unloaded, and the memory is freed."""
    assert server.parse(HELLO, model="ocr").status_code == 200
    (pid,) = server.engines_of("ocr")
    timeout_s = IDLE_TIMEOUT_S + 20
    eventually(lambda: not psutil.pid_exists(pid), timeout_s, "the idle engine is gone")
    event = eventually(
        lambda: server.events("model unloaded", pid=pid, reason="idle"), 20, "it was reported"
    )[0]
    assert event["freed_bytes"] > 100 * MIB
    assert server.models()["ocr"]["state"] == "UNLOADED"
    assert server.parse(HELLO, model="ocr").status_code == 200


def test_row_11_task_using_a_pooled_service(server: Server) -> None:
    """WHEN a model is loaded THEN a task uses it, and loads nothing."""
    first = server.parse(HELLO, model="ocr")
    assert first.headers["x-ocr-cold"] == "true"
    loads = server.models()["ocr"]["loads"]
    again = server.parse(HELLO, model="ocr")
    assert again.headers["x-ocr-cold"] == "false"
    assert float(again.headers["x-ocr-load-seconds"]) == 0
    assert server.models()["ocr"]["loads"] == loads


def test_row_12_structure_can_be_unloaded_when_idle(server: Server) -> None:
    """GIVEN PP-StructureV3 idle for the timeout THEN it is unloaded like any other model."""
    assert server.parse(HELLO, model="structure").status_code == 200
    (pid,) = server.engines_of("structure")
    eventually(lambda: not psutil.pid_exists(pid), IDLE_TIMEOUT_S + 20, "it is gone")
    assert server.models()["structure"]["state"] == "UNLOADED"


def test_row_12_structure_is_unloaded_earlier_under_memory_pressure(
    server: Server, devices: Devices
) -> None:
    """GIVEN PP-StructureV3 idle WHEN memory pressure is detected THEN it is unloaded."""
    assert server.parse(HELLO, model="structure").status_code == 200
    (pid,) = server.engines_of("structure")
    devices.set(gpu=0.99)
    eventually(lambda: not psutil.pid_exists(pid), IDLE_TIMEOUT_S - 2, "it went before its timeout")


def test_row_14_nothing_is_loaded_until_first_use(one_pool: tuple[Server, Devices]) -> None:
    """GIVEN the system starts WHEN nothing uses a model THEN none is loaded."""
    fresh, _ = one_pool
    assert fresh.engine_processes() == []
    states = {model["state"] for model in fresh.models().values()}
    assert states == {"UNLOADED"}
    assert set(fresh.models()) == set(app_args(one_pool_config())["models"])
    assert sum(domain["ours_bytes"] for domain in domains(fresh)) == 0
