"""A minute of mixed load in which processes are killed: `make chaos`. Seeded and bounded."""

from __future__ import annotations

import os
import random
import signal
import time
from itertools import pairwise

import pytest

from tests.documents import damaged_pdf
from tests.e2e.server import Server
from tests.e2e.waiting import eventually
from tests.faults.scene import BACK_WITHIN_S, Before, engine_pids, page, pages
from tests.faults.traffic import RETRYABLE, traffic
from tests.processes import command_of

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.long]

SEED = int(os.environ.get("OCR_SERVE_CHAOS_SEED", "1"))
SECONDS = 60.0
CLIENTS = 6
# Who asks again at once, hundreds of times a second, is refused as often while a model backs off.
PATIENCE_S = 1.0
DEADLINE_S = 60.0
KILLS = ["engine"] * 10 + ["pool-cpu"] * 2 + ["model-registry"] * 4
REFUSED = frozenset({"invalid_file", "page_failed"})


def mixed(chance: random.Random) -> bytes:
    """Mostly pages, some documents, some that fail."""
    kind = chance.random()
    if kind < 0.1:
        return damaged_pdf()
    if kind < 0.2:
        return page(fail="boom", number=chance.random())
    if kind < 0.4:
        return pages(chance.randint(2, 6), sleep_s=0.05)
    return page(sleep_s=0.05 + 0.3 * chance.random())


def test_no_request_is_lost_while_everything_is_killed_now_and_then(before: Before) -> None:
    server, chance = before.server, random.Random(SEED)
    kills = sorted((chance.uniform(1, SECONDS - 5), name) for name in KILLS)
    print(f"seed {SEED}: {[(round(at, 1), name) for at, name in kills]}")
    with traffic(
        server,
        mixed,
        clients=CLIENTS,
        timeout_s=2 * DEADLINE_S,
        patience_s=PATIENCE_S,
        seed=SEED,
    ) as seen:
        started = time.monotonic()
        for at, name in kills:
            time.sleep(max(started + at - time.monotonic(), 0))
            kill(server, name, chance)
        time.sleep(max(started + SECONDS - time.monotonic(), 0))
    print(f"{len(seen.requests)} requests: {dict(seen.outcomes())}")
    lost = [
        one
        for one in seen.requests
        if not (
            one.status == 200
            or one.code in REFUSED
            or (one.status in RETRYABLE and one.code is not None)
        )
    ]
    if lost:
        print(f"lost between {lost[0].began - started:.1f} and {lost[-1].ended - started:.1f} s")
    assert lost == []
    assert max(one.seconds for one in seen.requests) < DEADLINE_S
    assert len(seen.served()) > len(seen.requests) / 3
    answered = sorted(one.ended for one in seen.served())
    assert max(later - one for one, later in pairwise(answered)) < BACK_WITHIN_S
    before.assert_nothing_is_left()


def kill(server: Server, name: str, chance: random.Random) -> None:
    """One process of that name, once there is one."""

    def found() -> int | None:
        if name == "engine":
            pids = sorted(engine_pids(server))
            return chance.choice(pids) if pids else None
        title = f"ray::ServeReplica:ocr:{name}"
        return next((p.pid for p in server.processes() if title in " ".join(command_of(p))), None)

    os.kill(eventually(found, 30, f"there is a process of {name}"), signal.SIGKILL)
