from __future__ import annotations

import pytest

from serve_app.errors import OcrServeError, TooManyRequests
from serve_app.messages import Priority
from serve_app.policy.job_queue import (
    Head,
    OwnerUse,
    QueueBounds,
    QueueView,
    choose,
    entry,
    place,
    refusal,
    should_yield,
    upload_refusal,
)


def head(owner: str, number: int, priority: Priority = "batch") -> Head:
    return Head(f"{owner}{number}", owner, priority, number)


def chosen(*heads: Head, **served: float) -> str | None:
    uses = {owner: OwnerUse(pages) for owner, pages in served.items()}
    found = choose(QueueView(heads, uses))
    return found.job_id if found else None


def test_nobody_waits() -> None:
    assert choose(QueueView()) is None


def test_the_owner_who_has_had_fewest_pages_is_next() -> None:
    assert chosen(head("a", 1), head("b", 9), a=10, b=9) == "b9"


def test_of_equals_the_one_with_fewer_jobs_running_then_the_first() -> None:
    assert chosen(head("a", 1), head("b", 2)) == "a1"
    uses = {"a": OwnerUse(5, running=1), "b": OwnerUse(5, running=0)}
    found = choose(QueueView([head("a", 1), head("b", 2)], uses))
    assert found
    assert found.owner == "b"


def test_interactive_jobs_are_first_whoever_has_had_more() -> None:
    assert chosen(head("a", 1), head("b", 2, "interactive"), b=100) == "b2"


@pytest.mark.parametrize(
    ("pages", "own", "other", "yields"),
    [(4, 10, 6, True), (3, 10, 6, False), (4, 10, 7, False), (9, 10, 10, False)],
)
def test_a_turn_ends_for_an_owner_who_is_a_quantum_behind(
    pages: int, own: float, other: float, yields: bool
) -> None:
    uses = {"a": OwnerUse(own), "b": OwnerUse(other)}
    view = QueueView([head("b", 2)], uses)
    assert should_yield("a", "batch", pages, view, 4) is yields


def test_a_batch_turn_ends_at_once_for_an_interactive_job_and_not_the_other_way_round() -> None:
    interactive = QueueView([head("a", 5, "interactive")])
    assert should_yield("a", "batch", 1, interactive, 4)
    batch = QueueView([head("b", 5)], {"a": OwnerUse(1000)})
    assert not should_yield("a", "interactive", 100, batch, 4)


def test_own_jobs_do_not_end_a_turn() -> None:
    view = QueueView([head("a", 5)], {"a": OwnerUse(1000)})
    assert not should_yield("a", "batch", 100, view, 4)


def test_time_without_a_job_is_no_credit() -> None:
    assert entry(0, [500, 480]) == 480
    assert entry(490, [500, 480]) == 490
    assert entry(3, []) == 3


def test_a_place_counts_turns_of_owners() -> None:
    assert place(0, [], 0) == 1
    assert place(0, [900], 0) == 1
    assert place(2, [900, 1], 0) == 6
    assert place(0, [], 7) == 8


@pytest.mark.parametrize("jobs", [(1, 500), (500, 1), (50, 10), (3, 100)])
def test_two_owners_get_as_many_pages_whatever_the_size_of_their_jobs(
    jobs: tuple[int, int],
) -> None:
    """Owner b has jobs of ``jobs[1]`` pages, a of one page each; one driver, turns as it takes."""
    served = {"a": 0.0, "b": 0.0}
    left = {"a": [1] * 1000, "b": [jobs[1]] * jobs[0]}
    history: list[str] = []
    while all(left.values()) and len(history) < 400:
        heads = [head(owner, 1) for owner in left]
        uses = {owner: OwnerUse(pages) for owner, pages in served.items()}
        found = choose(QueueView(heads, uses))
        assert found
        owner, turn = found.owner, 0
        while left[owner][0]:
            turn += 1
            left[owner][0] -= 1
            served[owner] += 1
            history.append(owner)
            others = [one for one in heads if one.owner != owner]
            uses = {name: OwnerUse(pages) for name, pages in served.items()}
            if should_yield(owner, "batch", turn, QueueView(others, uses), 4):
                break
        if not left[owner][0]:
            del left[owner][0]
        assert abs(served["a"] - served["b"]) <= 8
    assert history.count("a") == pytest.approx(len(history) / 2, abs=8)


BOUNDS = QueueBounds(
    max_queued=10,
    max_queued_per_owner=5,
    max_stored_bytes=100,
    max_uploads_per_owner=3,
    max_upload_bytes_per_owner=50,
)


@pytest.mark.parametrize(
    ("queued", "of_owner", "stored", "new", "code"),
    [
        (9, 4, 90, 10, None),
        (10, 0, 0, 1, "queue_full"),
        (9, 5, 0, 1, "too_many_requests"),
        (0, 0, 90, 11, "storage_full"),
    ],
)
def test_what_is_refused(
    queued: int, of_owner: int, stored: int, new: int, code: str | None
) -> None:
    error = refusal(queued, of_owner, stored, new, BOUNDS)
    assert (error.code if isinstance(error, OcrServeError) else None) == code
    if error:
        assert error.retry_after_s


@pytest.mark.parametrize(
    ("count", "kept", "new", "key"),
    [
        (2, 40, 10, None),
        (3, 0, 1, "jobs.max_uploads_per_owner"),
        (0, 40, 11, "jobs.max_upload_bytes_per_owner"),
    ],
)
def test_which_uploads_are_refused(count: int, kept: int, new: int, key: str | None) -> None:
    error = upload_refusal(count, kept, new, BOUNDS)
    assert (error.config_key if isinstance(error, TooManyRequests) else None) == key
