"""How a worker is put together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from serve_app.devices.errors import DeviceError
from serve_app.devices.probe import MemoryProbe, probe_for
from serve_app.documents.renderer import PageRenderer
from serve_app.messages import PageLoad
from serve_app.policy.budget import ByteBudget
from serve_app.policy.memory_pressure import Crossing
from serve_app.policy.model_estimators import ModelEstimators
from serve_app.settings import AppSettings, ModelSettings, PoolSettings
from serve_app.task_ledger import TaskLedger
from serve_app.telemetry import metrics
from serve_app.worker.context import WorkerContext
from serve_app.worker.engine_environment import engine_device, engine_environment
from serve_app.worker.engine_process import EngineProcess
from serve_app.worker.engine_recycler import EngineRecycler
from serve_app.worker.memory_sampler import MemorySampler
from serve_app.worker.model_manager import ModelManager
from serve_app.worker.page_admission import PageAdmission
from serve_app.worker.page_log import PageLog
from serve_app.worker.page_slots import PageSlots
from serve_app.worker.pressure_relief import PressureRelief

log = logging.getLogger("ocr_serve.pages")


class WorkerParts:
    """Makes what a worker of a pool consists of.

    Args:
        pool: by name.
        settings: the whole application's.
        node: Ray's id of this node.
        factory: import path of the engine's factory; None: PaddleX's.
        probe: reads the devices; None: the real one.
        rendered: whether engines are given rendered pages; None: unless there is a factory.
    """

    def __init__(
        self,
        pool: str,
        settings: AppSettings,
        node: str,
        factory: str | None = None,
        probe: MemoryProbe | None = None,
        rendered: bool | None = None,
    ) -> None:
        self._name, self._pool, self._settings = pool, settings.pools[pool], settings
        self._factory = factory
        self._rendered = factory is None if rendered is None else rendered
        self._estimators = ModelEstimators(
            {name: model.memory for name, model in settings.models.items()}
        )
        self._managers: dict[str, ModelManager] = {}
        try:
            self._probe = probe or probe_for(self._pool.device, node)
            self._budget = ByteBudget(
                _budget_bytes(self._pool, settings.pressure.critical, self._probe)
            )
        except DeviceError as error:
            # Serve tries again elsewhere; without a budget nothing could be let in here.
            log.error("the worker cannot start", extra={"pool": pool, "error": str(error)})  # noqa: TRY400
            raise

    def assemble(
        self,
        *,
        pages: Callable[[], int],
        on_change: Callable[[], None],
        on_crossing: Callable[[], None],
    ) -> WorkerContext:
        """The worker. Called once, on its event loop.

        Args:
            pages: counts those that run or wait.
            on_change: called when a model is in another state or use.
            on_crossing: called when a memory level changed.
        """
        settings, name = self._settings, self._name
        relief = PressureRelief(self._managers)

        def crossed(crossing: Crossing) -> None:
            admission.level_changed()
            relief.act(crossing)
            on_crossing()  # the gateway turns pages away until it has heard

        def changed() -> None:
            admission.notify()
            on_change()

        sampler = MemorySampler(
            self._probe,
            settings.pressure,
            self._budget,
            self._managers,
            on_reading=lambda: admission.notify(),
            on_crossing=crossed,
        )
        admission = PageAdmission(
            self._budget,
            budget_key=f"pools.{name}.{_budget_key(self._pool)}",
            queue_timeout_s=self._pool.queue_timeout_s,
            settings=settings.pressure,
            managers=self._managers,
            sampler=sampler,
            relief=relief,
        )
        load_gate = asyncio.Semaphore(self._pool.max_concurrent_loads)
        for model in settings.models:
            self._managers[model] = self._manager(model, load_gate, sampler, admission, changed)
        return self._context(sampler, admission, relief, pages)

    def _context(
        self,
        sampler: MemorySampler,
        admission: PageAdmission,
        relief: PressureRelief,
        pages: Callable[[], int],
    ) -> WorkerContext:
        settings, models = self._settings, self._settings.models
        renderer = PageRenderer(settings.limits, settings.documents) if self._rendered else None
        return WorkerContext(
            pool=self._name,
            device=self._pool.device,
            models=self._managers,
            slots={name: PageSlots(one.max_concurrent_predictions) for name, one in models.items()},
            timeouts_s={name: one.predict_timeout_s for name, one in models.items()},
            renderer=renderer,
            sampler=sampler,
            admission=admission,
            relief=relief,
            recycler=EngineRecycler(self._name, settings.recycle, sampler, admission),
            estimators=self._estimators,
            ledger=TaskLedger(metrics.ledger_gauge(f"pool-{self._name}")),
            page_log=PageLog(),
            pages=pages,
        )

    def _manager(
        self,
        name: str,
        load_gate: asyncio.Semaphore,
        sampler: MemorySampler,
        admission: PageAdmission,
        on_change: Callable[[], None],
    ) -> ModelManager:
        estimators = self._estimators
        return ModelManager(
            name,
            self._settings.models[name],
            self._engines(name),
            pool=self._name,
            load_gate=load_gate,
            memory_of=sampler.memory_of,
            on_loaded=lambda held_bytes: estimators.observe(name, PageLoad(0), held_bytes),
            on_gone=lambda number: admission.engine_gone(name, number),
            on_change=on_change,
        )

    def _engines(self, name: str) -> Callable[[], EngineProcess]:
        """Makes engines of the model that are not started."""
        model, hub = self._settings.models[name], _from_hub(self._settings.models[name])
        spec: dict[str, Any] = {
            "model": model.model_dump(mode="json"),
            "device": engine_device(self._pool, model),
            "sandbox": {"gpu": self._pool.device == "gpu", "hub": hub},
        }
        font_path, budget_bytes = self._settings.paddlex.font_path, self._budget.total_bytes
        if self._pool.device == "gpu":
            # Its engines at once share it; "auto" has become a number.
            spec["budget_bytes"] = budget_bytes // max(model.max_concurrent_predictions, 1)
        environment = engine_environment(self._pool, model, font_path, budget_bytes)
        chosen = {"factory": self._factory} if self._factory else {}
        on_device = not self._probe.reads_resident
        return lambda: EngineProcess(
            name, spec, env=environment, hub=hub, on_device=on_device, **chosen
        )


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
