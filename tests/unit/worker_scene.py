"""A worker in process, on virtual time: real but for its engines' processes and its device."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, Literal

import numpy as np

from serve_app import clock
from serve_app.document import PageResult, PredictOptions
from serve_app.messages import ModelFacts, Priority
from serve_app.page_job import PageJob
from serve_app.policy.admission import FallbackFacts
from serve_app.settings import AppSettings
from serve_app.testing.child import FakeMachine
from serve_app.testing.devices import FakeDomain, FakeProbe
from serve_app.testing.engine import FACTORY
from serve_app.worker.model_manager import ModelManager
from serve_app.worker.ocr_service import OCRService
from tests.virtual_time import patched

MIB = 2**20
TOTAL = 100 * 2**30
ENGINE_BYTES = 100 * MIB
FALLBACK = FallbackFacts("cpu", "normal", 0, 2**40)
NOTHING = (0, 0)
TURN_RESERVATION_LEASE = 3


class Probe(FakeProbe):
    """Every living process holds ``ENGINE_BYTES``."""

    def __init__(self, machine: FakeMachine, domain: FakeDomain) -> None:
        super().__init__(domain)
        self._machine = machine

    def per_process(self, pids: Collection[int]) -> dict[int, int]:
        return {pid: ENGINE_BYTES for pid in pids if self._machine.exists(pid)}


class Worker:
    """An OCRService on a device whose readings the test sets; its models' names are in ``args``."""

    def __init__(self, args: dict[str, Any], *, gpu: bool = False) -> None:
        kind: Literal["gpu", "ram"] = "gpu" if gpu else "ram"
        self.machine = FakeMachine()
        self.domain = FakeDomain(kind=kind, total_bytes=TOTAL)
        self.probe = FakeProbe(self.domain) if gpu else Probe(self.machine, self.domain)
        self.settings = AppSettings.model_validate(args)
        self.service: OCRService

    @property
    def models(self) -> dict[str, ModelManager]:
        """By name."""
        return dict(self.service._worker.models)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Worker]:
        """From the start to the end; then no engine is left."""
        replaced = {
            "serve_app.worker.engine_process.ChildProcess": self.machine.child,
            "serve_app.devices.process_memory.read": self.machine.read,
            "serve_app.devices.process_memory.reset_peak": self.machine.reset_peak,
            # Of the process, and others' files: neither is this worker's here.
            "serve_app.worker.ocr_service.configure_logging": lambda level: None,
            "serve_app.worker.ocr_service.sweep": lambda: None,
        }
        with patched(replaced):
            self.service = OCRService("cpu", self.settings, FACTORY, self.probe)
            try:
                yield self
            finally:
                await self.service.close()
                assert self.machine.alive == []

    async def page(
        self,
        model: str = "a",
        *,
        pixels: int = 0,
        priority: Priority = "interactive",
        fallback: FallbackFacts | None = None,
        deadline_s: float = 30,
        **command: Any,
    ) -> PageResult:
        """The result of a page that has the engine do this (``testing.engine``)."""
        file = np.frombuffer(json.dumps(command).encode(), np.uint8)
        job = PageJob(model, "png", 0, PredictOptions(), pixels, "r", priority, fallback)
        return await self.service.predict_page(file, job, deadline_s)

    def begun(self, *args: Any, **given: Any) -> asyncio.Task[PageResult]:
        """A page that has been sent."""
        return asyncio.create_task(self.page(*args, **given))

    def facts(self, model: str = "a") -> ModelFacts:
        """As the registry is told."""
        return self.models[model].facts()

    def exists(self, pid: str) -> bool:
        """Whether the engine that a page named is there."""
        return self.machine.exists(int(pid))

    @property
    def held(self) -> tuple[int, int]:
        """Pages that run or wait, and what they hold, as the registry is told."""
        report = self.service._reporter.report()
        return report.running + report.queued, report.open_entries

    async def until_held(self, pages: int, entries: int) -> None:
        """So many pages run or wait, and hold so many things."""
        await self.until(lambda: self.held == (pages, entries))

    async def until_waits(self) -> None:
        """One page has come, and waits."""
        await self.until(lambda: self.service._reporter.report().queued == 1)
        assert self.service._reporter.report().running == 0

    async def until(self, happened: Callable[[], bool]) -> None:
        """The clock goes on until it has happened."""
        end = clock.now() + 60
        while not happened():
            assert clock.now() < end, "it does not happen"
            await asyncio.sleep(0.001)

    async def passes(self, seconds: float) -> None:
        """The clock goes on."""
        await asyncio.sleep(seconds)

    async def fill(self, fraction: float) -> None:
        """Others use this much of the device; returns when the worker has seen it."""
        self.domain.others_bytes = int(fraction * TOTAL)
        await self.service._worker.sampler.sample()


def worker(
    budget_mib: int = 1000,
    base_mib: int = 100,
    queue_timeout_s: float = 20,
    drift_mib: int = 1000,
    gpu: bool = False,
) -> contextlib.AbstractAsyncContextManager[Worker]:
    """One with two small models, ``a`` and ``b``."""
    model = {"pipeline": "OCR", "memory": {"base_bytes": base_mib * MIB, "bytes_per_pixel": 1}}
    device = {"device": "gpu", "num_gpus": 0.5} if gpu else {"device": "cpu"}
    pool = {**device, "memory_bytes": budget_mib * MIB, "queue_timeout_s": queue_timeout_s}
    args = {
        "models": {"a": model, "b": model},
        "pools": {"cpu": pool},
        "paddlex": {"ocr_model": "a"},
        "pressure": {"sample_interval_s": 0.05},
        "recycle": {"drift_bytes": drift_mib * MIB},
    }
    return Worker(args, gpu=gpu).running()


def service(
    pool: dict[str, Any] | None = None, app: dict[str, Any] | None = None, **model: Any
) -> contextlib.AbstractAsyncContextManager[Worker]:
    """One with the memory of a usual pool, and two models, ``a`` and ``b``, as given."""
    args = {
        "models": {"a": {"pipeline": "OCR", **model}, "b": {"pipeline": "OCR", **model}},
        "pools": {"cpu": {"device": "cpu", **(pool or {})}},
        "paddlex": {"ocr_model": "a"},
        **(app or {}),
    }
    return Worker(args).running()
