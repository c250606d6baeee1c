"""What a replica tells the registry, and how it obeys. Implements ``heartbeat.Reporter``."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

from serve_app import clock
from serve_app.errors import OcrServeError
from serve_app.messages import (
    Directive,
    HeartbeatAnswer,
    Load,
    PageLoad,
    ReplicaReport,
    Trim,
    Unload,
)
from serve_app.policy.registry_orders import Unloaded
from serve_app.policy.registry_state import RecoveryState
from serve_app.worker.context import WorkerContext
from serve_app.worker.page_admission import PageNeeds
from serve_app.worker.replica_metrics import show
from serve_app.worker.unload_check import UnloadResult

log = logging.getLogger("ocr_serve.heartbeat")


class ReplicaReporter:
    """One replica's side of the heartbeat.

    Args:
        replica, node: Serve's and Ray's ids.
        worker: what is reported of.
    """

    def __init__(self, replica: str, node: str, worker: WorkerContext) -> None:
        self._replica, self._node, self._worker = replica, node, worker
        self._unloaded: list[Unloaded] = []
        self._pinned: frozenset[str] = frozenset()
        self._pins_version = 0
        self._tasks: set[asyncio.Task[None]] = set()
        #: Called when an order was carried out, so that the report comes soon.
        self.on_change: Callable[[], None] = lambda: None

    def report(self) -> ReplicaReport:
        """See ``heartbeat.Reporter``."""
        worker, admission = self._worker, self._worker.admission
        in_queues = sum(slots.waiting for slots in worker.slots.values())
        waiting = in_queues + admission.waiting_for_level
        return ReplicaReport(
            replica=self._replica,
            pool=worker.pool,
            node=self._node,
            device=worker.device,
            pid=os.getpid(),
            domains=worker.sampler.readings,
            models=tuple(manager.facts() for manager in worker.models.values()),
            budget_bytes=admission.budget.total_bytes,
            committed_bytes=admission.budget.committed_bytes,
            open_entries=worker.ledger.open_entries,
            running=worker.pages() - waiting,
            queued=waiting,
            drain_rate=admission.drain_rate,
            finished=worker.page_log.unsent(),
        )

    def recovery(self) -> RecoveryState:
        """See ``heartbeat.Reporter``."""
        return RecoveryState(
            self._pinned,
            self._pins_version,
            tuple(self._unloaded),
            self._worker.estimators.observations,
            self._worker.estimators.to_share(clock.now()),
        )

    def answered(
        self, report: ReplicaReport, recovery: RecoveryState, answer: HeartbeatAnswer
    ) -> None:
        """See ``heartbeat.Reporter``."""
        self._worker.page_log.sent(report.finished)
        del self._unloaded[: len(recovery.unloaded)]
        self._pinned, self._pins_version = answer.pinned, answer.pins_version
        for name, manager in self._worker.models.items():
            manager.pinned = name in answer.pinned
        adopted = self._worker.estimators.answered(
            recovery.learned, answer.known, answer.learned, clock.now()
        )
        if adopted:
            log.info("estimates learned from other replicas", extra={"models": adopted})
        for directive in answer.directives:
            self._run(self._obey(directive))

    def publish(self, report: ReplicaReport) -> None:
        """See ``heartbeat.Reporter``."""
        show(report, self._worker.sampler.level_of)
        self._worker.ledger.publish()

    def set_autonomous(self, autonomous: bool) -> None:
        """See ``heartbeat.Reporter``."""
        for manager in self._worker.models.values():
            manager.set_autonomous(autonomous)

    async def close(self) -> None:
        """Stop what is being carried out."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _obey(self, directive: Directive) -> None:
        match directive:
            case Unload(model, generation, reason, order, force):
                manager = self._worker.models[model]
                # Compared here, with the present: the order was decided from an older report.
                wanted = None if force else generation
                results = await manager.unload(reason, generation=wanted)
                self._note(model, results, order)
            case Load(model):
                await self._load(model)
            case Trim():
                await asyncio.gather(*(manager.trim() for manager in self._worker.models.values()))
        self.on_change()

    async def _load(self, model: str) -> None:
        estimate = functools.partial(self._worker.estimators.estimate, model, PageLoad(0))
        task = uuid.uuid4().hex
        needs = PageNeeds(task, model, "batch", estimate, clock.now())
        reservation = self._worker.admission.admitted(needs)
        try:
            with self._worker.ledger.task(task):
                async with self._worker.ledger.holding(task, "reservation", reservation):
                    await self._worker.models[model].load()
        except OcrServeError as error:
            log.warning("ordered load failed", extra={"model": model, "error": str(error)})

    def _note(self, model: str, results: list[UnloadResult], order: str | None) -> None:
        if not results:
            return
        freed = sum(result.freed_bytes for result in results)
        missing = sum(result.missing_bytes for result in results)
        seconds = max(result.unload_s for result in results)
        self._unloaded.append(Unloaded(model, freed, seconds, order, missing))

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a directive failed", extra={"error": repr(error)})
