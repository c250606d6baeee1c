"""Five times what the engines can do: as much is served as before, the rest is told so at once.

How fast is measured by tests/bench/head_to_head.py; here is what must hold however slow it is.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import httpx
import pytest

from serve_app.messages import Priority
from serve_app.testing.engine import faulty
from tests.documents import picture
from tests.e2e.ledger import domains
from tests.faults.scene import ENGINES, MIB, QUEUE_PAGES, Before
from tests.faults.traffic import Ended, ended

pytestmark = [pytest.mark.faults, pytest.mark.slow]

PAGE_S = 0.4
CAPACITY = ENGINES / PAGE_S  # pages/s of engines that wait
TIMES, SECONDS = 5, 12.0
BATCH_EVERY = 4
TIMEOUT_S = 60.0


async def offered(url: str, seconds: float, rate: float) -> list[tuple[Priority, Ended]]:
    """Requests at a steady rate, whether they are answered or not; every fourth is batch work."""
    body = faulty(picture("png"), sleep_s=PAGE_S)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(
        base_url=url, limits=limits, timeout=TIMEOUT_S, trust_env=False
    ) as http:

        async def ask(number: int) -> tuple[Priority, Ended]:
            priority: Priority = "interactive" if number % BATCH_EVERY else "batch"
            began, query = time.monotonic(), {"priority": priority}
            return priority, ended(began, await http.post("/v1/parse", content=body, params=query))

        began, tasks = time.monotonic(), list[asyncio.Task[tuple[Priority, Ended]]]()
        while (passed := time.monotonic() - began) < seconds:
            due = int(passed * rate) + 1 - len(tasks)
            tasks += [asyncio.create_task(ask(len(tasks) + n)) for n in range(due)]
            await asyncio.sleep(0.02)
        return list(await asyncio.gather(*tasks))


def test_more_than_can_be_done_is_refused_and_the_rest_is_done(before: Before) -> None:
    server = before.server
    answers = asyncio.run(offered(server.url, SECONDS, TIMES * CAPACITY))
    outcomes = Counter(answer.code or str(answer.status) for _, answer in answers)
    print(f"offered {TIMES * CAPACITY:g} pages/s for {SECONDS:g} s: {dict(outcomes)}")
    assert len(answers) >= 0.9 * TIMES * CAPACITY * SECONDS
    assert outcomes.keys() == {"200", "queue_full"}
    refused = [answer for _, answer in answers if answer.status != 200]
    assert {answer.status for answer in refused} == {503}
    # At most as long as a full queue takes, with room for an engine that is still starting.
    waits = [int(answer.retry_after or 0) for answer in refused]
    assert all(1 <= wait <= 4 * QUEUE_PAGES / CAPACITY for wait in waits), Counter(waits)
    served = [priority for priority, answer in answers if answer.status == 200]
    assert len(served) >= CAPACITY * SECONDS / 2, "engines were idle while work was refused"
    asked = [priority for priority, _ in answers]
    asked_batch = asked.count("batch") / len(asked)
    assert served.count("batch") / len(served) < asked_batch, "batch work yields"
    for domain in domains(server):
        engines = sum(engine["facts"]["memory_bytes"] for engine in domain["engines"])
        assert engines <= domain["budget_bytes"] + MIB
    before.assert_nothing_is_left()
