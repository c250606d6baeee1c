from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.policy.key_limits import KeyUse


def test_without_a_limit_nothing_waits() -> None:
    use = KeyUse()
    for _ in range(1000):
        assert use.seconds_until_allowed(None, 0.0) == 0
        use.begin()


def test_a_minutes_requests_may_come_at_once_and_then_one_at_a_time() -> None:
    use = KeyUse()
    for _ in range(30):
        assert use.seconds_until_allowed(30, 100.0) == 0
        use.begin()
    assert use.seconds_until_allowed(30, 100.0) == pytest.approx(2.0)
    assert use.seconds_until_allowed(30, 101.5) == pytest.approx(0.5)
    assert use.seconds_until_allowed(30, 102.0) == pytest.approx(0.0)


def test_what_was_asked_for_and_refused_costs_nothing() -> None:
    use = KeyUse()
    use.seconds_until_allowed(1, 0.0)
    use.begin()
    for second in range(60):
        assert use.seconds_until_allowed(1, second) == pytest.approx(60 - second)


def test_a_limit_that_is_changed_applies_at_once() -> None:
    use = KeyUse()
    assert use.seconds_until_allowed(600, 0.0) == 0
    use.begin()
    for _ in range(2):
        assert use.seconds_until_allowed(2, 0.0) == 0
        use.begin()
    assert use.seconds_until_allowed(2, 0.0) > 0


@given(
    per_minute=st.floats(0.5, 1000),
    steps=st.lists(st.floats(0, 30), min_size=1, max_size=200),
)
def test_never_more_than_a_burst_and_the_rate(per_minute: float, steps: list[float]) -> None:
    use, now_s, let_in = KeyUse(), 0.0, 0
    for step in steps:
        now_s += step
        if use.seconds_until_allowed(per_minute, now_s) == 0:
            use.begin()
            let_in += 1
    assert let_in <= max(1.0, per_minute) + now_s * per_minute / 60 + 1e-6
    assert use.running == let_in
    for _ in range(let_in):
        use.end()
    assert use.running == 0
