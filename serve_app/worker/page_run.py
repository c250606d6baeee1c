"""One page in a worker, from its arrival to its record.

The steps are the methods, in their order:

  1. ``run``: an account of what the page holds is opened, and at the end a record is written
  2. ``_wait_for_level``: the level of the device lets it (batch work waits at warning)
  3. ``_hold_slot``: at most ``max_concurrent_predictions`` pages per model, in a fair order
  4. ``_admit``: its estimate against the byte budget and the device; a level that has risen since
     sends it back to 2, and the next page has its slot
  5. ``_lease_engine``: a free engine, or a load; a second one after an engine's fault
  6. ``_predict``: the page is rendered and handed to the engine (``engine_process.py``)
  7. ``_settle``: what it cost is learned and booked, and the engine is replaced if it grew too much

Everything is given back in reverse order, whatever happened.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from serve_app import clock
from serve_app.document import PageResult
from serve_app.documents.renderer import PageSource
from serve_app.errors import (
    DeadlineExceeded,
    EngineCrashed,
    EngineHung,
    EngineOutOfMemory,
    EngineProtocolError,
    OcrServeError,
)
from serve_app.messages import Outcome
from serve_app.outcome import SUCCESS, outcome_of
from serve_app.page_job import PageCost, PageJob
from serve_app.telemetry import tracing
from serve_app.worker.context import WorkerContext
from serve_app.worker.engine_process import Prediction
from serve_app.worker.model_manager import EngineLease
from serve_app.worker.page_admission import PageNeeds, YieldTurn

log = logging.getLogger("ocr_serve.pages")

PAGE_ATTEMPTS = 2
# The engine is gone or is about to be; another one may well predict the page.
ENGINE_FAULTS = (EngineCrashed, EngineHung, EngineProtocolError, EngineOutOfMemory)


class PageRun:
    """See the module's docstring. ``run`` is called once.

    Args:
        worker: what it shares with the other pages.
        file: the bytes of the whole file, as uint8.
        job: which page of it, and how.
        deadline_s: seconds from now for queue, load and run.
    """

    def __init__(
        self, worker: WorkerContext, file: npt.NDArray[np.uint8], job: PageJob, deadline_s: float
    ) -> None:
        self._worker, self._file, self._job = worker, file, job
        self._model, self._slots = worker.models[job.model], worker.slots[job.model]
        self.cost = PageCost(clock.now())
        self._deadline = self.cost.arrived_at + deadline_s

    async def run(self) -> PageResult:
        """The page's result, with its record.

        Raises:
            OcrServeError: typed; see ``PageAdmission.admitted``, ``ModelManager.lease`` and
                ``EngineProcess.predict``.
        """
        ended: tuple[Outcome, str | None] = SUCCESS
        try:
            with self._worker.ledger.task(self.cost.task):
                result = await self._wait_for_level()
        except BaseException as error:
            ended = outcome_of(error)
            raise
        finally:
            if self.cost.started:  # what left the queue otherwise says nothing of its speed
                self._worker.admission.page_ended(left=self._worker.pages() - 1)
            record = self.cost.record(self._job, self._worker.pool, self._worker.device, *ended)
            self._worker.page_log.add(record)
            tracing.page_stages(record, self._waited_s())
        self._worker.page_log.add_lines(result.lines, self._job.model, self._worker.pool)
        return dataclasses.replace(result, record=record)

    async def _wait_for_level(self) -> PageResult:
        needs = PageNeeds(
            self.cost.task,
            self._job.model,
            self._job.priority,
            functools.partial(self._worker.estimators.estimate, self._job.model, self._job.needs),
            self.cost.arrived_at,
            self._job.fallback,
            in_turn=True,
        )
        while True:
            needs = await self._worker.admission.wait_for_level(
                needs, queued=lambda: self._slots.waiting, deadline=self._deadline
            )
            try:
                with self._model.keep_alive(self.cost.task):
                    return await self._hold_slot(needs)
            except YieldTurn as aside:
                (needs,) = aside.args

    async def _hold_slot(self, needs: PageNeeds) -> PageResult:
        job = self._job
        slot = self._slots.hold(job.owner, priority=job.priority, timeout_s=self._left_s())
        async with self._worker.ledger.holding(self.cost.task, "turn", slot):
            return await self._admit(needs)

    async def _admit(self, needs: PageNeeds) -> PageResult:
        reservation = self._worker.admission.admitted(needs, queued=self._slots.waiting)
        async with self._worker.ledger.holding(self.cost.task, "reservation", reservation) as held:
            self.cost.estimate_bytes = held
            self.cost.queue_s = self._waited_s()
            with PageSource(
                *(self._worker.renderer, self._file.data, self._job.kind, self._job.index),
                with_layer=self._job.options.text_layer != "off",
            ) as page:
                return await self._lease_engine(page)

    async def _lease_engine(self, page: PageSource) -> PageResult:
        for attempt in range(1, PAGE_ATTEMPTS + 1):
            engine = self._model.lease(self.cost.task, timeout_s=self._left_s())
            async with self._worker.ledger.holding(self.cost.task, "lease", engine) as lease:
                self.cost.got(lease.engine.pid, attempt, lease.load_s if lease.cold else None)
                self._worker.admission.place(self.cost.task, self._job.model, lease.number)
                held_before = lease.engine.memory.held_bytes()
                try:
                    prediction = await self._predict(lease, page)
                except ENGINE_FAULTS as error:
                    self._engine_failed(error, attempt)
                    if attempt == PAGE_ATTEMPTS:
                        raise
                    continue
                await self._settle(lease, page, prediction, held_before)
            return prediction.result
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _predict(self, lease: EngineLease, page: PageSource) -> Prediction:
        frame = await page.frame(self._left_s())
        own_timeout_s, left_s = self._worker.timeouts_s[self._job.model], self._left_s()
        options = dataclasses.asdict(self._job.options)
        try:
            return await lease.engine.predict(
                {"index": self._job.index, "options": options},
                frame,
                timeout_s=max(min(own_timeout_s, left_s), 0.001),
            )
        except EngineHung:
            if left_s < own_timeout_s:
                raise DeadlineExceeded(
                    f"page {self._job.index + 1} was still running at the request's deadline"
                ) from None
            raise
        except (EngineOutOfMemory, EngineProtocolError):
            self._worker.recycler.retire(self._job.model, lease, "unreliable")
            raise

    def _engine_failed(self, error: OcrServeError, attempt: int) -> None:
        fields = {"attempt": attempt, "error": str(error), "code": error.code}
        log.warning("engine failed under a page", extra={**fields, **self._names()})
        if isinstance(error, EngineOutOfMemory) and attempt < PAGE_ATTEMPTS:
            self._worker.relief.unload_idle()

    async def _settle(
        self, lease: EngineLease, page: PageSource, prediction: Prediction, held_before: int
    ) -> None:
        model, engine, cost = self._job.model, lease.engine, self.cost
        cost.run_s = page.render_s + prediction.run_s
        held, cost.peak_bytes = await engine.memory.after_page(
            functools.partial(self._worker.sampler.memory_of, engine),
            peak_bytes=prediction.peak_bytes,
            # In RAM together with the process that rendered the page, while there was one.
            rendering_bytes=held_before + page.render_bytes,
        )
        if prediction.result.recognised:  # else its memory says nothing of others
            self._worker.estimators.observe(model, self._job.needs, cost.peak_bytes, held_before)
        self._worker.admission.settle(model, lease.number, engine, held)
        engine.memory.page_done(self._job.needs.pixels)
        await self._worker.recycler.after_page(model, lease)

    def _left_s(self) -> float:
        return self._deadline - clock.now()

    def _waited_s(self) -> float:
        return self._job.waited_s + clock.now() - self.cost.arrived_at

    def _names(self) -> dict[str, Any]:
        job = self._job
        return {
            "request_id": job.request_id,
            "model": job.model,
            "page": job.index + 1,
            "engine_pid": self.cost.engine_pid,
        }
