"""ModelRegistry: who holds which model, and when it goes. One replica; off the hot path.

Carries out ``policy/registry_state.py``. It holds nothing that the replicas' next reports do not
bring back, but for orders that are under way and the last task records.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import uuid
from collections.abc import Mapping
from typing import Any, Protocol

from serve_app import clock
from serve_app.control import cluster_metrics
from serve_app.control.memory_page import history_answer
from serve_app.messages import (
    HeartbeatAnswer,
    Level,
    PressureSnapshot,
    ReplicaReport,
    TaskKind,
    TaskRecord,
)
from serve_app.policy.memory_history import MemoryHistory
from serve_app.policy.pool_views import PoolView, pool_views
from serve_app.policy.registry_orders import OrderStatus
from serve_app.policy.registry_state import RecoveryState, RegistryState
from serve_app.policy.registry_views import DomainView, ModelView
from serve_app.settings import AppSettings
from serve_app.telemetry.logs import configure_logging

log = logging.getLogger("ocr_serve.registry")

TICK_S = 0.5
PUBLISH_S = 5.0
# The memory watch answers when a level changes, at last after the first; if it has not after both,
# the last levels stand.
LEVELS_WAIT_S = 2.0
LEVELS_TIMEOUT_S = 4.0
ORDER_POLL_S = 0.05


class Watch(Protocol):
    """Where the levels come from: the memory watch's handle."""

    async def levels(self, known: Mapping[str, Level], wait_s: float) -> PressureSnapshot:
        """See ``MemoryWatch.levels``."""
        ...


class ModelRegistry:
    """A plain class; ``app.py`` turns it into a deployment."""

    def __init__(self, settings: AppSettings, watch: Watch | None = None) -> None:
        configure_logging(settings.log_level)
        pressure = settings.pressure
        self._state = RegistryState(
            {name: model.idle_timeout_s for name, model in settings.models.items()},
            target_fraction=pressure.critical - pressure.hysteresis,
        )
        self._pressure, self._history = pressure, MemoryHistory(PUBLISH_S)
        self._snapshot = PressureSnapshot()
        self._pools = tuple(settings.pools)
        loop = asyncio.get_running_loop()
        self._loops = [
            loop.create_task(self._tick_forever()),
            loop.create_task(self._publish_forever()),
        ]
        if watch is not None:
            self._loops.append(loop.create_task(self._follow_levels(watch)))

    async def report(self, report: ReplicaReport, recovery: RecoveryState) -> HeartbeatAnswer:
        """A replica's heartbeat."""
        answer = self._state.heard(report, clock.now(), recovery)
        for directive in answer.directives:
            fields = {"replica": report.replica, "directive": repr(directive)}
            log.info("directive", extra=fields)
        return dataclasses.replace(answer, pins_version=self._state.pins_version)

    async def deregister(self, replica: str) -> None:
        """A replica stops."""
        self._state.gone(replica, clock.now())

    async def models(self) -> list[ModelView]:
        """For GET /v1/models."""
        return self._state.models(clock.now())

    async def memory(self) -> list[DomainView]:
        """For GET /v1/memory."""
        return self._state.memory(clock.now())

    async def history(self, since: float) -> dict[str, Any]:
        """For GET /v1/memory/history: samples after ``since``, seconds since the epoch."""
        models, pools, domains = await self.models(), await self.pools(), await self.memory()
        reports, at = self._state.reports(), clock.epoch()
        return history_answer(
            self._history, domains, models, pools, reports, self._pressure, since=since, at=at
        )

    async def pools(self) -> dict[str, PoolView]:
        """For the gateway's admission."""
        return pool_views(self._state.reports(), self._snapshot.levels)

    async def tasks(self, limit: int, kind: TaskKind | None = None) -> list[TaskRecord]:
        """The last ended tasks (of this kind), newest first."""
        return self._state.tasks(limit, kind)

    async def requests_ended(self, records: tuple[TaskRecord, ...]) -> None:
        """A gateway's records of whole requests; one may come again."""
        self._state.record(records)

    async def pin(self, model: str, pinned: bool) -> None:
        """Keep the model from time-outs and evictions, or no more."""
        self._state.pin(model, pinned=pinned)

    async def unload(self, model: str, timeout_s: float) -> OrderStatus:
        """Unload the model everywhere, and wait for the verified result."""
        order = uuid.uuid4().hex
        self._state.order_unload(order, model, clock.now(), timeout_s)
        return await self._outcome(order)

    async def load(self, model: str, pool: str | None, timeout_s: float) -> OrderStatus:
        """Load the model in one replica, and wait for it."""
        order = uuid.uuid4().hex
        self._state.order_load(order, model, clock.now(), timeout_s, pool)
        return await self._outcome(order)

    async def close(self) -> None:
        """Stop ticking and asking."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    async def _outcome(self, order: str) -> OrderStatus:
        while True:
            status = self._state.order_status(order, clock.now())
            assert status is not None, "just given"
            if status.complete:
                return status
            await asyncio.sleep(ORDER_POLL_S)

    async def _tick_forever(self) -> None:
        while True:
            for replica in self._state.tick(clock.now()):
                log.warning("replica forgotten after missed heartbeats", extra={"replica": replica})
            await asyncio.sleep(TICK_S)

    async def _publish_forever(self) -> None:
        while True:
            domains = await self.memory()
            self._history.add(domains, clock.epoch())
            cluster_metrics.show(domains, await self.pools(), self._pools)
            await asyncio.sleep(PUBLISH_S)

    async def _follow_levels(self, watch: Watch) -> None:
        while True:
            asked = watch.levels(self._snapshot.levels, LEVELS_WAIT_S)
            try:
                self._snapshot = await asyncio.wait_for(asked, LEVELS_TIMEOUT_S)
            except Exception as error:
                # It is being replaced; replicas act on what they read themselves meanwhile.
                log.warning("memory watch does not answer", extra={"error": type(error).__name__})
                await asyncio.sleep(TICK_S)
            self._state.set_levels(self._snapshot.levels)


class WatchHandle:
    """A Serve handle of the memory watch as a ``Watch``."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def levels(self, known: Mapping[str, Level], wait_s: float) -> PressureSnapshot:
        """Ask it."""
        snapshot: PressureSnapshot = await self._handle.levels.remote(dict(known), wait_s)
        return snapshot
