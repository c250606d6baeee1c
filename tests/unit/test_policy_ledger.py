"""The ledger: what is opened is closed, and a task that has ended holds nothing."""

from __future__ import annotations

import random
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.policy import ledger as module
from serve_app.policy.ledger import Entry, Kind, Ledger, TaskEnded

KINDS: tuple[Kind, ...] = get_args(Kind)


def test_what_is_opened_and_closed_leaves_nothing() -> None:
    ledger = Ledger()
    ledger.open("a", "lease", "1")
    assert ledger.open_entries == 1
    assert ledger.close("a", "lease", "1")
    assert ledger.open_entries == 0
    assert ledger.close_task("a") == ()


def test_leftovers_are_named_last_opened_first() -> None:
    ledger = Ledger()
    turn = ledger.open("a", "turn", "1")
    ledger.open("a", "spool", "x")
    lease = ledger.open("a", "lease", "1")
    ledger.close("a", "spool", "x")
    assert ledger.close_task("a") == (lease, turn)
    assert ledger.open_entries == 0


def test_closing_twice_or_something_unknown_is_harmless() -> None:
    ledger = Ledger()
    ledger.open("a", "lease", "1")
    ledger.close("a", "lease", "1")
    assert not ledger.close("a", "lease", "1")
    assert not ledger.close("b", "lease", "1")
    assert ledger.totals() == {"lease": 0}


def test_opening_twice_counts_once() -> None:
    ledger = Ledger()
    ledger.open("a", "lease", "1")
    ledger.open("a", "lease", "1")
    assert ledger.open_entries == 1


def test_a_task_that_has_ended_opens_nothing_more() -> None:
    ledger = Ledger()
    ledger.close_task("a")
    with pytest.raises(TaskEnded):
        ledger.open("a", "reservation", "1")
    assert ledger.open_entries == 0


def test_tasks_do_not_share_entries() -> None:
    ledger = Ledger()
    ledger.open("a", "object_ref", "1")
    ledger.open("b", "object_ref", "1")
    assert ledger.close_task("a") == (Entry("a", "object_ref", "1"),)
    assert ledger.close_task("b") == (Entry("b", "object_ref", "1"),)


def test_totals_are_by_kind() -> None:
    ledger = Ledger()
    ledger.open("a", "lease", "1")
    ledger.open("b", "lease", "2")
    ledger.open("b", "turn", "1")
    assert ledger.totals() == {"lease": 2, "turn": 1}


def test_ended_tasks_are_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 3)
    ledger = Ledger()
    for task in "abcd":
        ledger.close_task(task)
    with pytest.raises(TaskEnded):
        ledger.open("b", "lease", "1")
    ledger.open("a", "lease", "1")
    assert ledger.open_entries == 1


STORIES = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 5), st.integers(0, 2)),
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(STORIES)
def test_no_story_leaves_something_open(story: list[tuple[int, int, int, int]]) -> None:
    play(story)


def test_three_thousand_random_stories_leave_nothing_open() -> None:
    for seed in range(3_000):
        chance = random.Random(seed)
        play(
            [
                (chance.randrange(6), chance.randrange(4), chance.randrange(6), chance.randrange(3))
                for _ in range(chance.randrange(5, 30))
            ]
        )


def play(story: list[tuple[int, int, int, int]]) -> None:
    """The ledger against a plain set of what is open."""
    ledger, held, ended = Ledger(), set[Entry](), set[str]()
    for what, task_number, kind_number, number in story:
        entry = Entry(f"task{task_number}", KINDS[kind_number], str(number))
        if what < 3:
            try:
                ledger.open(entry.task, entry.kind, entry.id)
                held.add(entry)
            except TaskEnded:
                assert entry.task in ended
        elif what < 5:
            assert ledger.close(entry.task, entry.kind, entry.id) == (entry in held)
            held.discard(entry)
        else:
            mine = {one for one in held if one.task == entry.task}
            assert set(ledger.close_task(entry.task)) == mine
            held -= mine
            ended.add(entry.task)
        assert ledger.open_entries == len(held) == sum(ledger.totals().values())
        assert all(count >= 0 for count in ledger.totals().values())
    for task_number in range(4):
        ledger.close_task(f"task{task_number}")
    assert ledger.open_entries == 0
