"""Readings of a contender's memory once a second, and what happened to its engines in between.

Two measures, as in serve_app/DESIGN.md: the whole contender is the sum of PSS over its processes
(memory.py), the engines of ours are what ending them would give back (RssAnon + RssShmem), which is
what their budget is about. The engines are found among the processes, not asked for: one that
leaves the server's books too early would still be counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import psutil

from serve_app.devices import process_memory
from tests.bench.contender import Contender, ContenderFailed
from tests.bench.http_servers import OcrServe
from tests.bench.memory import INTERVAL_S, pss_bytes


@dataclass(frozen=True, slots=True)
class Engines:
    """The engines of ours at one moment; bytes.

    Attributes:
        pids: of the processes, in order.
        held_bytes: what all of them hold now.
        peak_bytes: the sum of what each has held at most since its page began. They need not have
            held it at the same time, so the true peak is at most this.
        told_bytes, budget_bytes: the same and its limit, as GET /v1/memory tells them; None if it
            did not answer.
    """

    pids: tuple[int, ...]
    held_bytes: int
    peak_bytes: int
    told_bytes: int | None
    budget_bytes: int | None

    @property
    def most_bytes(self) -> int:
        """The largest of the three."""
        return max(self.held_bytes, self.peak_bytes, self.told_bytes or 0)


@dataclass(frozen=True, slots=True)
class Reading:
    """A contender at one moment.

    Attributes:
        at_s: seconds since the first request; negative before it.
        answered: requests so far, failed ones too.
        pss_bytes: all its processes.
        engines: None for a contender that has none.
    """

    at_s: float
    answered: int
    pss_bytes: int
    engines: Engines | None


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """An engine process was there for the first time, or no longer."""

    at_s: float
    pid: int
    what: Literal["started", "ended"]


@contextlib.asynccontextmanager
async def watched(
    contender: Contender, zero: float, answered: Callable[[], int]
) -> AsyncIterator[list[Reading]]:
    """Read the contender while the block runs; the list begins with one reading, and grows.

    Args:
        zero: what ``at_s`` is counted from, on the monotonic clock.
        answered: how many requests have been answered so far.
    """

    async def read() -> Reading:
        return await _read(contender, time.monotonic() - zero, answered())

    async def watch() -> None:
        due = time.monotonic()
        while True:
            due = max(due + INTERVAL_S, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            readings.append(await read())

    readings = [await read()]
    task = asyncio.create_task(watch())
    try:
        yield readings
    finally:
        task.cancel()
        # A watch that had failed raises here: a soak with half its readings says nothing.
        with contextlib.suppress(asyncio.CancelledError):
            await task


def engine_events(readings: Iterable[Reading]) -> list[EngineEvent]:
    """What changed from each reading to the next. Pure."""
    events: list[EngineEvent] = []
    there: set[int] = set()
    for reading in readings:
        now = set(reading.engines.pids) if reading.engines else set()
        events += [EngineEvent(reading.at_s, pid, "ended") for pid in sorted(there - now)]
        events += [EngineEvent(reading.at_s, pid, "started") for pid in sorted(now - there)]
        there = now
    return events


async def _read(contender: Contender, at_s: float, answered: int) -> Reading:
    # In threads: the kernel walks the page tables of large processes for this.
    pss = await asyncio.to_thread(lambda: pss_bytes(contender.processes()))
    engines = await _read_engines(contender) if isinstance(contender, OcrServe) else None
    return Reading(at_s, answered, pss, engines)


async def _read_engines(server: OcrServe) -> Engines:
    processes = await asyncio.to_thread(server.engines)
    pids, held_bytes, peak_bytes = _measure(processes)
    told = budget = None
    with contextlib.suppress(ContenderFailed):
        memory = await server.memory()
        told, budget = memory["ours_bytes"], memory["budget_bytes"]
    return Engines(pids, held_bytes, peak_bytes, told, budget)


def _measure(processes: Sequence[psutil.Process]) -> tuple[tuple[int, ...], int, int]:
    """Pids of those that are still there, and the sums of what they hold and have held."""
    found = {process.pid: process_memory.read(process.pid) for process in processes}
    there = {pid: memory for pid, memory in sorted(found.items()) if memory is not None}
    held = sum(memory.resident_bytes for memory in there.values())
    return tuple(there), held, sum(memory.peak_bytes for memory in there.values())
