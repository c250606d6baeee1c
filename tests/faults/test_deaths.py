"""The death of a part of the system, under load: others go on, and it comes back."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.e2e.server import Server
from tests.e2e.waiting import eventually
from tests.faults.scene import BACK_WITHIN_S, QUEUE_PAGES, Before, engine_pids, page
from tests.faults.traffic import RETRYABLE, Traffic, traffic

pytestmark = [pytest.mark.faults, pytest.mark.slow]

CLIENTS = 4
REQUEST_TIMEOUT_S = 60.0


def short_page(chance: random.Random) -> bytes:
    return page(sleep_s=0.05 + 0.2 * chance.random())


@pytest.fixture
def load(before: Before) -> Iterator[Traffic]:
    """Requests on their way, before and after what the test does."""
    with traffic(before.server, short_page, clients=CLIENTS, timeout_s=REQUEST_TIMEOUT_S) as seen:
        eventually(lambda: len(seen.served()) >= 2 * CLIENTS, 30, "requests are answered")
        yield seen


def kill(server: Server, deployment: str) -> int:
    """End the process of a deployment's only replica; its pid."""
    pid = server.replica_process(deployment).pid
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(pid), 10, "it is gone")
    return pid


def more_are_served(seen: Traffic, count: int = 3 * CLIENTS) -> None:
    """From now on."""
    now = time.monotonic()
    eventually(
        lambda: sum(one.began > now for one in seen.served()) >= count,
        BACK_WITHIN_S + 20,
        "further requests are answered",
    )


def test_without_the_registry_requests_go_on_and_its_state_is_back(
    before: Before, load: Traffic
) -> None:
    server, deployment = before.server, "model-registry"
    engines = set(engine_pids(server))
    killed = kill(server, deployment)
    more_are_served(load)
    assert load.outcomes().keys() == {"200"}
    assert {status for _, status in load.readiness} == {200}
    eventually(lambda: _has_another(server, deployment, killed), 30, "there is another one")
    # After the first heartbeats it knows the engines that were there all the time.
    eventually(lambda: engines <= server.engines_of("ocr"), 10, "it knows the engines")
    eventually(lambda: _knows_the_memory(server), 10, "it knows the memory")


def test_a_worker_that_dies_takes_its_engines_with_it_and_requests_are_retryable(
    before: Before, load: Traffic
) -> None:
    server = before.server
    engines = set(engine_pids(server))
    died = time.monotonic()
    kill(server, "pool-cpu")
    eventually(lambda: not engines & set(engine_pids(server)), 10, "its engines are gone")
    more_are_served(load)
    assert [one for one in load.requests if one.began < died < one.ended], "none was under way"
    failed = [one for one in load.requests if one.status != 200]
    assert all(one.status in RETRYABLE and one.code for one in failed), load.outcomes()
    assert max(one.seconds for one in load.requests) < REQUEST_TIMEOUT_S
    assert load.readiness[-1][1] == 200


def test_what_finds_the_queue_of_a_dead_worker_full_is_told_so(before: Before) -> None:
    """Serve's proxy would say it in plain text: the queue is Serve's while no worker is there."""
    server, clients = before.server, 3 * QUEUE_PAGES
    with traffic(
        server, short_page, clients=clients, timeout_s=REQUEST_TIMEOUT_S, pause_s=0.2
    ) as seen:
        eventually(lambda: len(seen.served()) >= 2 * CLIENTS, 30, "requests are answered")
        died = time.monotonic()
        kill(server, "pool-cpu")
        more_are_served(seen)
    failed = [one for one in seen.requests if one.began > died and one.status != 200]
    assert "queue_full" in {one.code for one in failed}
    assert [one for one in failed if one.code is None or one.status not in RETRYABLE] == []


def test_a_gateway_that_dies_comes_back(before: Before, load: Traffic) -> None:
    """Its answers under way are lost with it; nothing that it held stays behind."""
    server = before.server
    kill(server, "gateway")
    more_are_served(load)
    broken = [one for one in load.requests if one.status != 200]
    print(f"gateway killed: {load.outcomes()}")
    # Serve's proxy answers in its place: without our envelope, but with a status.
    assert {one.status for one in broken} <= {500, *RETRYABLE}
    assert load.readiness[-1][1] == 200


@pytest.fixture(autouse=True)
def _nothing_is_left(before: Before) -> Iterator[None]:
    yield
    before.assert_nothing_is_left()


def _has_another(server: Server, deployment: str, killed: int) -> bool:
    try:
        return server.replica_process(deployment).pid != killed
    except ValueError:  # none, or two for a moment
        return False


def _knows_the_memory(server: Server) -> bool:
    answer = server.http.get("/v1/memory")
    return answer.status_code == 200 and bool(answer.json()["domains"])
