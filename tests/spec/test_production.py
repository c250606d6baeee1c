"""The pools of `configs/prod.yaml` on two simulated GPUs: shares, limits, routing, tenants.

The readings of the GPUs come through the true NVML bindings from a stub library, to which the
test tells of the engines that run. The RAM has room, whatever else this machine does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from serve_app.child.host import REST_S
from serve_app.devices import process_memory
from serve_app.devices.scripted import SIMULATED_DEVICES
from serve_app.settings import AppSettings
from serve_app.testing.devices import write_simulated_devices
from tests.documents import encoded, text_pdf, text_picture
from tests.e2e.ledger import domains
from tests.e2e.server import Server, app_args, running
from tests.e2e.waiting import eventually
from tests.integration.nvml_stub.builder import (
    StubProcess,
    build_stub,
    compiler,
    stub_environment,
)
from tests.spec.production import (
    GPUS,
    IDLE_TIMEOUT_S,
    REPLICAS,
    Driver,
    production_config,
    shipped_production,
    visible_gpus,
)
from tests.spec.scene import GPU_TOTAL, RAM_TOTAL

pytestmark = [
    pytest.mark.spec,
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(compiler() is None, reason="no C compiler for the stub NVML library"),
]

HELLO = encoded(text_picture("Hello 42"), "png")
# As many pages as the gateway keeps under way, each of them small.
DOCUMENT = text_pdf(["Hello 42"] * 8, size_pt=(200, 100))
MODELS = ("ocr", "structure")
MIB = 2**20


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    driver = Driver(tmp_path_factory.mktemp("driver"))
    build_stub(driver.folder)
    driver.tell()
    return driver


@pytest.fixture(scope="module")
def started(driver: Driver) -> Iterator[Server]:
    ram = driver.folder / "devices.json"
    write_simulated_devices(ram, ram={"total_bytes": RAM_TOTAL, "used_bytes": RAM_TOTAL // 10})
    environment = {**stub_environment(driver.folder), SIMULATED_DEVICES: str(ram)}
    with running(production_config(), environment) as server, driver.watching(server):
        eventually(lambda: all_replicas_run(server), 60, "every replica of prod.yaml runs")
        yield server


@pytest.fixture
def server(started: Server, driver: Driver) -> Server:
    """With nothing loaded and no tenant."""
    driver.foreign.clear()
    for model in MODELS:
        unload(started, model)
    eventually(lambda: not started.engine_processes(), 20, "no engine is left")
    return started


def test_gpu_replicas_share_one_gpu_and_their_engines_see_only_it(server: Server) -> None:
    """Two replicas of half a GPU: one device; each engine is told it, and its byte limit."""
    settings = AppSettings.model_validate(app_args(shipped_production()))
    pool = settings.pools["gpu"]
    assert pool.num_gpus == 0.5
    light_traffic(server, 2)
    engines = server.engine_processes()
    assert len(engines) == 2
    (gpu,) = {visible_gpus(engine) for engine in engines}
    assert gpu in ("0", "1")
    limit_bytes = pool.num_gpus * GPU_TOTAL * settings.pressure.critical
    for engine in engines:
        environment = engine.environ()
        assert environment["FLAGS_gpu_memory_limit_mb"] == str(int(limit_bytes) // MIB)
        assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    own = gpu_domain(server)
    assert own["domain"] == f"gpu:{GPUS[int(gpu)]}"
    assert own["budget_bytes"] == 2 * int(limit_bytes)
    assert len(own["replicas"]) == 2


def test_the_cpu_pool_sees_no_gpu(server: Server) -> None:
    """Not its engines, and not the operator's view of the memory."""
    answer = server.http.post("/v1/models/ocr/load", params={"pool": "cpu", "timeout_s": "60"})
    assert answer.status_code == 200, answer.text
    (engine,) = server.engine_processes()
    assert visible_gpus(engine) == ""
    assert "FLAGS_gpu_memory_limit_mb" not in engine.environ()
    (ram,) = [domain for domain in domains(server) if domain["kind"] == "ram"]
    assert [engine["facts"]["pid"] for engine in ram["engines"]] == [engine.pid]


def test_a_tenant_raises_the_level_and_an_unload_gives_back_what_is_ours(
    server: Server, driver: Driver
) -> None:
    """A foreign process fills the GPU; the operator's order frees ours, and nothing of theirs."""
    light_traffic(server, 2)
    eventually(lambda: gpu_domain(server)["ours_bytes"], 10, "NVML tells of our engines")
    tenant = StubProcess(os.getpid(), int(0.85 * GPU_TOTAL))
    (gpu,) = {visible_gpus(engine) for engine in server.engine_processes()}
    driver.foreign[GPUS[int(gpu or 0)]] = tenant
    eventually(lambda: gpu_domain(server)["level"] == "warning", 10, "the level rises")
    # The engines hand back what they do not need meanwhile, so the sums differ for a moment.
    eventually(lambda: gpu_domain(server)["others_bytes"] == tenant.held_bytes, 10, "and whose")
    assert {d["level"] for d in domains(server) if d["kind"] == "ram"} == {"normal"}
    # At rest an engine hands its free heap back, once: what it holds then is what an unload frees.
    time.sleep(REST_S)
    held = eventually(lambda: ours_as_the_kernel_says(server), 10, "the books know it")
    freed = [unload(server, model) for model in MODELS]
    assert all(bytes_ > 100 * MIB for bytes_ in freed)
    assert sum(freed) >= 0.9 * held
    # The stub driver is told of ended engines a moment later than our own books.
    only_theirs = (tenant.held_bytes, 0, tenant.held_bytes)
    eventually(lambda: gpu_bytes(server) == only_theirs, 10, "the domain shows it")
    driver.foreign.clear()
    eventually(lambda: gpu_domain(server)["level"] == "normal", 10, "the tenant is gone")


def test_two_models_have_two_engines_and_four_only_under_load(server: Server) -> None:
    """GIVEN two replicas: light traffic two engines, load up to four, and two again."""
    light_traffic(server, 10)
    first = engine_pids(server)
    assert len(first) == 2
    counts: set[int] = set()

    def grown() -> bool:
        counts.add(len(server.engine_processes()))
        return max(counts) >= 4

    stop = Event()
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(documents_until, server, model, stop) for model in MODELS * 2]
        try:
            eventually(grown, 60, "four engines under load")
        finally:
            stop.set()
        assert {status for one in asked for status in one.result()} == {200}
    assert max(counts) == 4

    def shrunk() -> bool:
        light_traffic(server, 2)
        return len(engine_pids(server)) == 2

    eventually(shrunk, IDLE_TIMEOUT_S + 20, "two engines under light traffic")


def light_traffic(server: Server, pages: int) -> None:
    """Page by page, the models in turn; all on the GPU pool."""
    for number in range(pages):
        answer = server.parse(HELLO, model=MODELS[number % 2])
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-ocr-pool"] == "gpu"


def documents_until(server: Server, model: str, stop: Event) -> list[int]:
    """The status of each document."""
    found = []
    while not stop.is_set():
        found.append(server.parse(DOCUMENT, model=model).status_code)
    return found


def engine_pids(server: Server) -> set[int]:
    """As the kernel tells them."""
    return {engine.pid for engine in server.engine_processes()}


def unload(server: Server, model: str) -> int:
    """By the operator's order; bytes that it has freed."""
    answer = server.http.post(f"/v1/models/{model}/unload", params={"timeout_s": "30"})
    assert answer.status_code == 200, answer.text
    freed: int = answer.json()["freed_bytes"]
    return freed


def gpu_domain(server: Server) -> dict[str, Any]:
    """The GPU that the replicas share."""
    (found,) = [domain for domain in domains(server) if domain["kind"] == "gpu"]
    return found


def ours_as_the_kernel_says(server: Server) -> int:
    """What the books have of our engines, once that is what they hold now; else 0."""
    told: int = gpu_domain(server)["ours_bytes"]
    now = [process_memory.read(engine.pid) for engine in server.engine_processes()]
    held = sum(memory.resident_bytes for memory in now if memory)
    return told if abs(told - held) < 0.01 * held else 0


def gpu_bytes(server: Server) -> tuple[int, int, int]:
    """Used, ours, others'."""
    found = gpu_domain(server)
    return found["used_bytes"], found["ours_bytes"], found["others_bytes"]


def all_replicas_run(server: Server) -> bool:
    told = server.http.get("/readyz").json()["pools"]
    return all(pool["running_replicas"] == REPLICAS for pool in told.values())
