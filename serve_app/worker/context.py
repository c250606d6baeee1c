"""What the pages of a worker, and its reports, share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from serve_app.documents.renderer import PageRenderer
from serve_app.messages import DeviceKind
from serve_app.policy.model_estimators import ModelEstimators
from serve_app.task_ledger import TaskLedger
from serve_app.worker.engine_recycler import EngineRecycler
from serve_app.worker.memory_sampler import MemorySampler
from serve_app.worker.model_manager import ModelManager
from serve_app.worker.page_admission import PageAdmission
from serve_app.worker.page_log import PageLog
from serve_app.worker.page_slots import PageSlots
from serve_app.worker.pressure_relief import PressureRelief


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What all pages of a worker share.

    Attributes:
        pool, device: of the worker.
        models, slots, timeouts_s: by model; the last is ``predict_timeout_s``.
        renderer: None where engines take files.
        pages: counts those that run or wait here.
    """

    pool: str
    device: DeviceKind
    models: Mapping[str, ModelManager]
    slots: Mapping[str, PageSlots]
    timeouts_s: Mapping[str, float]
    renderer: PageRenderer | None
    sampler: MemorySampler
    admission: PageAdmission
    relief: PressureRelief
    recycler: EngineRecycler
    estimators: ModelEstimators
    ledger: TaskLedger
    page_log: PageLog
    pages: Callable[[], int]
