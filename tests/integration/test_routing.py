"""Model-aware routing on a local Ray: a pool of two workers with fake engines, and two routers.

The routers are this process's handle and that of a gateway-like deployment. They share nothing
but the workers' reports.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import ray
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.config import RequestRouterConfig
from ray.serve.exceptions import RequestCancelledError
from ray.serve.handle import DeploymentHandle, DeploymentResponse

from serve_app.document import PredictOptions
from serve_app.page_job import PageJob
from serve_app.settings import AppSettings
from serve_app.testing.devices import FakeDomain, FakeProbe
from serve_app.testing.engine import FACTORY
from serve_app.worker.ocr_service import OCRService
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.integration

MODELS = ("alpha", "beta")
SPILL_PAGES = 2
IDLE_TIMEOUT_S = 2.0
TIMEOUT_S = 30.0

Engines = list[tuple[str, int]]  # model, the worker's pid


class Worker(OCRService):
    """Reads a device whose memory the test fills."""

    def __init__(self, settings: AppSettings) -> None:
        self._device = FakeDomain(total_bytes=100 * 2**30)
        super().__init__("cpu", settings, factory=FACTORY, probe=FakeProbe(self._device))

    async def fill(self, percent: int) -> None:
        self._device.others_bytes = percent * 2**30


class Gate:
    """Sends pages from within one request, as the gateway does."""

    def __init__(self, pool: DeploymentHandle) -> None:
        self._pool = pool

    async def pages(self, model: str, count: int) -> list[str]:
        async def one() -> str:
            return (await send(self._pool, model)).text[0]  # type: ignore[no-any-return]

        return await asyncio.gather(*(one() for _ in range(count)))


class Routed:
    """The deployed pool: pages for it, and where its engines are."""

    def __init__(self, gate: DeploymentHandle) -> None:
        self._gate = gate
        self._pool = serve.get_deployment_handle("pool", "routing")

    def page(self, model: str, **command: Any) -> None:
        """One page, by this process's router. Like the gateway, once more if a worker died."""
        try:
            send(self._pool, model, **command).result(timeout_s=TIMEOUT_S)
        except RayActorError:
            send(self._pool, model, **command).result(timeout_s=TIMEOUT_S)

    def open_pages(self) -> int:
        """What this process's router takes to be on its way or at a worker."""
        return len(self._router._in_flight)

    def send(self, model: str, **command: Any) -> DeploymentResponse:
        """A page that nobody waits for yet."""
        return send(self._pool, model, **command)

    def pages_by_gate(self, model: str, count: int) -> list[str]:
        """Pages of one request, by the gate's router; the pids of their engines."""
        response = self._gate.pages.remote(model, count)
        return response.result(timeout_s=TIMEOUT_S)  # type: ignore[no-any-return]

    def light_traffic(self, pages: int = 20) -> None:
        """Page by page, the models and the routers in turn."""
        for number in range(pages):
            model = MODELS[number % 2]
            if number % 4 < 2:
                self.page(model)
            else:
                self.pages_by_gate(model, 1)

    def settle(self) -> Engines:
        """Light traffic until surplus copies are gone: one engine of each model."""

        def settled() -> Engines | None:
            self.light_traffic(4)
            engines = self.engines()
            return engines if len(engines) == len(MODELS) else None

        return eventually(settled, TIMEOUT_S, "two engines under light traffic") or []

    @contextlib.contextmanager
    def load(self, *models: str, pages: int = 3 * SPILL_PAGES) -> Iterator[None]:
        """So many slow pages of each of the models at any moment."""
        stop = threading.Event()

        def keep_one_open(model: str) -> None:
            while not stop.is_set():
                self.page(model, sleep_s=0.1)

        with ThreadPoolExecutor(len(models) * pages) as pool:
            running = [pool.submit(keep_one_open, model) for model in models * pages]
            try:
                yield
            finally:
                stop.set()
        for page in running:
            page.result()

    def engines(self) -> Engines:
        """Every engine there is."""
        replies = self._pool.broadcast("models").results(timeout_s=TIMEOUT_S)
        return sorted(
            (model, reply["replica_pid"])
            for reply in replies
            for model, facts in reply["models"].items()
            for _ in facts["engines"]
        )

    def fill(self, percent: int, level: str) -> None:
        """Fill the memory of both workers, and wait until this process's router has heard."""
        self._pool.broadcast("fill", percent).results(timeout_s=TIMEOUT_S)

        def heard() -> bool:
            workers = self._router.curr_replicas.values()
            return all(worker.routing_stats.get("level") == level for worker in workers)

        eventually(heard, TIMEOUT_S, f"both workers are at level {level}")

    @property
    def _router(self) -> Any:
        return self._pool._router._asyncio_router.request_router


def send(pool: DeploymentHandle, model: str, **command: Any) -> DeploymentResponse:
    file = ray.put(np.frombuffer(json.dumps(command).encode(), np.uint8))
    handle = pool.options(method_name="predict_page", _by_reference=True)
    return handle.remote(file, PageJob(model, "png", 0, PredictOptions()), TIMEOUT_S)


def application() -> serve.Application:
    settings = AppSettings.model_validate(
        {
            "models": {
                model: {"pipeline": "OCR", "idle_timeout_s": IDLE_TIMEOUT_S} for model in MODELS
            },
            "pools": {"cpu": {"device": "cpu"}},
            "pressure": {"sample_interval_s": 0.1},
            "log_level": "ERROR",
        }
    )
    common: dict[str, Any] = {
        "ray_actor_options": {"num_cpus": 0},
        "max_ongoing_requests": 100,
        "graceful_shutdown_wait_loop_s": 0.1,
    }
    pool = serve.deployment(Worker).options(
        name="pool",
        num_replicas=2,
        request_router_config=RequestRouterConfig(
            request_router_class="serve_app.gateway.router:ModelAffinityRouter",
            request_router_kwargs={"models": dict.fromkeys(MODELS, 1), "spill_pages": SPILL_PAGES},
            request_routing_stats_period_s=0.2,
        ),
        **common,
    )
    return serve.deployment(Gate).options(name="gate", **common).bind(pool.bind(settings))


@pytest.fixture(scope="module")
def routed() -> Iterator[Routed]:
    # One CPU: Ray starts a process per CPU in advance, and none of the actors asks for one.
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        serve.start(proxy_location="Disabled")
        yield Routed(serve.run(application(), name="routing", route_prefix=None))
    finally:
        serve.shutdown()
        ray.shutdown()


def test_light_traffic_for_two_models_ends_with_two_engines_in_two_workers(routed: Routed) -> None:
    routed.light_traffic()
    (alpha, first), (beta, second) = routed.engines()
    assert (alpha, beta) == MODELS
    assert first != second


def test_the_pages_of_one_request_are_all_sent(routed: Routed) -> None:
    assert len(routed.pages_by_gate("alpha", 6)) == 6


def test_no_copy_is_made_while_memory_is_short_and_one_when_it_is_not(routed: Routed) -> None:
    def copies() -> int:
        return [model for model, _ in routed.engines()].count("alpha")

    routed.settle()
    routed.fill(85, "warning")
    with routed.load("alpha"):
        for _ in range(3):
            routed.page("alpha")
            assert copies() == 1
        routed.fill(0, "normal")
        eventually(lambda: copies() == 2, TIMEOUT_S, "a second copy")


def test_under_load_the_pool_grows_and_shrinks_back_when_it_is_over(routed: Routed) -> None:
    counts: set[int] = set()

    def has_grown() -> bool:
        counts.add(len(routed.engines()))
        return max(counts) > 3

    routed.settle()
    with routed.load(*MODELS):
        eventually(has_grown, TIMEOUT_S, "four engines")
    assert max(counts) == 4
    (_, first), (_, second) = routed.settle()
    assert first != second


def test_a_page_counts_for_its_worker_until_it_ends_in_any_way(routed: Routed) -> None:
    routed.page("alpha")
    eventually(lambda: routed.open_pages() == 0, TIMEOUT_S, "no page on its way")
    done, cancelled = routed.send("alpha", sleep_s=1), routed.send("alpha", sleep_s=1)
    eventually(lambda: routed.open_pages() == 2, TIMEOUT_S, "two pages on their way")
    cancelled.cancel()
    failed = {
        "failed on this page": routed.send("alpha", fail="boom"),
        "engine ended": routed.send("alpha", crash=signal.SIGKILL),
        "no model": routed.send("nobody"),
    }
    assert done.result(timeout_s=TIMEOUT_S).text
    with pytest.raises(RequestCancelledError):
        cancelled.result(timeout_s=TIMEOUT_S)
    for message, page in failed.items():
        with pytest.raises(Exception, match=message):
            page.result(timeout_s=TIMEOUT_S)
    eventually(lambda: routed.open_pages() == 0, TIMEOUT_S, "no page on its way")


def test_pages_go_on_when_a_worker_dies(routed: Routed) -> None:
    (alpha, dies), _ = routed.settle()
    with routed.load(alpha, pages=1):
        os.kill(dies, signal.SIGKILL)
        for number in range(10):
            routed.page(MODELS[number % 2])
    engines = routed.engines()
    assert {model for model, _ in engines} == set(MODELS)
    assert dies not in {worker for _, worker in engines}
    eventually(lambda: routed.open_pages() == 0, TIMEOUT_S, "no page counts for the dead worker")
