"""SPEC.md, rows 6, 7 and 13: memory levels, and what tasks cost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.documents import encoded, text_picture
from tests.e2e.ledger import domains, levels
from tests.e2e.server import Server
from tests.e2e.waiting import eventually
from tests.spec.scene import Devices

pytestmark = pytest.mark.spec

HELLO = encoded(text_picture("Hello 42"), "png")


def crossings(server: Server, after: str) -> int:
    """Log lines of the memory watch that say that a domain entered this level."""
    return len(server.events("memory level crossed", after=after))


def wait_for(server: Server, level: str) -> None:
    eventually(lambda: level in levels(server), 10, f"a domain is at {level}")


def test_row_06_warning_is_logged_once_and_batch_work_waits(
    server: Server, devices: Devices
) -> None:
    """WHEN 80 % is crossed THEN one warning, and batch work is deferred until it is over."""
    assert server.parse(HELLO, model="ocr").status_code == 200
    before = crossings(server, "warning")
    devices.set(gpu=0.85)
    wait_for(server, "warning")
    with ThreadPoolExecutor() as pool:
        deferred = pool.submit(server.parse, HELLO, model="ocr", priority="batch")
        for _ in range(5):
            answer = server.parse(HELLO, model="ocr")
            assert answer.status_code == 200
            assert float(answer.headers["x-ocr-queue-seconds"]) < 2, "it waited for the batch page"
        assert not deferred.done()
        devices.set()
        assert deferred.result(timeout=20).status_code == 200
    assert crossings(server, "warning") == before + 1
    assert float(deferred.result().headers["x-ocr-queue-seconds"]) > 0


def test_row_07_critical_sends_new_tasks_to_the_cpu_pool(server: Server, devices: Devices) -> None:
    """WHEN 95 % is reached on the GPU THEN a new task goes to the CPU pool."""
    assert server.parse(HELLO, model="ocr").headers["x-ocr-pool"] == "main"
    devices.set(gpu=0.96)
    wait_for(server, "critical")
    answer = server.parse(HELLO, model="ocr")
    assert answer.status_code == 200
    assert answer.headers["x-ocr-pool"] == "spare"
    assert answer.headers["x-ocr-fallback"] == "true"


def test_row_07_critical_everywhere_rejects_new_tasks(server: Server, devices: Devices) -> None:
    """WHEN no pool has room THEN 503 with Retry-After and memory_pressure; back within 2 s."""
    assert server.parse(HELLO, model="ocr").status_code == 200
    devices.set(gpu=0.96, ram=0.96)
    eventually(lambda: levels(server) == {"critical"}, 10, "all domains are critical")
    refused = eventually(lambda: refusal(server), 5, "new work is refused")
    assert refused["code"] == "memory_pressure"
    devices.set()
    eventually(
        lambda: server.parse(HELLO, model="ocr").status_code == 200, 2.5 + 15, "served again"
    )


def refusal(server: Server) -> dict[str, str] | None:
    answer = server.parse(HELLO, model="ocr")
    if answer.status_code != 503:
        return None
    assert int(answer.headers["retry-after"]) >= 1
    error: dict[str, str] = answer.json()["error"]
    return error


def test_row_13_a_task_records_its_estimated_and_its_measured_memory(server: Server) -> None:
    """WHEN a task is done THEN its record has both, in the headers and in GET /v1/tasks."""
    answer = server.parse(HELLO, model="ocr")
    estimate, peak = (int(answer.headers[f"x-ocr-{it}-bytes"]) for it in ("estimate", "peak"))
    assert estimate > 0
    assert peak > 0

    def record() -> dict[str, object] | None:
        tasks = server.http.get("/v1/tasks", params={"limit": 5}).json()["tasks"]
        return next((task for task in tasks if task["peak_bytes"] == peak), None)

    found = eventually(record, 10, "the registry has the record")
    assert found["estimate_bytes"] == estimate
    assert found["ratio"] == pytest.approx(peak / estimate)
    assert found["outcome"] == "success"


def test_an_operator_sees_the_memory_and_gives_it_to_another_tenant(
    server: Server, devices: Devices
) -> None:
    """A foreign process on the GPU raises the level there, and an unload gives back ours."""
    assert server.parse(HELLO, model="structure").status_code == 200
    devices.set(gpu=0.7)
    gpu = next(domain for domain in domains(server) if domain["kind"] == "gpu")
    assert gpu["others_bytes"] > 0
    answer = server.http.post("/v1/models/structure/unload", params={"timeout_s": "30"})
    assert answer.status_code == 200
    assert answer.json()["freed_bytes"] > 100 * 2**20
    assert server.engine_processes() == []
