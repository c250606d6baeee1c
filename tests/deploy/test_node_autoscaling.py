"""The GPU pool of `configs/prod.yaml` on Ray's own node autoscaler: a GPU node comes and goes.

The nodes are fake ones on this machine, the GPU's readings come from a stub NVML library, and the
engines wait instead of computing; Ray, Serve, its autoscalers and our policy are the real ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.fake_nodes import FakeCluster, fake_cluster
from tests.e2e.server import Server, app_args, checkout_importable, running
from tests.e2e.waiting import eventually
from tests.faults.scene import MIB, code_of, fault_config, pages
from tests.integration.nvml_stub.builder import (
    StubGpu,
    build_stub,
    compiler,
    stub_environment,
    write_state,
)
from tests.spec.production import shipped_production

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(compiler() is None, reason="no C compiler for the stub NVML library"),
]

IDLE_TIMEOUT_S = 5.0
# The fake engine loads in well below a second; the rest is Serve, the node and the worker's start.
FIRST_PAGE_WITHIN_S = 15.0
WORKER = "ray::ServeReplica:ocr:pool-gpu"
GPU_NODE = {"CPU": 2, "GPU": 1, "object_store_memory": 10**8}


def config() -> dict[str, Any]:
    """The shipped GPU pool, alone and with delays that a test can wait for."""
    config = fault_config()
    args = app_args(config)
    args["models"]["ocr"]["idle_timeout_s"] = IDLE_TIMEOUT_S
    pool = app_args(shipped_production())["pools"]["gpu"]
    pool["autoscaling"] |= {"downscale_delay_s": 2, "upscale_delay_s": 1}
    pool |= {"num_cpus": 1, "memory_bytes": 512 * MIB}
    args["pools"] = {"gpu": pool}
    # The fake provider cannot make nodes with memory: what Ray books is without it.
    booked = {"num_cpus": pool["num_cpus"], "num_gpus": pool["num_gpus"]}
    config["applications"][0]["deployments"] = [{"name": "pool-gpu", "ray_actor_options": booked}]
    return config


class Timeline:
    """When what happened, for the test's output."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def when(self, what: str, happened: Callable[[], object], timeout_s: float) -> float:
        """Wait for it; seconds since the beginning."""
        eventually(happened, timeout_s, what)
        seconds = time.monotonic() - self._began
        print(f"{seconds:6.1f} s  {what}", flush=True)
        return seconds


@pytest.fixture
def cluster(tmp_path: Path) -> Any:
    stub = tmp_path / "nvml"
    stub.mkdir()
    build_stub(stub)
    write_state(stub, [StubGpu("GPU-a", 8 * 2**30)])
    environment = {**stub_environment(stub), **checkout_importable()}
    with fake_cluster(tmp_path, GPU_NODE, environment) as cluster:
        yield cluster


def workers(cluster: FakeCluster) -> int:
    return sum(command.startswith(WORKER) for command in cluster.commands())


def gpu_pool(server: Server) -> dict[str, Any]:
    told: dict[str, Any] = server.http.get("/readyz").json()["pools"]["gpu"]
    return told


def test_pages_bring_a_gpu_node_and_it_goes_when_nobody_asks(cluster: FakeCluster) -> None:
    """No GPU node → pages wait → a worker is wanted → a node comes → answers → all go again."""
    with running(config(), cluster.environment) as server, ThreadPoolExecutor() as client:
        assert server.http.get("/readyz").status_code == 200
        assert (cluster.nodes, workers(cluster)) == (1, 0)
        timeline = Timeline()
        answer = client.submit(server.parse, pages(4, sleep_s=0.2))
        wanted = timeline.when(
            "a worker is wanted", lambda: gpu_pool(server)["status"] == "UPSCALING", 30
        )
        node = timeline.when("a GPU node has come", lambda: cluster.nodes == 2, 60)
        timeline.when("a worker runs", lambda: workers(cluster) >= 1, 60)
        answered = timeline.when("the pages are answered", answer.done, 60)
        assert answer.result().status_code == 200
        assert answer.result().headers["x-ocr-pool"] == "gpu"
        assert wanted <= node <= answered
        assert answered < FIRST_PAGE_WITHIN_S + node
        timeline.when("the worker has gone", lambda: workers(cluster) == 0, IDLE_TIMEOUT_S + 30)
        timeline.when("the node has gone", lambda: cluster.nodes == 1, 90)
        assert server.http.get("/readyz").status_code == 200


def test_pages_for_a_node_that_never_comes_are_told_so(cluster: FakeCluster) -> None:
    """No node of the cluster's kinds has eight GPUs: 503 after the time-out, then at once."""
    never = config()
    pool = app_args(never)["pools"]["gpu"]
    pool |= {"num_gpus": 8, "place_timeout_s": 5}
    never["applications"][0]["deployments"][0]["ray_actor_options"]["num_gpus"] = 8
    with running(never, cluster.environment) as server:
        first = server.parse(pages(1))
        assert (first.status_code, code_of(first)) == (503, "no_worker"), first.text
        began = time.monotonic()
        second = server.parse(pages(1))
        assert time.monotonic() - began < 1
        assert (second.status_code, code_of(second)) == (503, "no_worker")
        assert "8 of a GPU" in second.json()["error"]["message"]
        ready = server.http.get("/readyz")
        assert ready.status_code == 503
        assert "8 of a GPU" in ready.json()["pools"]["gpu"]["no_worker"]
