"""The byte account: named cases, then thousands of random stories."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.policy.budget import ByteBudget


def test_an_idle_engine_counts_for_what_was_measured() -> None:
    budget = ByteBudget(100)
    budget.measured("ocr/1", 30)
    budget.measured("ocr/1", 35)
    assert (budget.committed_bytes, budget.left_bytes) == (35, 65)


def test_a_running_engine_counts_for_the_larger_of_measured_and_reserved() -> None:
    budget = ByteBudget(100)
    budget.measured("ocr/1", 30)
    assert budget.reserve("page", 50, "ocr/1")
    assert budget.committed_bytes == 50
    budget.measured("ocr/1", 60)
    assert budget.committed_bytes == 60


def test_a_loading_engine_counts_for_its_reservation_until_it_is_measured() -> None:
    budget = ByteBudget(100)
    assert budget.reserve("load", 40, "ocr/1")
    assert budget.committed_bytes == 40
    budget.measured("ocr/1", 25)
    assert budget.committed_bytes == 40
    budget.release("load")
    assert budget.committed_bytes == 25


def test_a_page_needs_only_what_its_engine_does_not_hold_yet() -> None:
    budget = ByteBudget(100)
    budget.measured("ocr/1", 70)
    assert budget.needed_bytes(90, "ocr/1") == 20
    assert budget.needed_bytes(60, "ocr/1") == 0
    assert budget.needed_bytes(60) == 60
    assert budget.reserve("page", 90, "ocr/1")


def test_what_does_not_fit_is_not_booked() -> None:
    budget = ByteBudget(100)
    budget.measured("ocr/1", 70)
    assert not budget.reserve("page", 31)
    assert (budget.committed_bytes, budget.reserved_bytes) == (70, 0)
    assert budget.reserve("page", 30)


def test_exactly_the_whole_budget_fits() -> None:
    assert ByteBudget(100).reserve("page", 100)


def test_a_page_that_loads_its_engine_is_not_counted_twice() -> None:
    budget = ByteBudget(100)
    assert budget.reserve("page", 90)
    assert budget.place("page", "ocr/1")
    budget.measured("ocr/1", 40)
    assert budget.committed_bytes == 90


def test_moving_a_reservation_off_its_engine_must_fit() -> None:
    budget = ByteBudget(100)
    budget.measured("ocr/1", 60)
    assert budget.reserve("page", 70, "ocr/1")
    assert not budget.place("page", None)
    assert budget.committed_bytes == 70


def test_releasing_twice_or_something_unknown_gives_nothing() -> None:
    budget = ByteBudget(100)
    budget.reserve("page", 30)
    assert [budget.release("page"), budget.release("page"), budget.release("?")] == [30, 0, 0]
    assert budget.left_bytes == 100


def test_a_second_reservation_of_a_task_is_an_error() -> None:
    budget = ByteBudget(100)
    budget.reserve("page", 30)
    with pytest.raises(ValueError, match="already"):
        budget.reserve("page", 1)


@pytest.mark.parametrize("total", [0, -1])
def test_a_budget_needs_bytes(total: int) -> None:
    with pytest.raises(ValueError, match="bytes"):
        ByteBudget(total)


def test_a_negative_reservation_is_an_error() -> None:
    with pytest.raises(ValueError, match="-1"):
        ByteBudget(100).reserve("page", -1)


def test_an_engine_that_outgrows_its_page_shows_as_excess() -> None:
    budget = ByteBudget(100)
    budget.reserve("page", 90, "ocr/1")
    budget.measured("ocr/1", 130)
    assert (budget.left_bytes, budget.excess_bytes) == (0, 30)
    assert not budget.reserve("other", 1, "ocr/2")
    # Not on that engine either: first the excess must come back.
    assert budget.needed_bytes(10, "ocr/1") == 30
    assert not budget.reserve("other", 10, "ocr/1")
    budget.gone("ocr/1")
    assert (budget.committed_bytes, budget.excess_bytes) == (90, 0)


STORIES = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 5), st.integers(0, 3), st.integers(0, 150)),
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(STORIES)
def test_no_story_promises_more_than_there_is(story: list[tuple[int, int, int, int]]) -> None:
    play(story)


def test_three_thousand_random_stories_promise_no_more_than_there_is() -> None:
    for seed in range(3_000):
        chance = random.Random(seed)
        play(
            [
                (
                    chance.randrange(7),
                    chance.randrange(6),
                    chance.randrange(4),
                    chance.randrange(80),
                )
                for _ in range(chance.randrange(5, 25))
            ]
        )


def play(story: list[tuple[int, int, int, int]]) -> None:
    """Reservations never exceed the total, nothing is negative, and all comes back."""
    budget, promised = ByteBudget(100), dict[str, int]()
    for what, task_number, engine_number, size in story:
        task, engine = f"task{task_number}", f"engine{engine_number}" if engine_number else None
        match what:
            case 0 | 1 | 2 if task not in promised:
                before, needed = budget.committed_bytes, budget.needed_bytes(size, engine)
                fits = needed <= budget.left_bytes
                assert budget.reserve(task, size, engine) == fits
                if fits:
                    promised[task] = size
                    assert budget.committed_bytes == before + needed <= 100
                else:
                    assert budget.committed_bytes == before > 100 - needed
            case 3:
                assert budget.release(task) == promised.pop(task, 0)
            case 4 if engine:
                budget.measured(engine, size)
            case 5 if engine:
                budget.gone(engine)
            case 6 if task in promised:
                before = budget.committed_bytes
                budget.place(task, engine)
                assert budget.committed_bytes <= max(before, 100)
        assert sum(promised.values()) == budget.reserved_bytes <= 100
        assert budget.left_bytes >= 0
        assert budget.excess_bytes >= 0
    for task in list(promised):
        budget.release(task)
    for number in range(4):
        budget.gone(f"engine{number}")
    assert (budget.committed_bytes, budget.left_bytes) == (0, 100)
