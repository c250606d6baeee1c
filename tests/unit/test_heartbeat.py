"""When a replica reports: on a clock of its own, and with singletons that answer at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from serve_app.deployments import heartbeat
from serve_app.deployments.heartbeat import DEBOUNCE_S, INTERVAL_S, PAGES_S, Heartbeat, Reporter
from serve_app.facts import HeartbeatAnswer


class Registry:
    """Notes when it was told, on the test's clock."""

    def __init__(self, now: Callable[[], float], gap_s: float) -> None:
        self.heard: list[float] = []
        self._now, self._gap_s = now, gap_s
        self.report = self

    async def remote(self, *_: object) -> HeartbeatAnswer:
        self.heard.append(self._now())
        return HeartbeatAnswer((), frozenset(), 0, gap_s=self._gap_s)


class Silent:
    """A reporter without anything to say."""

    domains = ()

    def __getattr__(self, _: str) -> Callable[..., Silent]:
        return lambda *_: self


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """[now]; waits pass at once, unless the event that ends them is set before."""
    now = [0.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    async def wait_for(event: asyncio.Event, timeout_s: float) -> None:
        if timeout_s > 0 and not event.is_set():
            now[0] += timeout_s

    monkeypatch.setattr(heartbeat, "_pause", sleep)
    monkeypatch.setattr(heartbeat, "_wait_for", wait_for)
    return now


async def gap_after(
    clock: list[float], happens: Callable[[Heartbeat], None], gap_s: float = DEBOUNCE_S
) -> float:
    """Seconds between two reports, if this happens right after the first."""
    registry = Registry(lambda: clock[0], gap_s)
    beat = Heartbeat(cast(Reporter, Silent()), registry, None)
    reported = asyncio.Event()

    class Ended(Exception):
        pass

    told = registry.remote

    async def remote(*args: Any) -> HeartbeatAnswer:
        if reported.is_set():
            await told()
            raise asyncio.CancelledError
        reported.set()
        answer = await told()
        happens(beat)
        return answer

    registry.remote = remote  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await beat.run()
    first, second = registry.heard
    return round(second - first, 3)


@pytest.mark.parametrize(
    ("happens", "gap_s", "expected"),
    [
        (lambda beat: None, DEBOUNCE_S, INTERVAL_S),
        (Heartbeat.used, DEBOUNCE_S, PAGES_S),
        (Heartbeat.changed, DEBOUNCE_S, DEBOUNCE_S),
        (Heartbeat.urgent, DEBOUNCE_S, DEBOUNCE_S),
        (Heartbeat.crossed, DEBOUNCE_S, DEBOUNCE_S),
        (Heartbeat.used, 0.7, 0.7),
        (Heartbeat.changed, 0.7, 0.7),
        (Heartbeat.urgent, 0.7, DEBOUNCE_S),
        (lambda beat: None, 2.0, 2.0),
        (Heartbeat.urgent, 2.0, DEBOUNCE_S),
    ],
)
async def test_how_soon_what_is_reported(
    clock: list[float], happens: Callable[[Heartbeat], None], gap_s: float, expected: float
) -> None:
    assert await gap_after(clock, happens, gap_s) == expected
