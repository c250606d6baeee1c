"""OCRService: one share of one device. Takes pages, up to a bound, and reports of itself.

A plain class; ``app.py`` turns it into a Serve deployment. The way of a page through it is in
``page_run.py``.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
from typing import Any
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

from serve_app.devices.probe import MemoryProbe
from serve_app.document import PageResult
from serve_app.errors import (
    QueueFull,
    UnknownModel,
)
from serve_app.messages import LEVELS, Priority
from serve_app.page_job import PageCost, PageJob
from serve_app.policy.admission import retry_after_s
from serve_app.settings import AppSettings
from serve_app.telemetry.logs import configure_logging
from serve_app.temp_folders import sweep
from serve_app.worker.heartbeat import Heartbeat
from serve_app.worker.page_run import PageRun
from serve_app.worker.parts import WorkerParts
from serve_app.worker.replica_reporter import ReplicaReporter

log = logging.getLogger("ocr_serve.pages")

# Of a model.
HAS_ENGINES = ("LOADING", "READY", "UNLOADING")


class OCRService:
    """See the module's docstring.

    Args:
        pool: this replica's pool, by name.
        settings: the whole application's.
        factory: import path of the engine's factory; tests give a fake one.
        rendered: whether engines are given rendered pages; by default fake ones take the file.
        probe: reads the devices; tests give a fake one.
        registry: its handle; without one the replica decides alone.
    """

    def __init__(
        self,
        pool: str,
        settings: AppSettings,
        factory: str | None = None,
        probe: MemoryProbe | None = None,
        registry: Any = None,
        rendered: bool | None = None,
    ) -> None:
        configure_logging(settings.log_level)
        sweep()
        self._pool, self._settings = settings.pools[pool], settings
        self._replica, node = _identity()
        self._pages: set[asyncio.Task[PageResult]] = set()
        self._batch: dict[asyncio.Task[PageResult], PageCost] = {}
        self._displaced: WeakSet[asyncio.Task[PageResult]] = WeakSet()
        self._heartbeat: Heartbeat | None = None
        parts = WorkerParts(pool, settings, node, factory, probe, rendered)
        self._worker = parts.assemble(
            pages=lambda: len(self._pages), on_change=self._changed, on_crossing=self._crossed
        )
        self._states = [manager.state for manager in self._worker.models.values()]
        self._reporter = ReplicaReporter(self._replica, node, self._worker)
        loop = asyncio.get_running_loop()
        self._loops = [loop.create_task(self._worker.sampler.sample_forever())]
        if registry is not None:
            self._heartbeat = Heartbeat(self._reporter, registry)
            self._reporter.on_change = self._heartbeat.urgent
            self._loops.append(loop.create_task(self._heartbeat.run()))

    async def predict_page(
        self, file: npt.NDArray[np.uint8], job: PageJob, deadline_s: float
    ) -> PageResult:
        """Predict one page, on an engine that is loaded if need be.

        Args:
            file: the bytes of the whole file, as uint8 (Ray hands arrays over without a copy).
            job: which page, and how.
            deadline_s: seconds from now for queue, load and run.

        Raises:
            OcrServeError: typed; see ``PageRun.run``.
        """
        if job.model not in self._worker.models:
            declared = ", ".join(self._worker.models)
            raise UnknownModel(f"no model {job.model!r}; declared: {declared}")
        if len(self._pages) >= self._pool.max_queued_pages:
            self._make_room(job.priority)
        run = PageRun(self._worker, file, job, deadline_s)
        cost, page = run.cost, asyncio.create_task(run.run())
        self._pages.add(page)
        page.add_done_callback(self._pages.discard)
        if job.priority == "batch":
            self._batch[page] = cost
            page.add_done_callback(self._batch.pop)
        try:
            return await asyncio.shield(page)
        except asyncio.CancelledError:
            if page in self._displaced:
                raise self._queue_full() from None
            # The caller left. A page that waits is dropped. To take back one that runs, its engine
            # has to be ended: that is for the configuration to say.
            if not cost.started:
                page.cancel()
            elif self._settings.cancel.running == "kill":
                loop = asyncio.get_running_loop()
                loop.call_later(self._settings.cancel.grace_s, page.cancel)
            page.add_done_callback(_forget_outcome)
            raise
        finally:
            # A task holds its exception, whose traceback holds this frame: a circle, in which the
            # file would stay pinned until the garbage collector comes by.
            del page, run

    def _make_room(self, priority: Priority) -> None:
        """The queue is full: an interactive page takes the place of the last batch page that waits.

        Raises:
            QueueFull: there is none, or the page is batch work itself.
        """
        waiting = [page for page, cost in self._batch.items() if not cost.started]
        left = [page for page in waiting if page not in self._displaced]
        if priority == "batch" or not left:
            raise self._queue_full()
        self._displaced.add(left[-1])
        left[-1].cancel()

    def _queue_full(self) -> QueueFull:
        here = len(self._pages)
        return QueueFull(
            f"{here} pages in this worker (pools.*.max_queued_pages)",
            float(retry_after_s(here, self._worker.admission.drain_rate)),
        )

    async def models(self) -> dict[str, Any]:
        """State of every model in this replica."""
        models = {name: dataclasses.asdict(m.facts()) for name, m in self._worker.models.items()}
        return {"pool": self._worker.pool, "replica_pid": os.getpid(), "models": models}

    async def record_routing_stats(self) -> dict[str, Any]:
        """What the request router (``router.py``) knows of this replica; asked for by Serve."""
        models = self._worker.models
        states = {name: manager.state for name, manager in models.items()}
        backing_off = [name for name, manager in models.items() if manager.backs_off]
        return {
            "loaded": [name for name, state in states.items() if state == "READY"],
            "loading": [name for name, state in states.items() if state == "LOADING"],
            "failed": backing_off,
            "pages_by_model": {name: manager.users for name, manager in models.items()},
            "level": self._worker.sampler.level,
        }

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """What the policy of ``autoscaling.py`` knows of this replica; asked for by Serve."""
        return {
            "pages": len(self._pages),
            "page_seconds": self._worker.admission.page_seconds or 0.0,
            "engines": sum(len(manager.engines) for manager in self._worker.models.values()),
            "level": LEVELS.index(self._worker.sampler.level),
        }

    async def close(self) -> None:
        """End all engines; called when the replica stops."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self._reporter.close()
        await asyncio.gather(*(manager.close() for manager in self._worker.models.values()))
        if self._worker.renderer is not None:
            await self._worker.renderer.close()
        await self._worker.relief.close()
        self._worker.sampler.close()
        if self._heartbeat is not None:
            await self._heartbeat.deregister(self._replica)

    def _changed(self) -> None:
        """A model is in another state or use: pages may go on, and the registry is told."""
        states = [manager.state for manager in self._worker.models.values()]
        before, self._states = self._states, states
        renderer = self._worker.renderer
        if renderer is not None and not any(state in HAS_ENGINES for state in states):
            renderer.rest()  # an unloaded worker keeps nothing for its next page
        if self._heartbeat is None:
            return
        if states == before:
            self._heartbeat.used()
        else:
            self._heartbeat.changed()

    def _crossed(self) -> None:
        """Another level; the guard, which found it, wakes its pages itself."""
        if self._heartbeat is not None:
            self._heartbeat.crossed()


def _identity() -> tuple[str, str]:
    """This replica's id at Serve and its node's at Ray; made-up ones outside of them."""
    import ray
    from ray import serve

    if not ray.is_initialized():
        return f"local-{os.getpid()}", "local"
    node = ray.get_runtime_context().get_node_id()
    return serve.get_replica_context().replica_id.unique_id, node


def _forget_outcome(page: asyncio.Task[PageResult]) -> None:
    """Nobody is left to hear of it; asyncio would complain about a failure that none looked at."""
    if not page.cancelled():
        page.exception()
