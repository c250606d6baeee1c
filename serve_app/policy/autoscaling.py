"""How many workers a pool should have: enough that its last page waits no longer than wanted. Pure.

The time that the pages waiting and running will take one worker, divided by the wanted wait. Two
rules on top: a pool never grows into a memory domain that is critical, and its last worker stays
for as long as a model is loaded in it (so it goes with the model's idle time-out).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from serve_app.messages import LEVELS

CRITICAL = LEVELS.index("critical")


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """What one worker last told.

    Attributes:
        pages: that wait or run in it.
        page_seconds: between two ends of pages while it has work; 0 before that was measured.
        engines: loaded in it.
        level: of the fullest memory domain that it uses, as an index of ``messages.LEVELS``.
    """

    pages: float
    page_seconds: float
    engines: float
    level: float


@dataclass(frozen=True, slots=True)
class PoolDemand:
    """A pool at one moment.

    Attributes:
        workers: those that run and have told something.
        target: how many workers are wanted so far.
        queued: pages that no worker has yet.
        page_seconds: of one worker; what to believe while no worker has measured it.
        shares_device: whether a further worker may come to the device of one that is there.
    """

    workers: Sequence[WorkerLoad]
    target: int
    queued: float
    page_seconds: float
    shares_device: bool = True


@dataclass(frozen=True, slots=True)
class DesiredWorkers:
    """The decision, before Serve's bounds and delays.

    Attributes:
        page_seconds: what it was computed with; to be remembered for times without a measurement.
        held: more are needed, but the memory is critical.
    """

    workers: int
    page_seconds: float
    held: bool = False


def desired_workers(demand: PoolDemand, target_wait_s: float) -> DesiredWorkers:
    """Workers with which the last page waits ``target_wait_s`` seconds at most."""
    page_seconds = _page_seconds(demand)
    pages = demand.queued + sum(worker.pages for worker in demand.workers)
    needed = math.ceil(pages * page_seconds / target_wait_s)
    if pages or any(worker.engines for worker in demand.workers):
        needed = max(needed, 1)
    critical = any(worker.level >= CRITICAL for worker in demand.workers)
    if needed > demand.target and critical and demand.shares_device:
        return DesiredWorkers(demand.target, page_seconds, held=True)
    return DesiredWorkers(needed, page_seconds)


def _page_seconds(demand: PoolDemand) -> float:
    measured = [worker.page_seconds for worker in demand.workers if worker.page_seconds]
    return sum(measured) / len(measured) if measured else demand.page_seconds
