"""The admission table of DESIGN.md, row by row, over HTTP, with simulated readings.

Rows with a fallback: the server of the other scenarios, whose pool `main` is on a GPU. Rows
without: a server with one pool, since readings of the RAM are those of every pool of a node.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import get_args

import httpx
import pytest

from serve_app.messages import LEVELS, Level, Priority
from serve_app.policy.admission import TABLE, Rule
from tests.documents import encoded, text_picture
from tests.e2e.ledger import domains, references
from tests.e2e.server import Server
from tests.e2e.waiting import eventually, still
from tests.spec.scene import PAIR, QUEUE_TIMEOUT_S, SHORT_QUEUE_TIMEOUT_S, Devices

pytestmark = [pytest.mark.spec, pytest.mark.slow]

HELLO = encoded(text_picture("Hello 42"), "png")
USED: dict[Level, float] = {"normal": 0.1, "warning": 0.85, "critical": 0.96, "emergency": 0.99}
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
# So large that an engine in it changes no level, and so small that none fits.
ROOMY, TIGHT = 2**36, 2**28
TIGHT_USED = 0.7
SERVED_WITHIN_S = 2.0
LOAD_S = 30.0


@dataclass(frozen=True)
class Pressed:
    """A server, and the device of its first pool."""

    server: Server
    devices: Devices
    fallback: bool

    @property
    def queue_timeout_s(self) -> float:
        """Of the first pool."""
        return QUEUE_TIMEOUT_S if self.fallback else SHORT_QUEUE_TIMEOUT_S

    def set(self, level: Level, *, tight: bool = False) -> None:
        """Change what the device tells: a level, with room for an engine or without."""
        total = TIGHT if tight else ROOMY
        used = TIGHT_USED if tight and level == "normal" else USED[level]
        if self.fallback:
            self.devices.set(gpu=used, gpu_total=total)
        else:
            self.devices.set(ram=used, ram_total=total)

    def press(self, level: Level, *, tight: bool = False) -> None:
        """The same, and wait until the server knows."""
        self.set(level, tight=tight)
        told = (level, TIGHT if tight else ROOMY)
        eventually(lambda: self._told() == told, 10, f"the server knows of {told}")

    def _told(self) -> tuple[str, int] | None:
        """None before the first report."""
        kind = "gpu" if self.fallback else "ram"
        own = (domain for domain in domains(self.server) if domain["kind"] == kind)
        return next(((it["level"], it["total_bytes"]) for it in own), None)

    def ask(self, priority: Priority) -> httpx.Response:
        """One page."""
        return self.server.parse(HELLO, model=PAIR, priority=priority)

    def loads(self) -> bool:
        """Whether the model has an engine, or is about to."""
        return bool(self.server.models()[PAIR]["state"] != "UNLOADED")

    def rule(self, level: Level, priority: Priority) -> Rule:
        """The row."""
        return TABLE[level, priority, self.fallback]

    def unload(self) -> None:
        """No engine of the model is left."""
        path = f"/v1/models/{PAIR}/unload"
        assert self.server.http.post(path, params={"timeout_s": "30"}).status_code == 200


@pytest.fixture
def pressed(
    request: pytest.FixtureRequest, fallback: bool, simulated: Devices
) -> Iterator[Pressed]:
    """The server for rows with a fallback or without; free memory before and after."""
    if fallback:
        found = Pressed(request.getfixturevalue("shared_server"), simulated, fallback=True)
    else:
        server, devices = request.getfixturevalue("one_pool")
        found = Pressed(server, devices, fallback=False)
    found.press("normal")
    yield found
    found.devices.set()


def assert_admitted(answer: httpx.Response) -> None:
    assert answer.status_code == 200, answer.text
    where = (answer.headers["x-ocr-pool"], answer.headers["x-ocr-fallback"])
    assert where == ("main", "false")


def assert_fell_back(answer: httpx.Response) -> None:
    assert answer.status_code == 200, answer.text
    where = (answer.headers["x-ocr-pool"], answer.headers["x-ocr-fallback"])
    assert where == ("spare", "true")


def assert_refused(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.json()["error"]["code"] == "memory_pressure"
    assert int(answer.headers["retry-after"]) >= 1


ASSERT: dict[str, Callable[[httpx.Response], None]] = {
    "admit": assert_admitted,
    "fall back": assert_fell_back,
    "reject": assert_refused,
}


@contextlib.contextmanager
def waiting_pages(pressed: Pressed) -> Iterator[dict[Priority, Future[httpx.Response]]]:
    """A page of each priority that waits in the first pool for the memory of an engine."""
    pressed.unload()
    pressed.press("normal", tight=True)
    with ThreadPoolExecutor() as pool:
        asked = {priority: pool.submit(pressed.ask, priority) for priority in PRIORITIES}
        try:
            eventually(lambda: references(pressed.server) == len(asked), 10, "they are there")
            still(lambda: not any(page.done() for page in asked.values()), 0.3, "they wait")
            yield asked
        finally:
            pressed.devices.set()


with_or_without = pytest.mark.parametrize("fallback", [True, False], ids=["fallback", "alone"])


@pytest.mark.parametrize(("level", "priority", "fallback"), TABLE)
def test_a_new_page(pressed: Pressed, level: Level, priority: Priority) -> None:
    """Admitted, made to wait, sent to the fallback pool or refused; and served afterwards."""
    pressed.press(level)
    rule = pressed.rule(level, priority)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(pressed.ask, priority)
        if rule.new == "wait":
            still(lambda: not asked.done(), 1, "it waits")
            pressed.press("normal")
            assert_admitted(asked.result())
            assert float(asked.result().headers["x-ocr-queue-seconds"]) > 0.5
        else:
            ASSERT[rule.new](asked.result())


@with_or_without
@pytest.mark.parametrize("level", LEVELS)
def test_pages_that_wait_for_memory(pressed: Pressed, level: Level) -> None:
    """WHEN the level changes meanwhile THEN each goes on as its row says."""
    with waiting_pages(pressed) as asked:
        pressed.press(level)
        verbs = {priority: pressed.rule(level, priority).waiting for priority in PRIORITIES}
        if "admit" in verbs.values():
            eventually(pressed.loads, 5, "one of them loads an engine")
        waits = {priority for priority, verb in verbs.items() if verb == "wait"}
        still(lambda: not any(asked[p].done() for p in waits), 0.5, "those that must do wait")
        # Before the others are done: a load may take longer than the queue's deadline.
        pressed.press("normal")
        for priority, verb in verbs.items():
            ASSERT["admit" if verb == "wait" else verb](asked[priority].result())


@with_or_without
@pytest.mark.parametrize("level", LEVELS)
def test_pages_that_have_waited_until_the_queue_deadline(pressed: Pressed, level: Level) -> None:
    """WHEN there is no room until then THEN the fallback pool, or 503."""
    rows = {priority: pressed.rule(level, priority) for priority in PRIORITIES}
    if any(rule.waiting == "fall back" for rule in rows.values()):
        pytest.skip("no page waits here: the fallback pool takes it at once")
    started = time.monotonic()
    with waiting_pages(pressed) as asked:
        pressed.press(level, tight=True)
        for priority, rule in rows.items():
            ASSERT[rule.overdue](asked[priority].result())
        assert time.monotonic() - started >= pressed.queue_timeout_s


@with_or_without
@pytest.mark.parametrize("level", ["critical", "emergency"])
def test_service_is_back_within_two_seconds(pressed: Pressed, level: Level) -> None:
    """WHEN the pressure ends THEN the first pool takes pages again.

    The load and the run of that page do not count: an emergency has unloaded its engine, and the
    first page of a new one takes longer than any other.
    """
    pressed.press(level)
    turned_away = assert_fell_back if pressed.fallback else assert_refused
    turned_away(pressed.ask("interactive"))
    pressed.set("normal")
    ended = time.monotonic()

    def served() -> float | None:
        answer = pressed.ask("interactive")
        if answer.status_code != 200 or answer.headers["x-ocr-pool"] != "main":
            return None
        assert answer.headers["x-ocr-fallback"] == "false"
        own = ("x-ocr-load-seconds", "x-ocr-run-seconds")
        return time.monotonic() - ended - sum(float(answer.headers[name]) for name in own)

    seconds = eventually(served, LOAD_S, "the first pool serves")
    print(f"served {seconds:.2f} s after the end of the level {level}")
    assert seconds <= SERVED_WITHIN_S
