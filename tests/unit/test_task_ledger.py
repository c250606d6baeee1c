"""The ledger with its effects: what is shown, and what is an error in the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from serve_app.policy.ledger import TaskEnded
from serve_app.task_ledger import TaskLedger


class Shown(dict[str, int]):
    """A gauge."""

    def show(self, kind: str, count: int) -> None:
        self[kind] = count


@pytest.fixture
def log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("ocr_serve"), "propagate", True)
    return caplog


@asynccontextmanager
async def resource(events: list[str], fails: bool = False) -> AsyncIterator[str]:
    events.append("taken")
    try:
        yield "thing"
    finally:
        events.append("given back")
        if fails:
            raise OSError("not given back")


async def test_a_resource_is_open_for_the_length_of_its_block(
    log: pytest.LogCaptureFixture,
) -> None:
    shown, events = Shown(), list[str]()
    ledger = TaskLedger(shown.show)
    with ledger.task("a"):
        async with ledger.holding("a", "lease", resource(events)) as value:
            assert value == "thing"
            assert (ledger.open_entries, shown) == (1, {"lease": 1})
        assert (ledger.open_entries, shown) == (0, {"lease": 0})
    assert events == ["taken", "given back"]
    assert log.records == []


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_what_the_block_raises_passes_and_leaves_nothing_open(
    error: type[BaseException], log: pytest.LogCaptureFixture
) -> None:
    ledger, events = TaskLedger(), list[str]()
    with pytest.raises(error), ledger.task("a"):
        async with ledger.holding("a", "turn", resource(events)):
            raise error
    assert ledger.open_entries == 0
    assert events == ["taken", "given back"]
    assert log.records == []


async def test_a_release_that_fails_is_a_leak_with_its_kind_and_count(
    log: pytest.LogCaptureFixture,
) -> None:
    shown = Shown()
    ledger = TaskLedger(shown.show)
    with pytest.raises(OSError, match="not given back"), ledger.task("a"):
        async with ledger.holding("a", "reservation", resource([], fails=True)):
            pass
    (record,) = log.records
    assert record.levelname == "ERROR"
    assert (vars(record)["task_id"], vars(record)["open"]) == ("a", {"reservation": 1})
    assert (ledger.open_entries, shown) == (0, {"reservation": 0})


async def test_what_is_never_closed_is_a_leak_and_closing_it_late_is_harmless(
    log: pytest.LogCaptureFixture,
) -> None:
    shown = Shown()
    ledger = TaskLedger(shown.show)
    with ledger.task("a"):
        close, _ = ledger.open("a", "page_call"), ledger.open("a", "page_call")
        ledger.open("a", "spool")()
        assert shown == {"page_call": 2, "spool": 0}
    (record,) = log.records
    assert vars(record)["open"] == {"page_call": 2}
    close()
    assert (ledger.open_entries, shown) == (0, {"page_call": 0, "spool": 0})


async def test_a_task_that_has_ended_gets_nothing() -> None:
    ledger, events = TaskLedger(), list[str]()
    with ledger.task("a"):
        pass
    with pytest.raises(TaskEnded):
        async with ledger.holding("a", "lease", resource(events)):
            pytest.fail("not reached")
    assert events == ["taken", "given back"]
    assert ledger.open_entries == 0
