"""One contender through all requests of the soak. A failed request is a fact, not the end."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.contender import Contender, ContenderFailed
from tests.bench.corpus import Sample
from tests.bench.session import say
from tests.bench.soak_watch import Reading, watched

SAY_EVERY = 25


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the soak of one contender.

    Attributes:
        at_once: clients, each with one request at a time.
        pages_s: no request is sent later than this after the first one.
        deadline_s: of each request.
        before_s, after_s: how long memory is read before the first request and after the last.
    """

    at_once: int
    pages_s: float
    deadline_s: float
    before_s: float
    after_s: float


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: when it was sent (as Reading.at_s), how long it took, why it failed if so."""

    page: str
    sent_s: float
    took_s: float
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Track:
    """All that was seen of one contender.

    Attributes:
        wanted: how many requests there were to send.
        answers: in the order in which they came.
        pages_end_s: when the last one had come.
        readings: before, between and after them.
    """

    contender: str
    wanted: int
    answers: list[Answer]
    pages_end_s: float
    readings: list[Reading]


async def run(contender: Contender, requests: Sequence[Sample], limits: Limits) -> Track:
    """Start it, ask it everything, watch its memory, stop it. ContenderFailed: no start."""
    answers: list[Answer] = []
    try:
        say(f"{contender.name}: starting")
        await contender.start()
        zero = time.monotonic() + limits.before_s
        async with watched(contender, zero, lambda: len(answers)) as readings:
            await asyncio.sleep(max(zero - time.monotonic(), 0))
            await _ask(contender, requests, limits, zero, answers)
            pages_end_s = time.monotonic() - zero
            say(f"{contender.name}: waiting {limits.after_s:g} s")
            await asyncio.sleep(limits.after_s)
        return Track(contender.name, len(requests), answers, pages_end_s, readings)
    finally:
        say(f"{contender.name}: stopping")
        await contender.stop()


async def _ask(
    contender: Contender,
    requests: Sequence[Sample],
    limits: Limits,
    zero: float,
    answers: list[Answer],
) -> None:
    """Send all requests that the time allows. Each has a deadline, so this ends."""
    waiting = deque(requests)

    async def client() -> None:
        while waiting and (sent := time.monotonic()) < zero + limits.pages_s:
            page = waiting.popleft()
            failure = await _failure(contender, page, limits.deadline_s)
            answers.append(Answer(page.name, sent - zero, time.monotonic() - sent, failure))
            if failure or len(answers) % SAY_EVERY == 0:
                say(f"{contender.name}: {len(answers)} of {len(requests)} pages {failure or ''}")

    clients = [asyncio.create_task(client()) for _ in range(limits.at_once)]
    try:
        await asyncio.gather(*clients)
    finally:
        for task in clients:
            task.cancel()


async def _failure(contender: Contender, page: Sample, deadline_s: float) -> str | None:
    """Why the page was not read; None if it was."""
    try:
        answer = await asyncio.wait_for(contender.read(page), deadline_s)
        return None if contender.texts(answer) else "an answer without text"
    except asyncio.TimeoutError:
        return f"no answer within {deadline_s:g} s"
    except (ContenderFailed, KeyError, ValueError) as error:  # the last two: not the protocol
        return str(error) or repr(error)
