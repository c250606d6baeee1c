"""A real GPU and its driver: what NVML tells, and memory that engines really take and give back.

Skipped where there is no NVIDIA GPU. The engines are fake ones that take device memory through
CUDA's driver (serve_app/testing/cuda.py); Ray, the server, NVML and the GPU are real. Nothing else
may use the GPU meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
import pynvml
import pytest

from tests.e2e.ledger import domains
from tests.e2e.server import ROOT, Server, app_args
from tests.e2e.waiting import eventually
from tests.faults.scene import engine_of, fault_config, page, running_with_faults

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

MIB, GIB = 2**20, 2**30
HELD = GIB
# What the driver may keep for itself after its first process.
SLACK = 256 * MIB
IDLE_TIMEOUT_S = 4.0
SHARE = 0.5
CRITICAL = 0.95


@dataclass(frozen=True)
class Gpu:
    """The first GPU, as the driver tells it."""

    handle: Any
    uuid: str
    total_bytes: int

    def used_bytes(self) -> int:
        """By whomever."""
        memory = pynvml.nvmlDeviceGetMemoryInfo(self.handle)
        return int(memory.total - memory.free)

    def is_back_at(self, used_bytes: int) -> bool:
        """Whether no more is used than that."""
        return self.used_bytes() <= used_bytes + SLACK

    @contextlib.contextmanager
    def filled_to(self, fraction: float) -> Iterator[None]:
        """Another process takes what is missing."""
        count = int(fraction * self.total_bytes) - self.used_bytes()
        command = [sys.executable, "-m", "serve_app.testing.cuda", str(count)]
        with subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as tenant:
            try:
                assert tenant.stdout is not None
                assert tenant.stdout.readline() == b"taken\n"
                yield
            finally:
                tenant.kill()


@pytest.fixture(scope="module")
def gpu() -> Iterator[Gpu]:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        pytest.skip(f"no NVIDIA GPU here: {error}")
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    total = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    yield Gpu(handle, str(pynvml.nvmlDeviceGetUUID(handle)), total)
    pynvml.nvmlShutdown()


@pytest.fixture(scope="module")
def server(gpu: Gpu) -> Iterator[Server]:
    config = fault_config()
    args = app_args(config)
    cpu = args["pools"].pop("cpu")
    shared = {"device": "gpu", "num_gpus": SHARE, "num_replicas": 2, "spill_pages": 2}
    args["pools"] = {"main": {**cpu, **shared}, "spare": cpu}
    args["models"]["ocr"] |= {
        "max_concurrent_predictions": 1,
        "predict_timeout_s": 60,
        "idle_timeout_s": IDLE_TIMEOUT_S,
    }
    with running_with_faults(config) as found:
        yield found


@pytest.fixture
def at_rest(gpu: Gpu, server: Server) -> int:
    """What is used of the GPU while no engine is loaded; bytes."""
    assert server.http.post("/v1/models/ocr/unload", params={"timeout_s": 30}).status_code == 200
    eventually(lambda: not server.models()["ocr"]["engines"], 10, "no engine is loaded")
    return gpu.used_bytes()


def gpu_domain(server: Server) -> dict[str, Any]:
    """As the server tells it; nothing before the first report."""
    return next((one for one in domains(server) if one["kind"] == "gpu"), {})


def ours(server: Server) -> int:
    return int(gpu_domain(server)["ours_bytes"])


def level(server: Server) -> str:
    return str(gpu_domain(server)["level"])


def pool_of(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return answer.headers["x-ocr-pool"]


def told(server: Server, pid: int) -> int:
    """What the server says that this engine holds."""
    engines = server.models()["ocr"]["engines"]
    return next((int(one["memory_bytes"]) for one in engines if one["pid"] == pid), 0)


def test_the_server_tells_of_the_gpu_what_the_driver_tells(gpu: Gpu, server: Server) -> None:
    domain = eventually(lambda: gpu_domain(server), 10, "the GPU is known")
    assert domain["domain"] == f"gpu:{gpu.uuid}"
    assert domain["total_bytes"] == gpu.total_bytes
    assert abs(domain["used_bytes"] - gpu.used_bytes()) < SLACK
    print(f"{gpu.total_bytes / GIB:.1f} GiB, {gpu.used_bytes() / MIB:.0f} MiB used at rest")


def test_what_an_engine_takes_is_told_and_is_back_when_unload_has_answered(
    gpu: Gpu, server: Server, at_rest: int
) -> None:
    answer = server.parse(page(device_bytes=HELD))
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-ocr-pool"] == "main"
    assert int(answer.headers["x-ocr-peak-bytes"]) >= HELD
    assert gpu.used_bytes() >= at_rest + HELD
    pid = engine_of(answer)
    eventually(lambda: told(server, pid) >= HELD, 5, "the engine's memory is told")
    eventually(lambda: ours(server) >= HELD, 5, "it is told as ours")
    print(f"page: {told(server, pid) / MIB:.0f} MiB with {HELD / MIB:.0f} MiB taken by it")
    began = time.monotonic()
    unloaded = server.http.post("/v1/models/ocr/unload", params={"timeout_s": 30})
    assert gpu.is_back_at(at_rest), "the answer came before the memory"
    print(f"unload: {time.monotonic() - began:.2f} s, {unloaded.json()}")
    assert unloaded.status_code == 200, unloaded.text
    assert unloaded.json()["freed_bytes"] >= HELD
    assert not psutil.pid_exists(pid)


def test_an_idle_engine_gives_its_memory_back(gpu: Gpu, server: Server, at_rest: int) -> None:
    assert server.parse(page(device_bytes=HELD)).status_code == 200
    began = time.monotonic()
    eventually(lambda: gpu.is_back_at(at_rest), IDLE_TIMEOUT_S + 10, "the memory is back")
    print(f"idle time-out {IDLE_TIMEOUT_S:g} s: back after {time.monotonic() - began:.1f} s")
    assert time.monotonic() - began > IDLE_TIMEOUT_S / 2


def test_an_engine_that_is_killed_gives_its_memory_back(
    gpu: Gpu, server: Server, at_rest: int
) -> None:
    os.kill(engine_of(server.parse(page(device_bytes=HELD))), signal.SIGKILL)
    eventually(lambda: gpu.is_back_at(at_rest), 10, "the memory is back")
    assert server.parse(page()).status_code == 200


@pytest.mark.usefixtures("at_rest")
def test_two_workers_share_the_gpu_each_with_half_of_it(server: Server) -> None:
    # Little each: an engine that grows with every page is replaced (recycle.drift_bytes).
    held = 64 * MIB
    with ThreadPoolExecutor() as pool:
        asked = [
            pool.submit(server.parse, page(device_bytes=held, sleep_s=1, number=n))
            for n in range(8)
        ]
    answers = [one.result() for one in asked]
    assert {answer.headers["x-ocr-pool"] for answer in answers} == {"main"}
    engines = {engine_of(answer) for answer in answers}
    assert len(engines) == 2
    eventually(lambda: ours(server) >= 2 * held, 5, "both are counted")
    assert engines <= {one["facts"]["pid"] for one in gpu_domain(server)["engines"]}


@pytest.mark.usefixtures("at_rest")
def test_another_tenant_raises_the_level_and_pages_go_to_the_cpu(gpu: Gpu, server: Server) -> None:
    assert level(server) == "normal"
    with gpu.filled_to(0.81):
        eventually(lambda: level(server) == "warning", 5, "the level is warning")
        assert server.parse(page()).headers["x-ocr-pool"] == "main"
    eventually(lambda: level(server) == "normal", 5, "the level is normal")
    with gpu.filled_to(0.96):
        began = time.monotonic()
        eventually(lambda: level(server) == "critical", 5, "the level is critical")
        print(f"critical: known {time.monotonic() - began:.2f} s after it was")
        # One of the two workers has told it; the other one reads for itself, twice a second.
        eventually(lambda: pool_of(server.parse(page())) == "spare", 2, "pages go to the CPU")
        for _ in range(3):
            assert pool_of(server.parse(page())) == "spare"
    began = time.monotonic()
    eventually(lambda: pool_of(server.parse(page())) == "main", 5, "the GPU is used again")
    print(f"back on the GPU {time.monotonic() - began:.2f} s after the tenant left")


def test_an_engine_above_its_share_is_ended_after_its_page(
    gpu: Gpu, server: Server, at_rest: int
) -> None:
    """The last: the estimator has learned of a page that no share is enough for."""
    above = int(SHARE * CRITICAL * gpu.total_bytes) + GIB
    answer = server.parse(page(device_bytes=above))
    assert answer.status_code == 200, answer.text
    pid = engine_of(answer)
    eventually(lambda: not psutil.pid_exists(pid), IDLE_TIMEOUT_S / 2, "it was ended")
    eventually(lambda: gpu.is_back_at(at_rest), 5, "its memory is back")
