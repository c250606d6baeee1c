"""Pure rules of what comes in: the pace of a body, bytes shared, failures of an address."""

from __future__ import annotations

import pytest

from serve_app.policy.body_pace import BodyPace, slowest
from serve_app.policy.byte_budget import ByteBudget
from serve_app.policy.failed_logins import FailedLogins, group_of

PACE = BodyPace(timeout_s=300, min_bytes_per_s=100, grace_s=10)


@pytest.mark.parametrize(
    ("received", "due_s"),
    [(0, 10), (100, 11), (1000, 20), (29_000, 300), (10**9, 300)],
)
def test_the_bytes_that_came_buy_the_time_for_the_next(received: int, due_s: float) -> None:
    assert PACE.due_s(received) == due_s


def test_without_a_minimum_only_the_deadline_counts() -> None:
    pace = BodyPace(timeout_s=300, min_bytes_per_s=0, grace_s=10)
    assert pace.due_s(0) == 300


def test_the_slowest_is_the_one_with_the_lowest_rate_among_the_old() -> None:
    assert slowest([(0, 0.5), (500, 10), (10, 2), (10_000, 3)], 1.0) == 2
    assert slowest([(0, 0.5), (0, 0.9)], 1.0) is None
    assert slowest([], 1.0) is None


def test_what_one_holds_nobody_else_may() -> None:
    budget = ByteBudget(100)
    one, other = budget.share(), budget.share()
    assert one.grow_to(60)
    assert one.grow_to(10), "it holds that already"
    assert not other.grow_to(41)
    assert (other.held_bytes, budget.used_bytes) == (0, 60)
    assert other.grow_to(40)
    one.close()
    one.close()
    assert budget.used_bytes == 40


def test_failures_of_an_address_are_answered_up_to_its_rate() -> None:
    logins = FailedLogins(per_minute=3)
    assert [logins.failed("10.0.0.1", 0) for _ in range(4)] == [0, 0, 0, 20]
    assert logins.failed("10.0.0.2", 0) == 0, "another address is another matter"
    assert logins.failed("10.0.0.1", 19.9) > 0
    assert logins.failed("10.0.0.1", 20.0) == 0
    assert logins.failed("10.0.0.1", 20.0) > 0


def test_the_table_of_addresses_is_bounded() -> None:
    logins = FailedLogins(per_minute=1, max_addresses=2)
    for last in (1, 2, 3):
        assert logins.failed(f"10.0.0.{last}", 0) == 0
    assert len(logins._uses) == 2
    assert logins.failed("10.0.0.3", 0) > 0, "the latest is remembered"
    assert logins.failed("10.0.0.1", 0) == 0, "the oldest is forgotten"


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1%eth0", "2001:db8:1:2::/64"),
        ("unix", "unix"),
        ("", ""),
    ],
)
def test_who_is_one_address(address: str, group: str) -> None:
    assert group_of(address) == group
