"""Whether Ray can place what a configuration books: needs against nodes. Pure.

Ray itself never says that something cannot be placed: it waits for a node, for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from serve_app.policy.sizing import as_gib
from serve_app.settings import AppSettings, PoolSettings

# As app.py books it: the registry.
SINGLETON_CPUS = 0.05
# On nodes that stay as they are, a worker that has waited this long waits for ever.
FULL_WAIT_S = 10.0
_CLOSE = 1e-6  # Ray counts in ten-thousandths


@dataclass(frozen=True, slots=True)
class Resources:
    """What a replica books, or what a node has (bytes of memory)."""

    cpus: float = 0.0
    gpus: float = 0.0
    memory_bytes: float = 0.0

    def fits(self, node: Resources) -> bool:
        """Whether a node has as much."""
        return (
            self.cpus <= node.cpus + _CLOSE
            and self.gpus <= node.gpus + _CLOSE
            and self.memory_bytes <= node.memory_bytes
        )

    def lacking(self, node: Resources) -> str:
        """What the node has too little of: needed against available; empty if it fits."""
        parts = []
        if self.cpus > node.cpus + _CLOSE:
            parts.append(f"{self.cpus:g} CPUs, and {node.cpus:g} are there")
        if self.gpus > node.gpus + _CLOSE:
            parts.append(f"{self.gpus:g} of a GPU, and {node.gpus:g} are there")
        if self.memory_bytes > node.memory_bytes:
            parts.append(
                f"{as_gib(self.memory_bytes)} of memory, and {as_gib(node.memory_bytes)} are there"
            )
        return "; ".join(parts)


def worker(pool: PoolSettings) -> Resources:
    """What one worker of the pool books."""
    return Resources(pool.num_cpus, pool.num_gpus, pool.memory_bytes)


def at_least(pool: PoolSettings) -> int:
    """Workers without which the pool is of no use: all of a fixed number, else the first."""
    scaling = pool.autoscaling
    return pool.num_replicas if scaling is None else max(scaling.min_replicas, 1)


def without_gpu(settings: AppSettings, machine: Resources) -> dict[str, PoolSettings]:
    """Pools that will have no worker on this machine for want of a GPU, and are not missing.

    They may have none (``autoscaling.min_replicas: 0``), and another pool takes their pages.
    """
    pools = settings.pools
    if machine.gpus or all(pool.num_gpus for pool in pools.values()):
        return {}
    return {name: pool for name, pool in pools.items() if pool.num_gpus and pool.starts_empty}


def problems(settings: AppSettings, machine: Resources) -> list[str]:
    """Why the application can never be whole on this one machine; a line each, empty if it can."""
    gateway, empty = settings.gateway, without_gpu(settings, machine)
    pools = {name: pool for name, pool in settings.pools.items() if name not in empty}
    cpus = [
        (
            f"gateway {gateway.num_replicas} x {gateway.num_cpus:g}",
            gateway.num_replicas,
            gateway.num_cpus,
        ),
        *(
            (f"pool {name} {at_least(p)} x {p.num_cpus:g}", at_least(p), p.num_cpus)
            for name, p in pools.items()
        ),
        ("registry 1 x 0.05", 1, SINGLETON_CPUS),
    ]
    found = []
    needed = sum(count * each for _, count, each in cpus)
    if needed > machine.cpus + _CLOSE:
        found.append(
            f"too few CPUs: {needed:g} are booked ({_named(cpus)}), and {machine.cpus:g} are there"
        )
    gpus = [(name, at_least(p), p.num_gpus) for name, p in pools.items() if p.num_gpus]
    needed = sum(count * each for _, count, each in gpus)
    if needed > machine.gpus + _CLOSE:
        what = "no GPU" if machine.gpus == 0 else "too few GPUs"
        named = ", ".join(f"pool {name} {count} x {each:g}" for name, count, each in gpus)
        found.append(f"{what}: {needed:g} are booked ({named}), and {machine.gpus:g} are there")
    memory = [(name, at_least(p), p.memory_bytes) for name, p in pools.items()]
    wanted = sum(count * each for _, count, each in memory)
    if wanted > machine.memory_bytes:
        named = ", ".join(f"pool {name} {count} x {as_gib(each)}" for name, count, each in memory)
        found.append(
            f"too little memory: {as_gib(wanted)} are booked ({named}), and "
            f"{as_gib(machine.memory_bytes)} are there for workers"
        )
    return found


def no_node_for(pool: str, needed: Resources, nodes: Sequence[Resources]) -> str | None:
    """Why no node could hold a worker of the pool even if it were empty; None if one could."""
    if any(needed.fits(node) for node in nodes):
        return None
    if not nodes:
        return f"pool {pool} has no worker: there is no node"
    closest = max(nodes, key=lambda node: (node.gpus, node.memory_bytes, node.cpus))
    return f"pool {pool} has no worker: one needs {needed.lacking(closest)} on the largest node"


def _named(booked: Sequence[tuple[str, int, float]]) -> str:
    return ", ".join(name for name, count, each in booked if count * each)


@dataclass(frozen=True, slots=True)
class Unplaced:
    """Whether workers of a pool wait for a node, by what they book."""

    waits: bool

    @classmethod
    def of(cls, pool: PoolSettings, pending: Sequence[Resources]) -> Unplaced:
        """Ray tells what waits by its size only; a booking without memory is one, too."""
        needed = worker(pool)
        return cls(any(_same(needed, one) for one in pending))


def no_worker_reason(
    name: str,
    pool: PoolSettings,
    nodes: Sequence[Resources],
    unplaced: Unplaced,
    waited_s: float,
    *,
    may_grow: bool,
) -> str | None:
    """Why the pool gets no worker; None while it may get one.

    Args:
        waited_s: how long workers have waited for a node.
        may_grow: whether nodes may be added.
    """
    never = no_node_for(name, worker(pool), nodes)
    if not may_grow:
        if never is not None:
            return never
        waited_enough = waited_s >= min(FULL_WAIT_S, pool.place_timeout_s)
    else:
        waited_enough = waited_s >= pool.place_timeout_s
    if not (unplaced.waits and waited_enough):
        return None
    return never or (
        f"pool {name} has no worker: one needs {_told(worker(pool))}, and for "
        f"{waited_s:.0f} s no node has had that much free"
    )


def _same(needed: Resources, booked: Resources) -> bool:
    return (
        abs(needed.cpus - booked.cpus) < _CLOSE
        and abs(needed.gpus - booked.gpus) < _CLOSE
        and (not booked.memory_bytes or abs(needed.memory_bytes - booked.memory_bytes) <= 2**20)
    )


def _told(needed: Resources) -> str:
    parts = [f"{needed.cpus:g} CPUs"] if needed.cpus else []
    parts += [f"{needed.gpus:g} of a GPU"] if needed.gpus else []
    return ", ".join([*parts, f"{as_gib(needed.memory_bytes)} of memory"])
