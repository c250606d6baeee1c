"""OCRService: one share of one device. Takes pages, keeps engines, retries a crash once.

A plain class; ``app.py`` turns it into a Serve deployment.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from serve_app import clock
from serve_app.deployments.model_manager import EngineLease, ModelManager
from serve_app.document import FileKind, PageResult, PredictOptions
from serve_app.engines.environment import engine_environment
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
from serve_app.settings import AppSettings, PoolSettings
from serve_app.telemetry.logs import configure_logging

log = logging.getLogger("ocr_serve.pages")

PAGE_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class PageJob:
    """One page to predict.

    Attributes:
        model: declared name.
        kind, index: format of the file and the page's place in it.
        options: of the request.
        request_id: for the log.
    """

    model: str
    kind: FileKind
    index: int
    options: PredictOptions
    request_id: str = ""


class OCRService:
    """See the module's docstring.

    Args:
        pool: this replica's pool, by name.
        settings: the whole application's.
        factory: import path of the engine's factory; tests give a fake one.
    """

    def __init__(self, pool: str, settings: AppSettings, factory: str | None = None) -> None:
        configure_logging(settings.log_level)
        self._pool_name, self._pool = pool, settings.pools[pool]
        self._models = {
            name: _new_manager(name, settings, self._pool, factory) for name in settings.models
        }
        self._settings = settings
        self._pages: set[asyncio.Task[PageResult]] = set()

    async def predict_page(
        self, file: npt.NDArray[np.uint8], job: PageJob, deadline_s: float
    ) -> PageResult:
        """Predict one page, on an engine that is loaded if need be.

        Args:
            file: the bytes of the whole file, as uint8 (Ray hands arrays over without a copy).
            job: which page, and how.
            deadline_s: seconds from now for queue, load and run.

        Raises:
            OcrServeError: typed; see ``ModelManager.lease`` and ``EngineProcess.predict``.
        """
        manager = self._models.get(job.model)
        if manager is None:
            raise UnknownModel(f"no model {job.model!r}; declared: {', '.join(self._models)}")
        if len(self._pages) >= self._pool.max_queued_pages:
            raise QueueFull(f"{len(self._pages)} pages in this worker (pools.*.max_queued_pages)")
        started = asyncio.Event()
        deadline = clock.now() + deadline_s
        page = asyncio.create_task(self._predict(manager, file, job, deadline, started))
        self._pages.add(page)
        page.add_done_callback(self._pages.discard)
        try:
            return await asyncio.shield(page)
        except asyncio.CancelledError:
            # The caller left. A page that waits is dropped; one that runs is not taken back,
            # since its engine would have to be killed for it.
            if not started.is_set():
                page.cancel()
            page.add_done_callback(_forget_outcome)
            raise

    async def models(self) -> dict[str, Any]:
        """State of every model in this replica."""
        return {
            "pool": self._pool_name,
            "replica_pid": os.getpid(),
            "models": {name: manager.status() for name, manager in self._models.items()},
        }

    def record_routing_stats(self) -> dict[str, Any]:
        """What the request router (``router.py``) knows of this replica; asked for by Serve."""
        facts = {name: manager.status() for name, manager in self._models.items()}
        return {
            "loaded": [name for name, model in facts.items() if model["state"] == "READY"],
            "loading": [name for name, model in facts.items() if model["state"] == "LOADING"],
            "pages": len(self._pages),
        }

    async def close(self) -> None:
        """End all engines; called when the replica stops."""
        await asyncio.gather(*(manager.close() for manager in self._models.values()))

    async def _predict(
        self,
        manager: ModelManager,
        file: npt.NDArray[np.uint8],
        job: PageJob,
        deadline: float,
        started: asyncio.Event,
    ) -> PageResult:
        wire = {
            "kind": job.kind,
            "index": job.index,
            "options": dataclasses.asdict(job.options),
        }
        for attempt in range(1, PAGE_ATTEMPTS + 1):
            queued = clock.now()
            async with manager.lease(timeout_s=deadline - queued) as lease:
                started.set()
                leased = clock.now()
                try:
                    prediction = await self._run(lease, file, wire, job, deadline)
                except EngineCrashed as error:
                    facts = {"attempt": attempt, "error": str(error), **_names(job, lease)}
                    log.warning("engine crashed under a page", extra=facts)
                    if attempt == PAGE_ATTEMPTS:
                        raise
                    continue
            _log_page(job, lease, prediction, queue_s=leased - queued, attempt=attempt)
            return prediction.result
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _run(
        self,
        lease: EngineLease,
        file: npt.NDArray[np.uint8],
        wire: Mapping[str, Any],
        job: PageJob,
        deadline: float,
    ) -> Prediction:
        own_timeout_s = self._settings.models[job.model].predict_timeout_s
        left_s = deadline - clock.now()
        try:
            return await lease.engine.predict(
                wire, memoryview(file), timeout_s=max(min(own_timeout_s, left_s), 0.001)
            )
        except EngineHung:
            if left_s < own_timeout_s:
                raise DeadlineExceeded(
                    f"page {job.index + 1} was still running at the request's deadline"
                ) from None
            raise
        except (EngineOutOfMemory, EngineProtocolError):
            lease.retire = "unreliable after a failure"
            raise


def _forget_outcome(page: asyncio.Task[PageResult]) -> None:
    """Nobody is left to hear of it; asyncio would complain about a failure that none looked at."""
    if not page.cancelled():
        page.exception()


def _new_manager(
    name: str, settings: AppSettings, pool: PoolSettings, factory: str | None
) -> ModelManager:
    model = settings.models[name]
    spec = {
        "model": model.model_dump(mode="json"),
        "limits": settings.limits.model_dump(mode="json"),
        "documents": settings.documents.model_dump(mode="json"),
        "device": pool.device,
    }
    environment = engine_environment(pool, model, settings.paddlex.font_path)
    chosen = {"factory": factory} if factory else {}
    return ModelManager(
        name,
        lambda: EngineProcess(name, spec, env=environment, **chosen),
        max_engines=model.max_concurrent_predictions,
        grow_after_s=model.grow_after_s,
        load_timeout_s=model.load_timeout_s,
        idle_timeout_s=model.idle_timeout_s,
    )


def _names(job: PageJob, lease: EngineLease) -> dict[str, Any]:
    return {
        "request_id": job.request_id,
        "model": job.model,
        "page": job.index + 1,
        "engine_pid": lease.engine.pid,
    }


def _log_page(
    job: PageJob, lease: EngineLease, prediction: Prediction, *, queue_s: float, attempt: int
) -> None:
    facts = {
        "pixels": prediction.result.width * prediction.result.height,
        "queue_s": round(queue_s, 3),
        "run_s": round(prediction.run_s, 3),
        "peak_bytes": prediction.peak_bytes,
        "cold": lease.cold,
        "attempt": attempt,
    }
    log.info("page done", extra={**_names(job, lease), **facts})
