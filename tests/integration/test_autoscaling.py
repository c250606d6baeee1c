"""Autoscaling of pools on a real server with fake engines: from no worker to two, and back.

The first pool wants a GPU that only Ray has been told of, so its worker never comes up.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.server import Server, app_args
from tests.e2e.waiting import eventually
from tests.faults.scene import fault_config, page, pages, running_with_faults
from tests.processes import command_of

pytestmark = [pytest.mark.integration, pytest.mark.slow]

START_WAIT_S = 2.0
IDLE_TIMEOUT_S = 2.0
WORKER = "ray::ServeReplica:ocr:pool-elastic"


def config() -> dict[str, Any]:
    """Both pools begin with no worker."""
    config = fault_config()
    args = app_args(config)
    args["models"]["ocr"]["idle_timeout_s"] = IDLE_TIMEOUT_S
    args["models"]["ocr"]["max_concurrent_predictions"] = 1
    scaling = {"max_replicas": 2, "target_wait_s": 2, "page_seconds": 0.5, "upscale_delay_s": 0.5}
    scaling |= {"downscale_delay_s": 1, "start_wait_s": START_WAIT_S}
    pool = {"device": "cpu", "memory_bytes": 2**30, "max_queued_pages": 64, "autoscaling": scaling}
    args["pools"] = {
        "never": {**pool, "device": "gpu", "num_gpus": 0.5, "num_cpus": 0},
        "elastic": {**pool, "num_cpus": 0.1},
    }
    args["gateway"]["window_pages"] = 16
    return config


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_with_faults(config(), {"RAY_OVERRIDE_RESOURCES": '{"GPU": 1}'}) as server:
        yield server


def workers(server: Server) -> int:
    """As the kernel tells them."""
    return sum(WORKER in " ".join(command_of(process)) for process in server.processes())


def test_a_pool_grows_from_nothing_with_its_pages_and_goes_with_its_models(server: Server) -> None:
    """GIVEN no worker: a page brings one, a queue two; after the idle time-out there is none."""
    ready = server.http.get("/readyz")
    assert ready.status_code == 200
    told = ready.json()["pools"]["elastic"]
    assert (told["running_replicas"], told["starts_empty"]) == (0, True)
    assert workers(server) == 0

    began = time.monotonic()
    first = server.parse(page(), format="json")
    assert first.status_code == 200, first.text
    assert first.headers["x-ocr-pool"] == "elastic"
    assert workers(server) == 1
    # With what the first pool was waited for; not a measurement of speed.
    assert time.monotonic() - began < START_WAIT_S + 30

    with ThreadPoolExecutor() as clients:
        answers = [clients.submit(server.parse, pages(16, sleep_s=0.5)) for _ in range(2)]
        eventually(lambda: workers(server) == 2, 30, "a second worker for 16 s of work")
        assert [answer.result().status_code for answer in answers] == [200, 200]

    eventually(lambda: workers(server) == 0, IDLE_TIMEOUT_S + 30, "no worker is left")
    assert server.http.get("/readyz").status_code == 200
    assert {model["state"] for model in server.models().values()} == {"UNLOADED"}
    assert server.parse(page()).status_code == 200


def test_pages_do_not_wait_again_for_a_pool_whose_worker_does_not_come(server: Server) -> None:
    """The first page waits ``start_wait_s``, those after it go to the next pool at once."""
    server.parse(page())
    began = time.monotonic()
    answer = server.parse(page())
    assert time.monotonic() - began < START_WAIT_S
    assert answer.status_code == 200
    assert answer.headers["x-ocr-fallback"] == "true"
    told = server.http.get("/readyz").json()["pools"]["never"]
    assert told["running_replicas"] == 0
