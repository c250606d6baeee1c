"""WorkerOutlook: whether a pool without workers will get one, as far as Ray's nodes tell.

Ray waits for ever for a node that never comes, and so would every page. Asked for are the nodes'
sizes, and what waits to be placed (Ray's own answer to its autoscaler); ``policy/placement.py``
says what follows. Where nodes may be added, a pool counts as one without only after
``place_timeout_s``.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from serve_app import clock
from serve_app.errors import NoWorker
from serve_app.policy.placement import Resources, Unplaced, no_worker_reason
from serve_app.settings import PoolSettings
from serve_app.sizing import IN_KUBERNETES, more_may_come
from serve_app.telemetry import metrics

log = logging.getLogger("ocr_serve.gateway")

LOOK_S = 1.0
QUIET_LOOK_S = 5.0  # while nothing waits for a place
ASK_TIMEOUT_S = 3
FIRST_ANSWER_S = 0.8  # a request hears of it within a second

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ClusterView:
    """Nodes by what they have in all, what waits for a place, and whether nodes may be added."""

    nodes: tuple[Resources, ...]
    pending: tuple[Resources, ...]
    may_grow: bool


class WorkerOutlook:
    """See the module's docstring. For one event loop.

    Args:
        pools: as configured.
        ask: reads the cluster; blocks, and is called in a thread.
    """

    def __init__(
        self, pools: Mapping[str, PoolSettings], ask: Callable[[], ClusterView] | None = None
    ) -> None:
        self._pools, self._ask = pools, ask or ask_ray
        self._since: dict[str, float] = {}
        self._reasons: dict[str, str] = {}
        self._stands: dict[str, tuple[float, tuple[Resources, ...]]] = {}
        self._known = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._quiet = False

    def reason(self, pool: str) -> str | None:
        """Why no worker of the pool can be placed; None while one may come, or nobody knows."""
        return self._reasons.get(pool)

    async def first_answer(self) -> None:
        """Wait for the first look at the cluster, briefly."""
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look_forever())
        if not self._known.is_set():
            try:
                await asyncio.wait_for(self._known.wait(), FIRST_ANSWER_S)
            except asyncio.TimeoutError:
                log.info("no news of the nodes yet")

    async def unless_none_comes(
        self, pool: str, has_workers: Callable[[], bool], work: Awaitable[T]
    ) -> T:
        """The result of ``work``, a call to the pool's workers, which waits until there is one.

        Raises:
            NoWorker: there is none, and none will come. ``work`` is cancelled then.
        """
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait({task}, timeout=LOOK_S))[0]:
                reason = self.reason(pool)
                if reason is not None and not has_workers():
                    raise NoWorker(reason)
            return task.result()
        finally:
            task.cancel()

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look_forever(self) -> None:
        while True:
            try:
                self._judge(await asyncio.to_thread(self._ask), clock.now())
            except Exception as error:
                # The last answer stands; Ray's head may be away for a while.
                log.info("no news of the nodes", extra={"error": type(error).__name__})
            self._known.set()
            await asyncio.sleep(QUIET_LOOK_S if self._quiet else LOOK_S)

    def _judge(self, cluster: ClusterView, now: float) -> None:
        self._quiet = not cluster.pending
        for name, pool in self._pools.items():
            unplaced = Unplaced.of(pool, cluster.pending)
            since = self._since.setdefault(name, now) if unplaced.waits else now
            if not unplaced.waits:
                self._since.pop(name, None)
            reason = no_worker_reason(
                name, pool, cluster.nodes, unplaced, now - since, may_grow=cluster.may_grow
            )
            if reason is not None:
                self._stands[name] = now + pool.place_timeout_s, cluster.nodes
            elif self._still_stands(name, cluster, now):
                reason = self._reasons[name]
            self._tell(name, reason)

    def _still_stands(self, pool: str, cluster: ClusterView, now: float) -> bool:
        """Whether nothing is new since there was a reason.

        Pages that are turned away ask for no worker any more, so nothing waits for a place either;
        the next ones are not to find that out anew, each by waiting.
        """
        until, nodes = self._stands.get(pool, (now, ()))
        return pool in self._reasons and now < until and nodes == cluster.nodes

    def _tell(self, pool: str, reason: str | None) -> None:
        if reason is None:
            self._reasons.pop(pool, None)
        else:
            if pool not in self._reasons:
                log.warning("no worker will come", extra={"pool": pool, "cause": reason})
            self._reasons[pool] = reason
        metrics.no_worker.set(float(reason is not None), tags={"pool": pool})


def ask_ray() -> ClusterView:
    """The cluster that this process is part of."""
    import ray
    from ray.autoscaler.v2.sdk import get_cluster_status

    address = ray.get_runtime_context().gcs_address
    status = get_cluster_status(address, timeout=ASK_TIMEOUT_S)
    nodes = tuple(
        _resources(node["Resources"])
        for node in ray.nodes()
        if node["Alive"] and "Resources" in node
    )
    pending = tuple(
        _resources(request.bundle)
        for demand in status.resource_demands.ray_task_actor_demand
        for request in demand.bundles_by_count
    )
    coming = bool(status.pending_nodes or status.pending_launches)
    may_grow = coming or IN_KUBERNETES in os.environ or _may_grow()
    return ClusterView(nodes, pending, may_grow)


@functools.cache
def _may_grow() -> bool:
    """Once: looking at all processes takes milliseconds, and the answer does not change."""
    return more_may_come()


def _resources(told: Mapping[str, Any]) -> Resources:
    return Resources(
        float(told.get("CPU", 0)), float(told.get("GPU", 0)), float(told.get("memory", 0))
    )
