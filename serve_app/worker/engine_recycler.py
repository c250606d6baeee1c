"""Which engines of a worker are replaced after a page: those that grew or served too much."""

from __future__ import annotations

from serve_app.settings import RecycleSettings
from serve_app.telemetry import metrics
from serve_app.worker.memory_sampler import MemorySampler
from serve_app.worker.model_manager import EngineLease
from serve_app.worker.page_admission import PageAdmission


class EngineRecycler:
    """At most one engine of a worker is replaced at a time, unless memory asks for it."""

    def __init__(
        self, pool: str, limits: RecycleSettings, sampler: MemorySampler, admission: PageAdmission
    ) -> None:
        self._pool, self._limits = pool, limits
        self._sampler, self._admission = sampler, admission
        self._recycling = False

    async def after_page(self, model: str, lease: EngineLease) -> None:
        """Have the engine replaced, if it is time to."""
        engine, budget = lease.engine, self._admission.budget
        if budget.excess_bytes or self._has_drifted(lease):
            # What it keeps for its next page, and does not use, is no reason to end it.
            await engine.trim()
            held = await self._sampler.memory_of(engine)
            self._admission.settle(model, lease.number, engine, held)
        if budget.excess_bytes:
            self.retire(model, lease, "over_budget")
        elif self._recycling:
            return
        elif self._has_drifted(lease):
            self.retire(model, lease, "drift")
        elif engine.pages >= self._limits.max_pages:
            self.retire(model, lease, "max_pages")

    def retire(self, model: str, lease: EngineLease, reason: str) -> None:
        """Have the engine replaced when its lease ends."""
        lease.retire = reason
        self._recycling = True
        metrics.recycles.inc(tags={"model": model, "pool": self._pool, "reason": reason})
        lease.engine.exited.add_done_callback(self._recycled)

    def _recycled(self, _: object) -> None:
        self._recycling = False

    def _has_drifted(self, lease: EngineLease) -> bool:
        return lease.engine.memory.drift_bytes > self._limits.drift_bytes
