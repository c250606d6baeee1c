"""Which pool a page goes to: the first of the configuration, or the next one under pressure.

Carries out ``policy.admission.decide_at_gateway`` on a snapshot that is up to a second old. The
replica decides exactly. A call between replicas is 3 to 8 ms of CPU in two processes: the registry
answers when there is something new, and while there are no pages nobody asks it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from serve_app import clock
from serve_app.changes import until_set
from serve_app.errors import MemoryPressure, NoWorker
from serve_app.messages import Priority
from serve_app.policy.admission import FallBack, FallbackFacts, PoolFacts, Reject, decide_at_gateway
from serve_app.policy.pool_views import PoolView
from serve_app.settings import PoolSettings

log = logging.getLogger("ocr_serve.gateway")

REFRESH_S = 0.5
TIMEOUT_S = 2.0
# The registry answers so late if nothing is new.
WAIT_S = 2.0
# So long after the last page it goes on asking.
QUIET_S = 10.0
# What a page after a rest, or the first one, waits for news at most: some 5 ms, with a registry.
NEWS_S = 0.5


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a page goes first, and where it may go then.

    Attributes:
        fell_back: whether ``pool`` is not the first of the configuration.
        empty: whether it has no worker, and gets one when it is asked (``pool_starter.py``).
    """

    pool: str
    fallback: FallbackFacts | None
    fell_back: bool
    empty: bool = False

    @property
    def next(self) -> Choice | None:
        """The fallback, from which there is none; None without one."""
        return Choice(self.fallback.pool, None, True) if self.fallback else None


class PoolChoice:
    """See the module's docstring.

    Args:
        registry: a Serve handle.
        no_worker: why no worker of a pool is to come; None while one may.
    """

    def __init__(
        self,
        pools: Mapping[str, PoolSettings],
        registry: Any,
        no_worker: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._pools, self._no_worker = pools, no_worker
        self._news = registry.pools  # once: a handle makes a new one for each look at a method
        self._views: Mapping[str, PoolView] = {}
        self._followers, self._left_at = 0, 0.0
        self._wanted, self._young = asyncio.Event(), asyncio.Event()

    @contextlib.asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """For the pages of a document: the snapshot is young, unless the registry is away."""
        self._followers += 1
        self._wanted.set()
        try:
            if not self._young.is_set():
                await until_set(self._young, NEWS_S)
            yield
        finally:
            self._followers -= 1
            self._left_at = clock.now()

    async def refresh_forever(self) -> None:
        """Keep the snapshot young while it is followed; without the registry the last stands."""
        while True:
            known = self._views if self._young.is_set() else None
            try:
                self._views = await asyncio.wait_for(self._ask(known), WAIT_S + TIMEOUT_S)
            except Exception as error:
                log.info("no news of the pools", extra={"error": type(error).__name__})
            self._young.set()  # there is nothing younger to wait for
            await asyncio.sleep(REFRESH_S)
            if not self._followers and clock.now() - self._left_at > QUIET_S:
                self._young.clear()
                self._wanted.clear()
                await self._wanted.wait()

    def choose(self, priority: Priority) -> Choice:
        """For a page that comes now.

        Raises:
            MemoryPressure: no pool takes new work.
            NoWorker: no pool has a worker, and none is to come.
        """
        alive = [name for name in self._pools if self._takes_work(name)]
        if not alive:
            raise NoWorker("; ".join(filter(None, map(self._no_worker, self._pools))))
        first, others = alive[0], alive[1:]
        fallback = self._fallback(others[0]) if others else None
        view = self._views.get(first)
        if view is None:
            fell_back = first != next(iter(self._pools))
            return Choice(first, fallback, fell_back, empty=self._pools[first].starts_empty)
        decision = decide_at_gateway(
            PoolFacts(
                level=view.level,
                priority=priority,
                estimate_bytes=0,
                budget_bytes=view.budget_bytes,
                queue_timeout_s=self._pools[first].queue_timeout_s,
                fallback=fallback,
                queued=view.queued,
                drain_rate=view.drain_rate,
            )
        )
        if isinstance(decision, FallBack):
            return Choice(decision.pool, None, True)
        if isinstance(decision, Reject):
            raise MemoryPressure(decision.message, float(decision.retry_after_s or 1))
        return Choice(first, fallback, first != next(iter(self._pools)))

    def workers(self, pool: str) -> int:
        """How many the pool has had lately."""
        view = self._views.get(pool)
        return view.replicas if view else 0

    def _takes_work(self, pool: str) -> bool:
        if pool not in self._views and self._no_worker(pool):
            return False
        # Before the first news nobody is known to be away.
        return pool in self._views or self._pools[pool].starts_empty or not self._views

    def _fallback(self, pool: str) -> FallbackFacts:
        # The page's estimate there is not known here; the pool's own replica looks at it.
        view = self._views.get(pool)
        if view is None:  # no worker yet
            return FallbackFacts(pool, "normal", 0, self._pools[pool].memory_bytes)
        return FallbackFacts(pool, view.level, 0, view.budget_bytes)

    async def _ask(self, known: Mapping[str, PoolView] | None) -> Mapping[str, PoolView]:
        views: Mapping[str, PoolView] = await self._news.remote(known, WAIT_S)
        return views
