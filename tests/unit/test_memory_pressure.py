"""The level of a memory domain: named cases first, then random sequences of readings."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.messages import LEVELS, DomainReading, Level
from serve_app.policy.memory_pressure import ACTIONS, Crossing, PressureGauge
from serve_app.settings import PressureSettings

TOTAL = 1000


def reading(used: int, domain: str = "ram:a") -> DomainReading:
    """``used`` thousandths of the domain."""
    return DomainReading(domain, "ram", TOTAL, used)


def gauge(**changes: float) -> PressureGauge:
    return PressureGauge(PressureSettings.model_validate(changes))


def levels(*used: int) -> list[Level]:
    """The level after each reading, with the default settings: 0.80, 0.95, 0.98, 0.02."""
    one = gauge()
    result = []
    for value in used:
        one.update(reading(value))
        result.append(one.level("ram:a"))
    return result


@pytest.mark.parametrize(
    ("used", "level"),
    [
        (0, "normal"),
        (799, "normal"),
        (800, "warning"),
        (949, "warning"),
        (950, "critical"),
        (979, "critical"),
        (980, "emergency"),
        (1000, "emergency"),
        (1001, "emergency"),
    ],
)
def test_a_level_is_entered_at_its_threshold(used: int, level: Level) -> None:
    assert levels(used) == [level]


def test_a_level_is_left_below_its_threshold_less_the_hysteresis() -> None:
    assert levels(800, 780, 779) == ["warning", "warning", "normal"]
    assert levels(950, 930, 929) == ["critical", "critical", "warning"]
    assert levels(980, 960, 959) == ["emergency", "emergency", "critical"]


def test_a_jump_over_levels_is_one_crossing() -> None:
    one = gauge()
    up, down = reading(990), reading(100)
    assert one.update(up) == Crossing("normal", "emergency", up)
    assert one.update(down) == Crossing("emergency", "normal", down)


def test_a_crossing_says_what_a_log_line_needs() -> None:
    crossing = gauge().update(reading(960))
    assert crossing is not None
    assert (crossing.domain, crossing.used_fraction, crossing.rising) == ("ram:a", 0.96, True)


def test_a_falling_level_is_not_rising() -> None:
    one = gauge()
    one.update(reading(960))
    crossing = one.update(reading(10))
    assert crossing is not None
    assert not crossing.rising


def test_staying_at_a_level_is_no_crossing() -> None:
    one = gauge()
    assert one.update(reading(850)) is not None
    assert [one.update(reading(used)) for used in (800, 949, 790, 850)] == [None] * 4


def test_a_domain_never_read_is_normal() -> None:
    assert gauge().level("gpu:nobody") == "normal"
    assert gauge().levels == {}


def test_a_domain_of_unknown_size_is_normal() -> None:
    assert gauge().update(DomainReading("ram:a", "ram", 0, 0)) is None


def test_a_forgotten_domain_starts_as_normal() -> None:
    one = gauge()
    one.update(reading(960))
    one.forget("ram:a")
    one.forget("ram:a")
    assert one.levels == {}
    again = one.update(reading(940))
    assert again is not None
    assert (again.before, again.after) == ("normal", "warning")


def test_levels_is_a_copy() -> None:
    one = gauge()
    one.update(reading(10))
    one.levels["ram:a"] = "critical"
    assert one.levels == {"ram:a": "normal"}


def test_a_higher_level_asks_for_all_that_a_lower_one_does() -> None:
    assert tuple(ACTIONS) == LEVELS
    assert all(ACTIONS[lower] < ACTIONS[higher] for lower, higher in pairwise(LEVELS))
    assert ACTIONS["normal"] == frozenset()


@pytest.mark.parametrize(
    ("action", "begins_at"),
    [
        ("trim", "warning"),
        ("evict_idle", "critical"),
        ("unload_idle", "emergency"),
    ],
)
def test_each_action_begins_at_its_level(action: str, begins_at: Level) -> None:
    assert next(level for level in LEVELS if action in ACTIONS[level]) == begins_at


# --- random sequences ---------------------------------------------------------------------------

FRACTIONS = st.integers(0, TOTAL)
SEQUENCES = st.lists(FRACTIONS, max_size=20)


@st.composite
def any_settings(draw: st.DrawFn) -> PressureSettings:
    """Thresholds in order, also closer together than the hysteresis."""
    warning, critical, emergency = sorted(
        draw(st.lists(st.integers(1, 999), min_size=3, max_size=3, unique=True))
    )
    return PressureSettings(
        warning=warning / TOTAL,
        critical=critical / TOTAL,
        emergency=emergency / TOTAL,
        hysteresis=draw(st.integers(0, min(199, warning - 1))) / TOTAL,
    )


def thresholds(chosen: PressureSettings) -> dict[Level, float]:
    return {
        "normal": float("-inf"),
        "warning": chosen.warning,
        "critical": chosen.critical,
        "emergency": chosen.emergency,
    }


@settings(deadline=None)
@given(any_settings(), SEQUENCES)
def test_the_level_is_always_one_that_the_reading_allows(
    chosen: PressureSettings, sequence: list[int]
) -> None:
    one = PressureGauge(chosen)
    for used in sequence:
        one.update(reading(used))
        level, fraction = one.level("ram:a"), used / TOTAL
        entered = [name for name, at in thresholds(chosen).items() if fraction >= at]
        kept = [n for n, at in thresholds(chosen).items() if fraction >= at - chosen.hysteresis]
        assert LEVELS.index(entered[-1]) <= LEVELS.index(level) <= LEVELS.index(kept[-1])


@settings(deadline=None)
@given(any_settings(), SEQUENCES)
def test_crossings_are_exactly_the_changes_and_form_a_chain(
    chosen: PressureSettings, sequence: list[int]
) -> None:
    one = PressureGauge(chosen)
    last: Level = "normal"
    for used in sequence:
        crossing = one.update(reading(used))
        assert (crossing is not None) == (one.level("ram:a") != last)
        if crossing is not None:
            assert (crossing.before, crossing.after) == (last, one.level("ram:a"))
        last = one.level("ram:a")


@settings(deadline=None)
@given(any_settings(), SEQUENCES, FRACTIONS, st.data())
def test_readings_within_the_band_never_flap(
    chosen: PressureSettings, before: list[int], low: int, data: st.DataObject
) -> None:
    """Whatever came before: once a reading is taken, others less than the hysteresis away from
    each other can only raise the level."""
    width = max(round(chosen.hysteresis * TOTAL) - 1, 0)
    within = data.draw(st.lists(st.integers(low, low + width), max_size=15))
    one = PressureGauge(chosen)
    for used in [*before, low]:
        one.update(reading(used))
    crossings = [crossing for used in within if (crossing := one.update(reading(used)))]
    assert all(crossing.rising for crossing in crossings)
    assert len(crossings) <= 3


@settings(deadline=None)
@given(any_settings(), SEQUENCES, FRACTIONS, FRACTIONS)
def test_more_memory_used_is_never_a_lower_level(
    chosen: PressureSettings, before: list[int], one_used: int, other_used: int
) -> None:
    ranks = []
    for used in sorted((one_used, other_used)):
        one = PressureGauge(chosen)
        for value in [*before, used]:
            one.update(reading(value))
        ranks.append(LEVELS.index(one.level("ram:a")))
    assert ranks == sorted(ranks)


@settings(deadline=None)
@given(any_settings(), SEQUENCES)
def test_rising_readings_never_lower_the_level_and_falling_ones_never_raise_it(
    chosen: PressureSettings, sequence: list[int]
) -> None:
    one = PressureGauge(chosen)
    up = [one.update(reading(used)) for used in sorted(sequence)]
    down = [one.update(reading(used)) for used in sorted(sequence, reverse=True)]
    assert all(crossing.rising for crossing in up if crossing)
    assert not any(crossing.rising for crossing in down if crossing)


@settings(deadline=None)
@given(any_settings(), st.lists(st.tuples(st.sampled_from("abc"), FRACTIONS), max_size=20))
def test_domains_do_not_touch_each_other_in_whatever_order(
    chosen: PressureSettings, mixed: list[tuple[str, int]]
) -> None:
    together, apart = PressureGauge(chosen), PressureGauge(chosen)
    mixed_crossings = [together.update(reading(used, domain)) for domain, used in mixed]
    sorted_crossings = [  # stable: the order within a domain stays
        apart.update(reading(used, domain)) for domain, used in sorted(mixed, key=lambda it: it[0])
    ]
    assert together.levels == apart.levels
    for domain in "abc":
        assert [it for it in mixed_crossings if it and it.domain == domain] == [
            it for it in sorted_crossings if it and it.domain == domain
        ]


@settings(deadline=None)
@given(any_settings(), SEQUENCES)
def test_without_hysteresis_the_past_does_not_matter(
    chosen: PressureSettings, sequence: list[int]
) -> None:
    flat = chosen.model_copy(update={"hysteresis": 0.0})
    one = PressureGauge(flat)
    for used in sequence:
        one.update(reading(used))
        fresh = PressureGauge(flat)
        fresh.update(reading(used))
        assert one.level("ram:a") == fresh.level("ram:a")
