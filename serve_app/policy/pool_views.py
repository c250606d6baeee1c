"""What the gateway needs to know of the pools, from the replicas' last reports. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from serve_app.messages import LEVELS, DeviceKind, Level, ReplicaReport
from serve_app.policy.registry_views import device_domain


@dataclass(frozen=True, slots=True)
class PoolView:
    """One pool over all its living replicas.

    Attributes:
        level: of the domain of its least pressed replica.
        budget_bytes: the largest budget of a replica.
        queued: pages that wait.
        drain_rate: pages that end per second; None before any did.
    """

    pool: str
    device: DeviceKind
    replicas: int
    level: Level
    budget_bytes: int
    queued: int
    drain_rate: float | None

    @property
    def deciding(self) -> tuple[object, ...]:
        """What a page's way depends on; the rest is for its Retry-After."""
        return self.device, self.replicas, self.level, self.budget_bytes


def decide_alike(some: Mapping[str, PoolView], others: Mapping[str, PoolView]) -> bool:
    """Whether a page would go the same way by both."""
    return {name: view.deciding for name, view in some.items()} == {
        name: view.deciding for name, view in others.items()
    }


def pool_views(
    reports: Iterable[ReplicaReport], levels: Mapping[str, Level]
) -> dict[str, PoolView]:
    """By name of the pool; a pool without a living replica is not in it."""
    by_pool: dict[str, list[ReplicaReport]] = {}
    for report in reports:
        by_pool.setdefault(report.pool, []).append(report)
    return {pool: _view(pool, found, levels) for pool, found in by_pool.items()}


def _view(pool: str, reports: list[ReplicaReport], levels: Mapping[str, Level]) -> PoolView:
    pressed = (levels.get(device_domain(report) or "", "normal") for report in reports)
    rates = [report.drain_rate for report in reports if report.drain_rate is not None]
    return PoolView(
        pool=pool,
        device=reports[0].device,
        replicas=len(reports),
        level=min(pressed, key=LEVELS.index),
        budget_bytes=max(report.budget_bytes for report in reports),
        queued=sum(report.queued for report in reports),
        drain_rate=sum(rates) if rates else None,
    )
