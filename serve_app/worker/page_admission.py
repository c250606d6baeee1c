"""Whether a page may take memory now: keeps the worker's byte budget, lets pages in or not.

Carries out ``policy/admission.py``. All methods run on the replica's event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from serve_app import clock
from serve_app.changes import Changes
from serve_app.errors import (
    DeadlineExceeded,
    FallBackAdvised,
    MemoryPressure,
    PageTooLargeForBudget,
)
from serve_app.messages import Priority
from serve_app.policy.admission import (
    Admit,
    Decision,
    Evict,
    FallBack,
    FallbackFacts,
    IdleEngine,
    PageFacts,
    Reject,
    Wait,
    decide,
)
from serve_app.policy.budget import ByteBudget, engine_name
from serve_app.policy.drain_rate import DrainRate
from serve_app.settings import PressureSettings
from serve_app.worker.engine_process import EngineProcess
from serve_app.worker.memory_sampler import MemorySampler
from serve_app.worker.model_manager import ModelManager
from serve_app.worker.pressure_relief import PressureRelief

log = logging.getLogger("ocr_serve.memory")


@dataclass(frozen=True, slots=True)
class PageNeeds:
    """What admission must know of a page.

    Attributes:
        task: its id; the reservation's too.
        estimate: bytes that an engine holds before the page (0: a fresh one) → its expected peak.
        arrived_at: when, on the replica's clock.
        in_turn: whether other pages wait for this one; see ``YieldTurn``.
        accepted: whether it has waited here for the level or for memory, and is new no more.
    """

    task: str
    model: str
    priority: Priority
    estimate: Callable[[int], int]
    arrived_at: float
    fallback: FallbackFacts | None = None
    in_turn: bool = False
    accepted: bool = False


class YieldTurn(Exception):
    """A page that has its turn would have to wait for the level: others shall go first.

    Args: the page's ``PageNeeds``, as it has waited by now.
    """


class PageAdmission:
    """See the module's docstring.

    Args:
        budget: what the replica may hold on its own device.
        budget_key: the configuration key that sets it, for error messages.
        queue_timeout_s: longest wait of a page for memory.
        settings: levels and the sampling interval.
        managers: the worker's models; may be filled later.
        sampler: knows the levels.
        relief: stops idle engines.
    """

    def __init__(
        self,
        budget: ByteBudget,
        *,
        budget_key: str,
        queue_timeout_s: float,
        settings: PressureSettings,
        managers: Mapping[str, ModelManager],
        sampler: MemorySampler,
        relief: PressureRelief,
    ) -> None:
        self.budget, self._budget_key = budget, budget_key
        self._queue_timeout_s, self._settings = queue_timeout_s, settings
        self._managers, self._sampler, self._relief = managers, sampler, relief
        self._waiting: OrderedDict[str, Priority] = OrderedDict()
        self._changes, self._level_changes = Changes(), Changes()
        self._drain = DrainRate()
        #: Pages that wait for the level, outside of any turn.
        self.waiting_for_level = 0

    @property
    def drain_rate(self) -> float | None:
        """Pages that ended per second lately; None before two of them did."""
        return self._drain.per_second(clock.now())

    @property
    def page_seconds(self) -> float | None:
        """Between two ends of pages while there is work; None before that was measured."""
        return self._drain.seconds_between()

    def page_ended(self, *, left: int) -> None:
        """For the drain rate; ``left``: pages that run or wait."""
        self._drain.ended(clock.now(), left=left)

    def notify(self) -> None:
        """Something changed that a waiting page may have waited for."""
        self._changes.tell()

    def level_changed(self) -> None:
        """Pages that wait for the level look again."""
        self._level_changes.tell()

    async def wait_for_level(
        self, page: PageNeeds, *, queued: Callable[[], int], deadline: float
    ) -> PageNeeds:
        """Return when the level lets the page look at the bytes. For before its turn.

        While it waits it uses nothing: idle engines may go, and with them the pressure.

        Args:
            queued: counts the pages of its model that wait for their turn.
            deadline: the request's, on the replica's clock.

        Returns:
            The page as it has waited by now.

        Raises:
            DeadlineExceeded: the level did not fall in time.
            As ``admitted``, without YieldTurn.
        """
        while True:
            if clock.now() >= deadline:
                raise DeadlineExceeded(
                    f"the memory was {self._sampler.level} until the request's deadline"
                )
            waiting = queued() + self.waiting_for_level
            decision = decide(self._facts(page, self._own_engine(page.model), waiting))
            if isinstance(decision, FallBack | Reject):
                await self._follow(decision)
            if not _is_for_level(decision):
                return page
            page = dataclasses.replace(page, accepted=True)
            self.waiting_for_level += 1
            try:
                limit_s = min(decision.remaining_s, deadline - clock.now())
                await self._level_changes.wait(limit_s)
            finally:
                self.waiting_for_level -= 1

    @contextlib.asynccontextmanager
    async def admitted(self, page: PageNeeds, *, queued: int = 0) -> AsyncIterator[int]:
        """Hold a reservation of the page's estimate, in bytes, for the length of the block.

        Raises:
            PageTooLargeForBudget: it can never fit.
            MemoryPressure: no room; FallBackAdvised if another pool may have some.
            YieldTurn: the page is ``in_turn``, and has to wait for the level again.
        """
        reserved = await self._admit(page, queued)
        try:
            yield reserved
        finally:
            self.budget.release(page.task)
            self.notify()

    def place(self, task: str, model: str, engine: int) -> None:
        """The page got this engine."""
        if not self.budget.place(task, engine_name(model, engine)):
            # The engine outgrew what was promised; it is ended after this page.
            log.warning("engine above its reservation", extra={"model": model, "engine": engine})

    def settle(self, model: str, number: int, engine: EngineProcess, held_bytes: int) -> None:
        """After a page, until the next reading: the engine keeps what it holds."""
        if engine.alive:  # one that is gone must not be booked again
            self.budget.measured(engine_name(model, number), held_bytes)

    def engine_gone(self, model: str, engine: int) -> None:
        """Its memory is back."""
        self.budget.gone(engine_name(model, engine))
        self.notify()

    async def _admit(self, page: PageNeeds, queued: int) -> int:
        try:
            while True:
                own = self._own_engine(page.model)
                facts = self._facts(page, own, queued)
                decision = decide(facts)
                label = engine_name(own.model, own.engine) if own else None
                if isinstance(decision, Admit) and self.budget.reserve(
                    page.task, facts.estimate_bytes, label
                ):
                    return facts.estimate_bytes
                if page.in_turn and _is_for_level(decision):
                    raise YieldTurn(page)
                page = dataclasses.replace(page, accepted=True)
                self._waiting.setdefault(page.task, page.priority)
                await self._follow(decision)
        finally:
            self._waiting.pop(page.task, None)

    async def _follow(self, decision: Decision) -> None:
        match decision:
            case Evict(engines):
                for engine in engines:
                    self._relief.evict(engine.model, engine.engine)
                await asyncio.sleep(0)
            case Wait(_, remaining_s):
                limit_s = min(remaining_s, self._settings.sample_interval_s) + 0.01
                await self._changes.wait(limit_s)
            case FallBack(_, reason):
                raise FallBackAdvised(reason)
            case Reject("page_too_large_for_budget", _, needed, limit):
                what = "the page's estimated memory in bytes"
                raise PageTooLargeForBudget(what, needed, limit, self._budget_key)
            case Reject(_, message, _, _, retry_after_s):
                raise MemoryPressure(message, float(retry_after_s or 1))
            case Admit():  # somebody else took the room since the decision
                await asyncio.sleep(0)

    def _facts(self, page: PageNeeds, own: IdleEngine | None, queued: int) -> PageFacts:
        engine = engine_name(own.model, own.engine) if own else None
        estimate_bytes = page.estimate(own.held_bytes if own else 0)
        ahead = 0
        for task, priority in self._waiting.items():
            if task == page.task:
                break
            ahead += priority == page.priority or priority == "interactive"
        return PageFacts(
            level=self._sampler.level,
            priority=page.priority,
            estimate_bytes=estimate_bytes,
            fresh_bytes=page.estimate(0),
            needed_bytes=self.budget.needed_bytes(estimate_bytes, engine),
            left_bytes=min(self.budget.left_bytes, self._left_in_domain()),
            budget_bytes=self.budget.total_bytes,
            queue_timeout_s=self._queue_timeout_s,
            evictable=self._evictable(engine),
            own_engine=own,
            leaving_bytes=self._leaving_bytes(),
            fallback=page.fallback,
            arriving=not page.accepted,
            pages_ahead=ahead,
            waited_s=clock.now() - page.arrived_at,
            queued=queued,
            drain_rate=self.drain_rate,
        )

    def _left_in_domain(self) -> int:
        """Bytes until the replica's own domain is critical, less what is promised but not held."""
        if not self._sampler.readings:
            return self.budget.total_bytes
        own = self._sampler.readings[0]
        promised = max(self.budget.committed_bytes - own.ours_bytes, 0)
        return max(int(own.total_bytes * self._settings.critical) - own.used_bytes - promised, 0)

    def _own_engine(self, model: str) -> IdleEngine | None:
        """The engine that a lease of the model would get now, if none is to be loaded."""
        manager = self._managers[model]
        number = manager.next_engine()
        if number is None:
            return None
        held = self.budget.engine_bytes(engine_name(model, number))
        return IdleEngine(model, number, held, manager.idle_engines()[number])

    def _evictable(self, but: str | None) -> list[IdleEngine]:
        idle = []
        for name, manager in self._managers.items():
            for number, idle_s in manager.idle_engines().items():
                label = engine_name(name, number)
                if label != but and not self.budget.is_reserved(label):
                    held = self.budget.engine_bytes(label)
                    idle.append(IdleEngine(name, number, held, idle_s))
        return idle

    def _leaving_bytes(self) -> int:
        return sum(
            self.budget.engine_bytes(engine_name(name, number))
            for name, manager in self._managers.items()
            for number in manager.leaving_engines()
        )


def _is_for_level(decision: Decision) -> TypeGuard[Wait]:
    return isinstance(decision, Wait) and decision.reason == "level"
