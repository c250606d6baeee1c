from __future__ import annotations

from serve_app.policy.drain_rate import DrainRate


def test_it_is_not_known_before_two_have_ended() -> None:
    rate = DrainRate()
    assert rate.per_second(10) is None
    rate.ended(10, left=3)
    assert rate.per_second(11) is None
    rate.ended(11, left=2)
    assert rate.per_second(12) == 1


def test_a_stall_lowers_it() -> None:
    rate = DrainRate()
    for second in range(10):
        rate.ended(second, left=5)
    assert rate.per_second(10) == 1
    assert rate.per_second(100) == 0.1


def test_time_without_work_does_not_count() -> None:
    rate = DrainRate()
    for second in range(5):
        rate.ended(second, left=4 - second)
    assert rate.per_second(1000) is None
    rate.ended(1000, left=8)
    rate.ended(1000.5, left=8)
    assert rate.per_second(1001) == 2


def test_time_between_ends_is_told_after_four_of_them_in_a_row_of_work() -> None:
    rate = DrainRate()
    for second in (0.0, 2.0, 4.0):
        rate.ended(second, left=1)
        assert rate.seconds_between() is None
    rate.ended(6.0, left=1)
    assert rate.seconds_between() == 2.0
    rate.ended(7.0, left=0)
    assert rate.seconds_between() is None
