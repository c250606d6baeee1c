"""The measurement of one pipeline: all contenders, interleaved in rounds.

Noise of the machine (a neighbour, a clock that falls) then meets all of them, and ratios are taken
within a round. Who is not measured is frozen: Ray alone would take a tenth of a core from others.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

import psutil

from tests.bench.contender import Contender
from tests.bench.corpus import Sample
from tests.bench.measure import Block, measure
from tests.bench.processes import cpu_seconds, freeze, thaw
from tests.word_f1 import compare, joined

# Mean size of a loaded contender; where not all of them fit, one is up at a time.
ROUGH_BYTES = 3.5 * 2**30
WARM_UP_PASSES = 2
IDLE_S = 10.0
# After a pause, timers of a server that has been frozen are all due at once.
SETTLE_S = 3.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        samples: one-page files, in this order in each block.
        many_pages: one file of several pages, read alone after each block with one at once.
        rounds: how often.
    """

    samples: Sequence[Sample]
    many_pages: Sample
    rounds: int


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Word F1 of one contender on the one-page files of one PDF."""

    contender: str
    source: str
    f1: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that was measured of one pipeline.

    Attributes:
        blocks: in the order of time.
        accuracies: per contender and file.
        idle_cpu: cores that a contender burns while it waits for requests.
        all_up: whether all contenders were up all the time.
    """

    blocks: list[Block]
    accuracies: list[Accuracy]
    idle_cpu: dict[str, float]
    all_up: bool


async def run(contenders: Sequence[Contender], plan: Plan) -> Outcome:
    """Measure. Whatever happens, every contender is stopped."""
    all_up = len(contenders) * ROUGH_BYTES < psutil.virtual_memory().available
    outcome = Outcome([], [], {}, all_up)
    if all_up:
        async with contextlib.AsyncExitStack() as stack:
            for contender in contenders:
                await stack.enter_async_context(_up(contender, plan, outcome))
                freeze(contender.processes())
            for number in range(1, plan.rounds + 1):
                for contender in rotated(contenders, number - 1):
                    thaw(contender.processes())
                    await asyncio.sleep(SETTLE_S)
                    await _turn(contender, plan, number, outcome)
                    freeze(contender.processes())
        return outcome
    say("not enough memory for all at once: each is started anew for each round")
    for number in range(1, plan.rounds + 1):
        for contender in rotated(contenders, number - 1):
            async with _up(contender, plan, outcome):
                await _turn(contender, plan, number, outcome)
    return outcome


def say(text: str) -> None:
    """A line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def rotated(contenders: Sequence[Contender], by: int) -> list[Contender]:
    """Another one begins each round."""
    start = by % len(contenders)
    return [*contenders[start:], *contenders[:start]]


@contextlib.asynccontextmanager
async def _up(contender: Contender, plan: Plan, outcome: Outcome) -> AsyncIterator[None]:
    """Start, warm up, see what it costs to have it; stop at the end."""
    try:
        say(f"{contender.name}: starting")
        await contender.start()
        say(f"{contender.name}: warming up")
        at_once = max(contender.at_once)
        for turn in range(WARM_UP_PASSES):
            # Another order, so that a page meets another engine: each has to see each shape.
            samples = [*plan.samples[turn:], *plan.samples[:turn]]
            await measure(contender, [*samples, plan.many_pages], at_once=at_once, number=0)
        outcome.idle_cpu[contender.name] = await _idle_cpu(contender)
        yield
    finally:
        thaw(contender.processes())
        say(f"{contender.name}: stopping")
        await contender.stop()


async def _turn(contender: Contender, plan: Plan, number: int, outcome: Outcome) -> None:
    """All blocks of one contender in one round."""
    for at_once in contender.at_once:
        block, answers = await measure(contender, plan.samples, at_once=at_once, number=number)
        outcome.blocks.append(block)
        say(describe(block))
        if number == 1 and at_once == contender.at_once[0]:
            lines = [contender.texts(answer) for answer in answers]
            outcome.accuracies.extend(accuracies(contender.name, plan.samples, lines))
    block, _ = await measure(contender, [plan.many_pages], at_once=1, number=number)
    outcome.blocks.append(block)
    say(describe(block))


def describe(block: Block) -> str:
    """One line about a block."""
    what = f"a file of {block.pages} pages" if block.many_pages else f"{block.pages} pages"
    return (
        f"round {block.round}, {block.contender}, {block.at_once} at once: {what} in "
        f"{block.wall_s:.1f} s, {block.pages_per_s:.2f} pages/s, "
        f"{block.cpu_s / block.pages:.2f} CPU s/page, {block.peak_bytes / 2**20:.0f} MiB"
    )


def accuracies(
    contender: str, samples: Iterable[Sample], lines: Iterable[list[str]]
) -> list[Accuracy]:
    """Word F1 per PDF: its pages together."""
    read: dict[str, list[str]] = {}
    truth: dict[str, list[str]] = {}
    for sample, text in zip(samples, lines, strict=True):
        if sample.truth:
            read.setdefault(sample.source, []).append(joined(text))
            truth.setdefault(sample.source, []).append(sample.truth)
    return [
        Accuracy(contender, source, compare(joined(read[source]), joined(truth[source])).f1)
        for source in read
    ]


async def _idle_cpu(contender: Contender) -> float:
    """Cores in use while nobody asks for anything."""
    before = cpu_seconds(contender.processes())
    await asyncio.sleep(IDLE_S)
    return (cpu_seconds(contender.processes()) - before) / IDLE_S
