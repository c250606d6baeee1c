"""``python -m tests.bench.scale registry | serve | document``: how far one of each goes.

- ``registry``: one registry, in this process, with the heartbeats of so many
  simulated replicas a second, pickled as they would come: CPU, latency, time to decide an eviction;
- ``serve``: the same over real Serve handles, as far as the drivers on this machine go: what a call
  costs with everything that Ray does for it;
- ``document``: a document of 200 pages on 1, 4 and 16 workers of a real server whose engines wait
  for a second instead of computing.

Loopback only; everything is bounded in count and time.
"""

from __future__ import annotations

import argparse
import asyncio
import pickle
import random
import time
from collections.abc import Iterator
from statistics import quantiles
from typing import Any

import psutil

from serve_app import clock
from serve_app.control.model_registry import ModelRegistry
from serve_app.messages import (
    DomainReading,
    EngineFacts,
    ModelFacts,
    ReplicaReport,
    TaskRecord,
    Unload,
)
from serve_app.policy.registry_state import RecoveryState
from serve_app.settings import AppSettings
from serve_app.testing.service import fake_settings
from tests.e2e.server import Server, app_args
from tests.faults.scene import MIB, fault_config, pages, running_with_faults

GIB = 2**30
REPLICAS = (100, 1000, 3000)
REPLICAS_PER_NODE = 4
SECONDS = 20
WARM_UP_S = 3
# The watch hears of a domain every third second from each of its replicas (heartbeat.py).
WATCH_EVERY = 3
SERVE_RATES = (50, 100, 200, 400)
DOCUMENT_PAGES = 200
DOCUMENT_WORKERS = (1, 4, 16)
PAGE_S = 1.0


def simulated(number: int, beat: int, *, used_fraction: float = 0.5) -> ReplicaReport:
    """One of four on its node, with two models loaded and two pages ended since the last beat."""
    node = f"node-{number // REPLICAS_PER_NODE}"
    device = number % REPLICAS_PER_NODE
    engine = EngineFacts(1, 1000 + number, "READY", GIB, GIB, beat)
    models = tuple(
        ModelFacts(name, "READY", beat, 0, 0, 1.0 + number % 7, 1, (engine,))
        for name in ("ocr", "structure")
    )
    record = TaskRecord(
        f"{number}-{beat}",
        f"r{number}",
        "ocr",
        "gpu",
        "gpu",
        1,
        10**6,
        GIB,
        GIB,
        0.1,
        0,
        1,
        "success",
    )
    domains = (
        DomainReading(
            f"gpu:{node}-{device // 2}", "gpu", 8 * GIB, int(8 * GIB * used_fraction), 2 * GIB
        ),
        DomainReading(f"ram:{node}", "ram", 64 * GIB, 20 * GIB, GIB),
    )
    return ReplicaReport(
        replica=f"replica-{number}",
        pool="gpu",
        node=node,
        device="gpu",
        pid=1000 + number,
        domains=domains,
        models=models,
        budget_bytes=4 * GIB,
        committed_bytes=2 * GIB,
        running=1,
        queued=2,
        drain_rate=1.0,
        finished=(record, record),
    )


def settings() -> AppSettings:
    """Two models that never grow idle, so that only memory makes them go."""
    models = {
        "ocr": {"pipeline": "OCR", "idle_timeout_s": -1},
        "structure": {"pipeline": "PP-StructureV3", "idle_timeout_s": -1},
    }
    return fake_settings(models=models, log_level="ERROR")


class InProcess:
    """The registry, without Serve."""

    def __init__(self) -> None:
        self.registry = ModelRegistry(settings())

    async def beat(self, message: bytes, *, readings_due: bool = False) -> bytes:
        """One heartbeat as it arrives and is answered."""
        report, recovery = pickle.loads(message)
        return pickle.dumps(await self.registry.report(report, recovery, readings_due))


async def registry(count: int) -> None:
    """One row of the table: so many replicas for ``SECONDS``."""
    here = InProcess()
    prepared = [
        [
            pickle.dumps((simulated(number, beat), RecoveryState(observations={"ocr": beat})))
            for number in range(count)
        ]
        for beat in range(2)
    ]
    latencies: list[float] = []
    started = clock.now()
    cpu_before = time.process_time()
    for beat in range(WARM_UP_S + SECONDS):
        if beat == WARM_UP_S:
            latencies.clear()
            cpu_before = time.process_time()
        order = random.Random(beat).sample(range(count), count)
        for place, number in enumerate(order):
            due = started + beat + place / count
            if (early := due - clock.now()) > 0:
                await asyncio.sleep(early)
            due_too = (number + beat) % WATCH_EVERY == 0
            await here.beat(prepared[beat % 2][number], readings_due=due_too)
            latencies.append(clock.now() - due)
    cpu_s = time.process_time() - cpu_before
    p50, p99 = _p50_p99(latencies)
    eviction_s = await _eviction(here, count)
    await here.registry.close()
    print(
        f"| {count} | {cpu_s / SECONDS:.2f} | {1e6 * cpu_s / SECONDS / count:.0f} "
        f"| {1e3 * p50:.1f} | {1e3 * p99:.1f} | {1e3 * eviction_s:.0f} |",
        flush=True,
    )


async def _eviction(here: InProcess, count: int) -> float:
    """Seconds from a reading at 96 % until a replica of that GPU is told to unload.

    Those of its node report a hundred times a second meanwhile, so this is the registry's part: a
    real replica reports a crossing at once, and the one that is to unload at its next heartbeat.
    """
    first = count // 2 // REPLICAS_PER_NODE * REPLICAS_PER_NODE
    node = [simulated(first + n, 9, used_fraction=0.96) for n in range(REPLICAS_PER_NODE)]
    messages = [pickle.dumps((one, RecoveryState())) for one in node]
    began, due = clock.now(), True
    while clock.now() - began < 4:  # later, silent replicas would be forgotten
        for message in messages:
            answer = pickle.loads(await here.beat(message, readings_due=due))
            due = False
            if any(isinstance(one, Unload) for one in answer.directives):
                return clock.now() - began
        await asyncio.sleep(0.01)
    raise AssertionError("no eviction was decided")


class Sender:
    """Drives a share of the heartbeats over a real handle; runs in a process of its own."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry

    async def send(self, first: int, count: int, seconds: int) -> list[float]:
        """``count`` replicas, once a second each; the seconds until each answer."""
        latencies: list[float] = []

        async def one(number: int) -> None:
            for beat in range(seconds):
                due = started + beat + number / count
                await asyncio.sleep(max(due - time.monotonic(), 0))
                await self._registry.report.remote(simulated(first + number, beat), RecoveryState())
                latencies.append(time.monotonic() - due)

        started = time.monotonic() + 0.5
        await asyncio.gather(*(one(number) for number in range(count)))
        return latencies


def serve_rates(rates: tuple[int, ...]) -> None:
    """Rows of the second table."""
    import ray
    from ray import serve

    from serve_app.app import SINGLETON

    quiet = {"logging_config": {"enable_access_log": False}}  # as in configs/*.yaml

    ray.init("local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    try:
        bound = serve.deployment(ModelRegistry).options(name="registry", **quiet, **SINGLETON)
        sender = serve.deployment(Sender).options(
            name="sender",
            num_replicas=1,
            max_ongoing_requests=10,
            ray_actor_options={"num_cpus": 0.1},
        )
        handle = serve.run(sender.bind(bound.bind(settings())), name="scale", route_prefix=None)
        process = _replica("registry")
        handle.send.remote(0, 20, 3).result(timeout_s=60)
        for rate in rates:
            before, began = sum(process.cpu_times()[:2]), time.monotonic()
            latencies = handle.send.remote(0, rate, 10).result(timeout_s=120)
            seconds = time.monotonic() - began
            cpu = (sum(process.cpu_times()[:2]) - before) / seconds
            p50, p99 = _p50_p99(latencies)
            told = len(latencies) / seconds
            print(
                f"| {rate} | {told:.0f} | {cpu:.2f} | {1e6 * cpu / told:.0f} "
                f"| {1e3 * p50:.1f} | {1e3 * p99:.1f} |",
                flush=True,
            )
    finally:
        serve.shutdown()
        ray.shutdown()


def _replica(deployment: str) -> psutil.Process:
    title = f"ray::ServeReplica:scale:{deployment}"
    (found,) = [
        p for p in psutil.process_iter(["cmdline"]) if title in " ".join(p.info["cmdline"] or ())
    ]
    return found


def document(workers: int) -> float:
    """Seconds for the document on so many workers, whose engines are loaded."""
    config = fault_config()
    args = app_args(config)
    args["models"]["ocr"] |= {
        "max_concurrent_predictions": 1,
        "predict_timeout_s": 30,
        "memory": {"base_bytes": 32 * MIB, "bytes_per_pixel": 1},
    }
    args["pools"]["cpu"] |= {
        "num_replicas": workers,
        "num_cpus": 0.05,
        "memory_bytes": 256 * MIB,
        "max_queued_pages": 64,
        "spill_pages": 1,
        "queue_timeout_s": 300,
    }
    args["gateway"] |= {"window_pages": 4 * workers, "num_cpus": 0.05}
    with running_with_faults(config) as server:
        _load_everywhere(server, workers)
        began = time.monotonic()
        answer = server.parse(pages(DOCUMENT_PAGES, sleep_s=PAGE_S))
        seconds = time.monotonic() - began
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-ocr-pages"] == str(DOCUMENT_PAGES)
        return seconds


def _load_everywhere(server: Server, workers: int) -> None:
    """Documents until every worker has its engine: loads come one after the other."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert server.parse(pages(4 * workers, sleep_s=0.2)).status_code == 200
        if len(server.engines_of("ocr")) == workers:
            return
    raise AssertionError("not every worker has loaded its engine")


def _p50_p99(values: list[float]) -> tuple[float, float]:
    cuts = quantiles(values, n=100)
    return cuts[49], cuts[98]


def _head(what: str) -> Iterator[str]:
    if what == "registry":
        yield "| replicas | cores | CPU us a beat | p50 ms | p99 ms | eviction ms |"
        yield "| --- | --- | --- | --- | --- | --- |"
    elif what == "serve":
        yield "| beats/s wanted | beats/s | cores | CPU us a beat | p50 ms | p99 ms |"
        yield "| --- | --- | --- | --- | --- | --- |"
    else:
        yield f"| workers | seconds for {DOCUMENT_PAGES} pages of {PAGE_S:g} s | times faster |"
        yield "| --- | --- | --- |"


def main() -> None:
    """Print the rows of one table, as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["registry", "serve", "document"])
    parser.add_argument("--counts", type=int, nargs="+", help="replicas, beats/s, or workers")
    options = parser.parse_args()
    counts = {"registry": REPLICAS, "serve": SERVE_RATES, "document": DOCUMENT_WORKERS}
    chosen = options.counts or list(counts[options.what])
    for line in _head(options.what):
        print(line, flush=True)
    if options.what == "registry":
        for count in chosen:
            asyncio.run(registry(count))
    elif options.what == "serve":
        serve_rates(tuple(chosen))
    else:
        first = 0.0
        for workers in chosen:
            seconds = document(workers)
            first = first or seconds * workers
            print(f"| {workers} | {seconds:.1f} | {first / seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
