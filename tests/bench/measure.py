"""One block of measurement: a list of samples through a contender, so many at once."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.contender import Contender, ContenderFailed
from tests.bench.corpus import Sample
from tests.bench.memory import PeakMemory
from tests.bench.processes import cpu_seconds

BLOCK_TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True)
class Block:
    """What one block has shown.

    Attributes:
        contender, at_once, round: which block; rounds count from 1.
        many_pages: the file of several pages instead of one-page files.
        pages, wall_s: of the whole block.
        latencies_s: of each request, in the order of the samples.
        cpu_s: CPU time of the contender's processes.
        peak_bytes: of its memory, see memory.py.
    """

    contender: str
    at_once: int
    round: int
    many_pages: bool
    pages: int
    wall_s: float
    latencies_s: tuple[float, ...]
    cpu_s: float
    peak_bytes: int

    @property
    def pages_per_s(self) -> float:
        """Throughput."""
        return self.pages / self.wall_s


async def measure(
    contender: Contender, samples: Sequence[Sample], *, at_once: int, number: int
) -> tuple[Block, list[bytes]]:
    """Read all samples once; the block, and the answers in the order of the samples.

    Raises:
        ContenderFailed: a request failed, or the block took longer than its deadline.
    """
    before = cpu_seconds(contender.processes())
    with PeakMemory(contender.processes) as memory:
        started = time.monotonic()
        answers, latencies = await _closed_loop(contender, samples, at_once)
        wall_s = time.monotonic() - started
        cpu_s = cpu_seconds(contender.processes()) - before
    block = Block(
        contender=contender.name,
        at_once=at_once,
        round=number,
        many_pages=any(sample.pages > 1 for sample in samples),
        pages=sum(sample.pages for sample in samples),
        wall_s=wall_s,
        latencies_s=tuple(latencies),
        cpu_s=cpu_s,
        peak_bytes=memory.peak_bytes,
    )
    return block, answers


async def _closed_loop(
    contender: Contender, samples: Sequence[Sample], at_once: int
) -> tuple[list[bytes], list[float]]:
    """``at_once`` clients, each of which sends its next request when the last is answered."""
    waiting = deque(enumerate(samples))
    answers, latencies = [b""] * len(samples), [0.0] * len(samples)

    async def client() -> None:
        while waiting:
            place, sample = waiting.popleft()
            sent = time.monotonic()
            answers[place] = await contender.read(sample)
            latencies[place] = time.monotonic() - sent

    clients = [asyncio.create_task(client()) for _ in range(at_once)]
    try:
        await asyncio.wait_for(asyncio.gather(*clients), BLOCK_TIMEOUT_S)
    except asyncio.TimeoutError:
        raise ContenderFailed(f"{contender.name}: over {BLOCK_TIMEOUT_S:g} s") from None
    finally:
        for task in clients:
            task.cancel()
    return answers, latencies
