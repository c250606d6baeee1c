"""`configs/prod.yaml` where Ray believes in GPUs that nobody can read: the CPU pool answers.

Ray is told of two GPUs, there is no driver, and the engines are fake ones; the rest is as shipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.server import Server, app_args, checkout_importable, running
from tests.e2e.waiting import eventually
from tests.faults.scene import MIB, fault_config, page
from tests.spec.production import shipped_production

pytestmark = [pytest.mark.integration, pytest.mark.slow]

START_WAIT_S = 2.0


def config() -> dict[str, Any]:
    """The shipped pools and the shipped order; only small, with fake engines, on loopback."""
    config = shipped_production()
    config["http_options"]["host"] = "127.0.0.1"
    config["applications"][0]["import_path"] = "tests.faults.app:build"
    args = app_args(config)
    args["auth"] = {"required": False}
    args["models"] = app_args(fault_config())["models"]
    args["paddlex"] = {}
    for pool in args["pools"].values():
        pool |= {"num_cpus": 0.1, "memory_bytes": 512 * MIB}
    args["pools"]["gpu"]["autoscaling"]["start_wait_s"] = START_WAIT_S
    args["gateway"] |= {"num_cpus": 0.1, "num_replicas": 1}
    return config


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    environment = {**checkout_importable(), "RAY_OVERRIDE_RESOURCES": '{"GPU": 2}'}
    with running(config(), environment) as server:
        yield server


def test_the_cpu_pool_answers_and_readyz_and_the_log_say_why(server: Server) -> None:
    """GIVEN no real GPU: 200 by the fallback; the GPU pool is not ready, and its reason is told."""
    answer = server.parse(page())
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-ocr-pool"] == "cpu"
    assert answer.headers["x-ocr-fallback"] == "true"

    (error, *_) = eventually(
        lambda: server.events("the worker cannot start"), 30, "the log says why there is no worker"
    )
    assert error["pool"] == "gpu"
    assert "NVML" in error["error"]

    def gpu_pool() -> dict[str, Any] | None:
        ready = server.http.get("/readyz")
        assert ready.status_code == 200  # the other pool takes work
        told: dict[str, Any] = ready.json()["pools"]["gpu"]
        return None if told["ready"] else told

    told = eventually(gpu_pool, 90, "/readyz says that the GPU pool is not ready")
    assert told["running_replicas"] == 0
    assert told["problem"]
    assert server.parse(page()).status_code == 200
