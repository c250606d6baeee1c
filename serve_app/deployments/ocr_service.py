"""OCRService: one share of one device. Takes pages, keeps engines, retries an engine's fault once.

A plain class; ``app.py`` turns it into a Serve deployment. The way of a page through it:

  the level of the device lets it (batch work waits at warning)
  → turn (at most ``max_concurrent_predictions`` per model, in a fair order)
  → admission (its estimate against the byte budget and the device; a level that has risen since
    sends it back, and the next one has its turn)
  → lease (a free engine, or a load)
  → prediction → record; everything is given back in reverse order, whatever happened.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
import os
from typing import Any
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

from serve_app import clock
from serve_app.deployments.heartbeat import Heartbeat
from serve_app.deployments.memory_guard import MemoryGuard, PageNeeds, StepAside
from serve_app.deployments.model_manager import EngineLease, ModelManager
from serve_app.deployments.page_job import PageCost, PageJob
from serve_app.deployments.page_log import PageLog
from serve_app.deployments.replica_reporter import ReplicaReporter
from serve_app.deployments.turnstile import Turnstile
from serve_app.devices.errors import DeviceError
from serve_app.devices.probe import MemoryProbe, probe_for
from serve_app.document import PageResult
from serve_app.documents.renderer import PageRenderer, PageSource
from serve_app.engines.environment import engine_device, engine_environment
from serve_app.engines.process import EngineProcess, Prediction
from serve_app.errors import (
    DeadlineExceeded,
    EngineCrashed,
    EngineHung,
    EngineOutOfMemory,
    EngineProtocolError,
    QueueFull,
    UnknownModel,
)
from serve_app.facts import LEVELS, Outcome, PageLoad, Priority
from serve_app.outcome import SUCCESS, outcome_of
from serve_app.policy.admission import retry_after_s
from serve_app.policy.model_estimators import ModelEstimators
from serve_app.settings import AppSettings, ModelSettings, PoolSettings
from serve_app.task_ledger import TaskLedger
from serve_app.telemetry import metrics, tracing
from serve_app.telemetry.logs import configure_logging
from serve_app.temp_folders import sweep

log = logging.getLogger("ocr_serve.pages")

PAGE_ATTEMPTS = 2
# The engine is gone or is about to be; another one may well predict the page.
ENGINE_FAULTS = (EngineCrashed, EngineHung, EngineProtocolError, EngineOutOfMemory)
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
        registry, watch: handles of the singletons; without them the replica decides alone.
    """

    def __init__(
        self,
        pool: str,
        settings: AppSettings,
        factory: str | None = None,
        probe: MemoryProbe | None = None,
        registry: Any = None,
        watch: Any = None,
        rendered: bool | None = None,
    ) -> None:
        configure_logging(settings.log_level)
        sweep()
        self._pool_name, self._pool, self._settings = pool, settings.pools[pool], settings
        self._factory = factory
        rendered = factory is None if rendered is None else rendered
        self._renderer = PageRenderer(settings.limits, settings.documents) if rendered else None
        self._heartbeat: Heartbeat | None = None
        self._replica, node = _identity()
        try:
            probe = probe or probe_for(self._pool.device, node)
            self._budget_bytes = _budget_bytes(self._pool, settings.pressure.critical, probe)
        except DeviceError as error:
            # Serve tries again elsewhere; without a budget nothing could be let in here.
            log.error("the worker cannot start", extra={"pool": pool, "error": str(error)})  # noqa: TRY400
            raise
        self._guard = MemoryGuard(
            probe,
            settings.pressure,
            budget_bytes=self._budget_bytes,
            budget_key=f"pools.{pool}.{_budget_key(self._pool)}",
            queue_timeout_s=self._pool.queue_timeout_s,
            on_crossing=self._crossed,  # the gateway turns pages away until it has heard
        )
        load_gate = asyncio.Semaphore(self._pool.max_concurrent_loads)
        self._models = {name: self._new_manager(name, load_gate) for name in settings.models}
        self._guard.watch(self._models)
        self._turnstiles = {
            name: Turnstile(model.max_concurrent_predictions)
            for name, model in settings.models.items()
        }
        self._estimators = ModelEstimators(
            {name: model.memory for name, model in settings.models.items()}
        )
        self._page_log = PageLog()
        self._ledger = TaskLedger(metrics.ledger_gauge(f"pool-{pool}"))
        self._pages: set[asyncio.Task[PageResult]] = set()
        self._batch: dict[asyncio.Task[PageResult], PageCost] = {}
        self._displaced: WeakSet[asyncio.Task[PageResult]] = WeakSet()
        self._recycling = False
        self._states = [manager.state for manager in self._models.values()]
        self._reporter = ReplicaReporter(
            self._replica,
            node,
            pool,
            self._pool.device,
            guard=self._guard,
            managers=self._models,
            turnstiles=self._turnstiles,
            page_log=self._page_log,
            ledger=self._ledger,
            estimators=self._estimators,
            running=lambda: len(self._pages),
        )
        loop = asyncio.get_running_loop()
        self._loops = [loop.create_task(self._guard.sample_forever())]
        if registry is not None and watch is not None:
            self._heartbeat = Heartbeat(self._reporter, registry, watch)
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
            OcrServeError: typed; see ``MemoryGuard.admitted``, ``ModelManager.lease`` and
                ``EngineProcess.predict``.
        """
        if job.model not in self._models:
            raise UnknownModel(f"no model {job.model!r}; declared: {', '.join(self._models)}")
        if len(self._pages) >= self._pool.max_queued_pages:
            self._make_room(job.priority)
        cost = PageCost(clock.now())
        page = asyncio.create_task(self._recorded(file, job, cost, cost.came + deadline_s))
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
            del page

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
            float(retry_after_s(here, self._guard.drain_rate)),
        )

    async def models(self) -> dict[str, Any]:
        """State of every model in this replica."""
        models = {name: dataclasses.asdict(m.facts()) for name, m in self._models.items()}
        return {"pool": self._pool_name, "replica_pid": os.getpid(), "models": models}

    async def record_routing_stats(self) -> dict[str, Any]:
        """What the request router (``router.py``) knows of this replica; asked for by Serve."""
        states = {name: manager.state for name, manager in self._models.items()}
        backing_off = [name for name, manager in self._models.items() if manager.backs_off]
        return {
            "loaded": [name for name, state in states.items() if state == "READY"],
            "loading": [name for name, state in states.items() if state == "LOADING"],
            "failed": backing_off,
            "pages_by_model": {name: manager.users for name, manager in self._models.items()},
            "level": self._guard.level,
        }

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """What the policy of ``autoscaling.py`` knows of this replica; asked for by Serve."""
        return {
            "pages": len(self._pages),
            "page_seconds": self._guard.page_seconds or 0.0,
            "engines": sum(len(manager.engines) for manager in self._models.values()),
            "level": LEVELS.index(self._guard.level),
        }

    async def close(self) -> None:
        """End all engines; called when the replica stops."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self._reporter.close()
        await asyncio.gather(*(manager.close() for manager in self._models.values()))
        if self._renderer is not None:
            await self._renderer.close()
        await self._guard.close()
        if self._heartbeat is not None:
            await self._heartbeat.good_bye(self._replica)

    async def _recorded(
        self, file: npt.NDArray[np.uint8], job: PageJob, cost: PageCost, deadline: float
    ) -> PageResult:
        """One page, with a record of what became of it."""
        ended: tuple[Outcome, str | None] = SUCCESS
        try:
            with self._ledger.task(cost.task):
                result = await self._page(file, job, cost, deadline)
        except BaseException as error:
            ended = outcome_of(error)
            raise
        finally:
            if cost.started:  # what left the queue otherwise says nothing of its speed
                self._guard.page_ended(left=len(self._pages) - 1)
            record = cost.record(job, self._pool_name, self._pool.device, *ended)
            self._page_log.add(record)
            tracing.page_stages(record, job.waited_s + clock.now() - cost.came)
        self._page_log.add_lines(result.lines, job.model, self._pool_name)
        return dataclasses.replace(result, record=record)

    async def _page(
        self, file: npt.NDArray[np.uint8], job: PageJob, cost: PageCost, deadline: float
    ) -> PageResult:
        """In its turn; a page that must wait for the memory's level lets the others go first."""
        needs = PageNeeds(
            cost.task,
            job.model,
            job.priority,
            functools.partial(self._estimators.estimate, job.model, job.needs),
            cost.came,
            job.fallback,
            in_turn=True,
        )
        turnstile, model = self._turnstiles[job.model], self._models[job.model]
        while True:
            needs = await self._guard.wait_for_level(
                needs, queued=lambda: turnstile.waiting, deadline=deadline
            )
            try:
                with model.in_use():
                    return await self._in_turn(file, job, cost, needs, deadline)
            except StepAside as aside:
                (needs,) = aside.args

    async def _in_turn(
        self,
        file: npt.NDArray[np.uint8],
        job: PageJob,
        cost: PageCost,
        needs: PageNeeds,
        deadline: float,
    ) -> PageResult:
        turnstile = self._turnstiles[job.model]
        turn = turnstile.turn(job.owner, priority=job.priority, timeout_s=deadline - clock.now())
        async with self._ledger.holding(cost.task, "turn", turn):
            reservation = self._guard.admitted(needs, queued=turnstile.waiting)
            async with self._ledger.holding(cost.task, "reservation", reservation) as estimate:
                cost.estimate_bytes = estimate
                return await self._attempts(file, job, cost, deadline)

    async def _attempts(
        self, file: npt.NDArray[np.uint8], job: PageJob, cost: PageCost, deadline: float
    ) -> PageResult:
        manager = self._models[job.model]
        cost.queue_s = job.waited_s + clock.now() - cost.came
        with PageSource(
            *(self._renderer, file.data, job.kind, job.index),
            with_layer=job.options.text_layer != "off",
        ) as page:
            for attempt in range(1, PAGE_ATTEMPTS + 1):
                engine = manager.lease(timeout_s=deadline - clock.now())
                async with self._ledger.holding(cost.task, "lease", engine) as lease:
                    cost.started = True
                    cost.engine_pid, cost.attempt = lease.engine.pid, attempt
                    cost.cold, cost.load_s = lease.cold, lease.load_s if lease.cold else 0.0
                    self._guard.place(cost.task, job.model, lease.number)
                    held_before = lease.engine.held_bytes()
                    try:
                        prediction = await self._run(lease, page, job, deadline)
                    except ENGINE_FAULTS as error:
                        facts = {"attempt": attempt, "error": str(error), **_names(job, lease)}
                        log.warning(
                            "engine failed under a page", extra={**facts, "code": error.code}
                        )
                        if attempt == PAGE_ATTEMPTS:
                            raise
                        if isinstance(error, EngineOutOfMemory):
                            self._guard.unload_idle()
                        continue
                    cost.run_s = page.render_s + prediction.run_s
                    held, cost.peak_bytes = await self._measured(
                        lease.engine, prediction, held_before + page.render_bytes
                    )
                    if prediction.result.recognised:  # else its memory says nothing of others
                        needs = job.needs
                        self._estimators.observe(job.model, needs, cost.peak_bytes, held_before)
                    self._guard.settle(job.model, lease.number, lease.engine, held)
                    lease.engine.grew_for(job.needs.pixels)
                    await self._recycle(job.model, lease)
                return prediction.result
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _run(
        self, lease: EngineLease, page: PageSource, job: PageJob, deadline: float
    ) -> Prediction:
        frame = await page.frame(deadline - clock.now())
        wire = {"index": job.index, "options": dataclasses.asdict(job.options)}
        own_timeout_s = self._settings.models[job.model].predict_timeout_s
        left_s = deadline - clock.now()
        try:
            return await lease.engine.predict(
                wire, frame, timeout_s=max(min(own_timeout_s, left_s), 0.001)
            )
        except EngineHung:
            if left_s < own_timeout_s:
                raise DeadlineExceeded(
                    f"page {job.index + 1} was still running at the request's deadline"
                ) from None
            raise
        except (EngineOutOfMemory, EngineProtocolError):
            self._retire(job.model, lease, "unreliable")
            raise

    async def _measured(
        self, engine: EngineProcess, prediction: Prediction, while_rendered: int
    ) -> tuple[int, int]:
        """What the engine holds on its device after the page, and had held at most under it.

        In RAM with the process that rendered the page, while there was one.
        """
        if self._guard.reads_resident:
            return engine.memory_bytes(), max(prediction.peak_bytes, while_rendered)
        held = await self._guard.memory_of(engine)
        engine.device_baseline_bytes = engine.device_baseline_bytes or held
        return held, engine.device_peak_bytes(held)

    async def _recycle(self, model: str, lease: EngineLease) -> None:
        """Have an engine replaced that grew or served too much; one at a time."""
        engine, limits = lease.engine, self._settings.recycle
        if self._guard.budget.excess_bytes or self._has_drifted(engine):
            # What it keeps for its next page, and does not use, is no reason to end it.
            await engine.trim()
            held = await self._guard.memory_of(engine)
            self._guard.settle(model, lease.number, engine, held)
        if self._guard.budget.excess_bytes:
            self._retire(model, lease, "over_budget")
        elif self._recycling:
            return
        elif self._has_drifted(engine):
            self._retire(model, lease, "drift")
        elif engine.pages >= limits.max_pages:
            self._retire(model, lease, "max_pages")

    def _has_drifted(self, engine: EngineProcess) -> bool:
        drift_bytes = self._settings.recycle.drift_bytes
        on_device = (engine.device_bytes or 0) - engine.device_baseline_bytes
        return max(engine.memory_bytes() - engine.baseline_bytes, on_device) > drift_bytes

    def _retire(self, model: str, lease: EngineLease, reason: str) -> None:
        lease.retire = reason
        self._recycling = True
        tags = {"model": model, "pool": self._pool_name, "reason": reason}
        metrics.recycles.inc(tags=tags)
        lease.engine.exited.add_done_callback(self._recycled)

    def _recycled(self, _: object) -> None:
        self._recycling = False

    def _new_manager(self, name: str, load_gate: asyncio.Semaphore) -> ModelManager:
        model, settings = self._settings.models[name], self._settings
        spec = {
            "model": model.model_dump(mode="json"),
            "device": engine_device(self._pool, model),
            "sandbox": {"gpu": self._pool.device == "gpu", "hub": _from_hub(model)},
        }
        font_path, budget_bytes = settings.paddlex.font_path, self._budget_bytes
        environment = engine_environment(self._pool, model, font_path, budget_bytes)
        chosen = {"factory": self._factory} if self._factory else {}
        return ModelManager(
            name,
            model,
            lambda: EngineProcess(name, spec, env=environment, hub=_from_hub(model), **chosen),
            pool=self._pool_name,
            load_gate=load_gate,
            memory_of=self._guard.memory_of,
            on_loaded=lambda held_bytes: self._estimators.observe(name, PageLoad(0), held_bytes),
            on_gone=lambda number: self._guard.engine_gone(name, number),
            on_change=self._changed,
        )

    def _changed(self) -> None:
        """A model is in another state or use: pages may go on, and the registry is told."""
        self._guard.notify()
        states = [manager.state for manager in self._models.values()]
        before, self._states = self._states, states
        if self._renderer is not None and not any(state in HAS_ENGINES for state in states):
            self._renderer.rest()  # an unloaded worker keeps nothing for its next page
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


def _from_hub(model: ModelSettings) -> bool:
    return model.weights.source == "hub"


def _budget_key(pool: PoolSettings) -> str:
    return "memory_bytes" if pool.device == "cpu" else "num_gpus"


def _budget_bytes(pool: PoolSettings, critical: float, probe: MemoryProbe) -> int:
    """What the replica's engines may hold on its device.

    Raises:
        DeviceError: the GPU of a GPU pool cannot be read: the replica must not start.
    """
    if pool.device == "cpu":
        return pool.memory_bytes
    return int(probe.read([])[0].total_bytes * pool.num_gpus * critical)


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


def _names(job: PageJob, lease: EngineLease) -> dict[str, Any]:
    return {
        "request_id": job.request_id,
        "model": job.model,
        "page": job.index + 1,
        "engine_pid": lease.engine.pid,
    }
