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
from typing import Any

from serve_app import clock
from serve_app.control import cluster_metrics
from serve_app.control.memory_page import history_answer
from serve_app.control.memory_watch import MemoryWatch
from serve_app.messages import (
    HeartbeatAnswer,
    ReplicaReport,
    TaskKind,
    TaskRecord,
)
from serve_app.policy.memory_history import MemoryHistory
from serve_app.policy.pool_views import PoolView, decide_alike, pool_views
from serve_app.policy.registry_orders import OrderStatus
from serve_app.policy.registry_state import RecoveryState, RegistryState
from serve_app.policy.registry_views import DomainView, ModelView
from serve_app.settings import AppSettings
from serve_app.telemetry.logs import configure_logging

log = logging.getLogger("ocr_serve.registry")

TICK_S = 0.5
PUBLISH_S = 5.0
ORDER_POLL_S = 0.05
VIEWS_LOOK_S = 0.1


class ModelRegistry:
    """A plain class; ``app.py`` turns it into a deployment."""

    def __init__(self, settings: AppSettings) -> None:
        configure_logging(settings.log_level)
        pressure = settings.pressure
        self._state = RegistryState(
            {name: model.idle_timeout_s for name, model in settings.models.items()},
            target_fraction=pressure.critical - pressure.hysteresis,
        )
        self._pressure, self._history = pressure, MemoryHistory(PUBLISH_S)
        self._watch = MemoryWatch(pressure)
        self._pools = tuple(settings.pools)
        loop = asyncio.get_running_loop()
        self._loops = [
            loop.create_task(self._tick_forever()),
            loop.create_task(self._publish_forever()),
        ]

    async def report(
        self, report: ReplicaReport, recovery: RecoveryState, readings_due: bool = True
    ) -> HeartbeatAnswer:
        """A replica's heartbeat.

        Args:
            report, recovery: see there.
            readings_due: whether the memory watch is to hear of its readings. Not of all of them:
                one that is a moment older than another replica's would take back a crossing.
        """
        now = clock.now()
        if readings_due:
            self._watch.heard(report.domains, now)
            self._state.set_levels(self._watch.levels)
        answer = self._state.heard(report, now, recovery)
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

    async def pools(
        self, known: Mapping[str, PoolView] | None = None, wait_s: float = 0.0
    ) -> dict[str, PoolView]:
        """For the gateway's admission: once they differ from ``known`` in what decides.

        At last after ``wait_s`` seconds, and at once without ``known``. So a gateway hears of a
        level as soon as the registry, and silence costs few calls.
        """
        until = clock.now() + wait_s
        while True:
            views = pool_views(self._state.reports(), self._watch.levels)
            left_s = until - clock.now()
            if known is None or left_s <= 0 or not decide_alike(views, known):
                return views
            await asyncio.sleep(min(VIEWS_LOOK_S, left_s))

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
            now = clock.now()
            for replica in self._state.tick(now):
                log.warning("replica forgotten after missed heartbeats", extra={"replica": replica})
            self._watch.tick(now)
            self._state.set_levels(self._watch.levels)
            await asyncio.sleep(TICK_S)

    async def _publish_forever(self) -> None:
        while True:
            domains = await self.memory()
            self._history.add(domains, clock.epoch())
            cluster_metrics.show(domains, await self.pools(), self._pools)
            await asyncio.sleep(PUBLISH_S)
