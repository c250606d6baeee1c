"""When a replica reports: on a clock of its own, and with a registry that answers at once."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import cast

import pytest

from serve_app.messages import HeartbeatAnswer
from serve_app.worker import heartbeat
from serve_app.worker.heartbeat import DEBOUNCE_S, INTERVAL_S, PAGES_S, Heartbeat, Reporter


class Registry:
    """Notes when it was told, on the test's clock; the second report is the last.

    ``happens``: what happens while it answers the first one.
    """

    def __init__(self, clock: list[float], gap_s: float) -> None:
        self.heard: list[float] = []
        self.readings_due: list[bool] = []
        self.happens: Callable[[], None] = lambda: None
        self._clock, self._gap_s = clock, gap_s
        self.report = self.deregister = self

    async def remote(self, _: object, __: object, readings_due: bool) -> HeartbeatAnswer:
        self.heard.append(self._clock[0])
        self.readings_due.append(readings_due)
        if len(self.heard) == 2:
            raise asyncio.CancelledError
        self.happens()
        return HeartbeatAnswer((), frozenset(), 0, gap_s=self._gap_s)


class Silent:
    """A reporter without anything to say."""

    def __getattr__(self, _: str) -> Callable[..., Silent]:
        return lambda *_: self


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """[now]; waits pass at once, unless the event that ends them is set before."""
    now = [0.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    async def until_set(event: asyncio.Event, timeout_s: float) -> None:
        if timeout_s > 0 and not event.is_set():
            now[0] += timeout_s

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(heartbeat, "until_set", until_set)
    return now


async def two_reports(
    clock: list[float], happens: Callable[[Heartbeat], None], gap_s: float
) -> Registry:
    """Which has heard two reports; this happens while it answers the first."""
    registry = Registry(clock, gap_s)
    beat = Heartbeat(cast(Reporter, Silent()), registry)
    registry.happens = functools.partial(happens, beat)
    with pytest.raises(asyncio.CancelledError):
        await beat.run()
    return registry


async def gap_after(
    clock: list[float], happens: Callable[[Heartbeat], None], gap_s: float
) -> float:
    """Seconds between two reports, if this happens right after the first."""
    first, second = (await two_reports(clock, happens, gap_s)).heard
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


@pytest.mark.parametrize(
    ("happens", "second_is_due"),
    [(lambda beat: None, False), (Heartbeat.urgent, False), (Heartbeat.crossed, True)],
)
async def test_readings_are_for_the_watch_at_first_and_when_a_level_was_crossed(
    clock: list[float],
    monkeypatch: pytest.MonkeyPatch,
    happens: Callable[[Heartbeat], None],
    second_is_due: bool,
) -> None:
    monkeypatch.setattr("serve_app.clock.now", lambda: 100 + clock[0])
    registry = await two_reports(clock, happens, DEBOUNCE_S)
    assert registry.readings_due == [True, second_is_due]


async def test_readings_that_the_registry_has_not_heard_are_told_again(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Heartbeat) -> None:
        raise ConnectionError

    monkeypatch.setattr("serve_app.clock.now", lambda: 100 + clock[0])
    assert (await two_reports(clock, fails, DEBOUNCE_S)).readings_due == [True, True]
