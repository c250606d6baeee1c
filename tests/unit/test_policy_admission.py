"""Admission: every row of the table, the order of the steps, and random replicas."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.errors import MemoryPressure, PageTooLargeForBudget
from serve_app.messages import LEVELS, Level, Priority
from serve_app.policy.admission import (
    TABLE,
    Admit,
    Evict,
    FallBack,
    FallbackFacts,
    IdleEngine,
    PageFacts,
    PoolFacts,
    Reject,
    Wait,
    decide,
    decide_at_gateway,
    retry_after_s,
    table_markdown,
)
from serve_app.policy.budget import ByteBudget

CPU = FallbackFacts("cpu", "normal", estimate_bytes=40, budget_bytes=100)


def page(**changes: Any) -> PageFacts:
    """A page of 50 bytes in a replica of 100 that has 60 left, at level normal."""
    facts = PageFacts(
        level="normal",
        priority="interactive",
        estimate_bytes=50,
        needed_bytes=50,
        left_bytes=60,
        budget_bytes=100,
        queue_timeout_s=300,
    )
    return dataclasses.replace(facts, **changes)


def idle(name: str, held_bytes: int, idle_s: float) -> IdleEngine:
    return IdleEngine(name, 1, held_bytes, idle_s)


def test_a_page_that_fits_goes() -> None:
    assert decide(page()) == Admit()
    assert decide(page(needed_bytes=60)) == Admit()


def test_else_own_idle_engines_are_evicted_least_recently_used_first() -> None:
    engines = (idle("new", 30, 1), idle("old", 30, 100), idle("middle", 30, 10))
    assert decide(page(left_bytes=30, evictable=engines)) == Evict((engines[1],))
    assert decide(page(left_bytes=5, evictable=engines)) == Evict((engines[1], engines[2]))


def test_no_engine_is_evicted_needlessly() -> None:
    engines = (idle("small and old", 5, 100), idle("large", 50, 10))
    assert decide(page(left_bytes=10, evictable=engines)) == Evict((engines[1],))
    # Together they would not be enough: then none.
    assert decide(page(left_bytes=0, needed_bytes=90, evictable=engines)) == Wait("memory", 300)


def test_an_engine_that_earlier_pages_made_large_is_replaced_by_a_fresh_one() -> None:
    own, other = idle("own", 70, 1), idle("other", 20, 5)
    aged = page(estimate_bytes=120, fresh_bytes=75, needed_bytes=50, left_bytes=10, own_engine=own)
    assert decide(aged) == Evict((own,))
    # With another one, if that alone is not enough.
    assert decide(dataclasses.replace(aged, left_bytes=0, evictable=(other,))) == Evict(
        (own, other)
    )
    # Not if another engine's growth beyond the budget takes the room.
    assert decide(dataclasses.replace(aged, needed_bytes=60)) == Wait("memory", 300)
    # It stays if a fresh engine would need as much, or would not fit either.
    needy = dataclasses.replace(aged, estimate_bytes=90, fresh_bytes=None, needed_bytes=20)
    assert decide(needy) == Wait("memory", 300)
    assert decide(dataclasses.replace(aged, fresh_bytes=90)) == Wait("memory", 300)


def test_what_fits_on_a_fresh_engine_is_not_too_large() -> None:
    own = idle("own", 95, 1)
    aged = page(estimate_bytes=101, fresh_bytes=60, needed_bytes=6, left_bytes=5, own_engine=own)
    assert decide(aged) == Evict((own,))


def test_while_an_eviction_is_under_way_no_other_is_started() -> None:
    engines = (idle("other", 50, 100),)
    facts = page(left_bytes=10, leaving_bytes=40, evictable=engines)
    assert decide(facts) == Wait("eviction", 300)
    assert decide(dataclasses.replace(facts, leaving_bytes=39)) == Evict(engines)


def test_else_it_waits_up_to_the_queue_deadline() -> None:
    assert decide(page(left_bytes=0)) == Wait("memory", 300)
    assert decide(page(left_bytes=0, arriving=False, waited_s=299)) == Wait("memory", 1)


def test_after_the_deadline_it_falls_back() -> None:
    late = page(left_bytes=0, arriving=False, waited_s=300, fallback=CPU)
    assert decide(late) == FallBack("cpu", "waited 300 s for memory")


def test_after_the_deadline_without_a_fallback_it_is_rejected() -> None:
    late = page(left_bytes=7, arriving=False, waited_s=301, queued=9, drain_rate=0.5)
    decision = decide(late)
    assert isinstance(decision, Reject)
    assert decision.code == MemoryPressure.code
    assert (decision.needed_bytes, decision.limit_bytes) == (50, 7)
    assert decision.retry_after_s == 20


def test_after_the_deadline_it_still_goes_if_it_fits() -> None:
    assert decide(page(arriving=False, waited_s=1000)) == Admit()


def test_a_page_does_not_overtake_one_that_waits_for_memory() -> None:
    assert decide(page(pages_ahead=1)) == Wait("turn", 300)


def test_a_page_above_the_whole_budget_is_refused_at_once_with_the_numbers() -> None:
    decision = decide(page(estimate_bytes=101, needed_bytes=101))
    assert isinstance(decision, Reject)
    assert decision.code == PageTooLargeForBudget.code
    assert (decision.needed_bytes, decision.limit_bytes) == (101, 100)
    assert decision.retry_after_s is None
    assert "101" in decision.message
    assert "100" in decision.message


def test_a_page_above_the_whole_budget_goes_where_it_fits() -> None:
    roomy = FallbackFacts("cpu", "normal", estimate_bytes=120, budget_bytes=200)
    decision = decide(page(estimate_bytes=101, fallback=roomy))
    assert isinstance(decision, FallBack)
    cramped = dataclasses.replace(roomy, estimate_bytes=201)
    refused = decide(page(estimate_bytes=101, fallback=cramped))
    assert isinstance(refused, Reject)
    assert (refused.code, refused.limit_bytes) == ("page_too_large_for_budget", 200)


def test_a_page_that_fits_only_where_there_is_pressure_may_come_again() -> None:
    pressed = FallbackFacts("cpu", "critical", estimate_bytes=120, budget_bytes=200)
    decision = decide(page(estimate_bytes=101, fallback=pressed))
    assert isinstance(decision, Reject)
    assert (decision.code, decision.retry_after_s) == ("memory_pressure", 5)


def test_at_warning_batch_pages_wait_and_interactive_ones_go() -> None:
    assert decide(page(level="warning")) == Admit()
    assert decide(page(level="warning", priority="batch")) == Wait("level", 300)


def test_at_critical_new_pages_go_to_the_fallback_pool_or_are_rejected() -> None:
    assert decide(page(level="critical", fallback=CPU)) == FallBack("cpu", "the memory is critical")
    decision = decide(page(level="critical"))
    assert isinstance(decision, Reject)
    assert (decision.code, decision.retry_after_s) == ("memory_pressure", 5)


def test_at_critical_a_page_that_was_accepted_before_waits_on() -> None:
    waiting = page(level="critical", arriving=False, waited_s=10)
    assert decide(waiting) == Wait("level", 290)
    assert isinstance(decide(dataclasses.replace(waiting, waited_s=300)), Reject)


@pytest.mark.parametrize("level", ["critical", "emergency"])
def test_a_fallback_pool_under_pressure_is_none(level: Level) -> None:
    pressed = dataclasses.replace(CPU, level=level)
    assert isinstance(decide(page(level="critical", fallback=pressed)), Reject)


def test_a_fallback_pool_at_warning_takes_interactive_pages_only() -> None:
    warned = dataclasses.replace(CPU, level="warning")
    assert isinstance(decide(page(level="critical", fallback=warned)), FallBack)
    assert isinstance(decide(page(level="critical", priority="batch", fallback=warned)), Reject)


def test_a_fallback_pool_that_the_page_cannot_fit_into_is_none() -> None:
    small = dataclasses.replace(CPU, estimate_bytes=101)
    assert isinstance(decide(page(level="critical", fallback=small)), Reject)


PRIORITIES: tuple[Priority, ...] = ("interactive", "batch")


def test_the_table_has_every_combination_once() -> None:
    wanted = [
        (level, priority, fallback)
        for level in LEVELS
        for priority in PRIORITIES
        for fallback in (True, False)
    ]
    assert list(TABLE) == wanted


@pytest.mark.parametrize("key", TABLE)
def test_every_row_of_the_table_is_what_is_decided(key: tuple[Level, Priority, bool]) -> None:
    level, priority, has_fallback = key
    facts = page(level=level, priority=priority, fallback=CPU if has_fallback else None)
    types = {"admit": Admit, "wait": Wait, "fall back": FallBack, "reject": Reject}
    rule = TABLE[key]
    assert type(decide(facts)) is types[rule.new]
    waiting = dataclasses.replace(facts, arriving=False, waited_s=10)
    assert type(decide(waiting)) is types[rule.waiting]
    overdue = dataclasses.replace(waiting, waited_s=300, left_bytes=0)
    assert type(decide(overdue)) is types[rule.overdue]


def test_only_a_pool_with_a_fallback_falls_back() -> None:
    for (_, _, fallback), rule in TABLE.items():
        assert fallback or "fall back" not in (rule.new, rule.waiting, rule.overdue)
        assert rule.overdue in ("fall back", "reject")


def test_the_table_is_rendered_with_all_its_rows() -> None:
    lines = table_markdown().splitlines()
    assert len(lines) == 2 + len(TABLE)
    assert {line.count("|") for line in lines} == {8}
    assert lines[0].startswith("| Level | Priority |")
    assert "| critical | interactive | no | 503 `memory_pressure` | wait |" in lines[11]


@pytest.mark.parametrize(
    ("queued", "rate", "seconds"),
    [(0, 1.0, 1), (9, 0.5, 20), (9, 100, 1), (500, 1.0, 60), (3, None, 5), (3, 0.0, 5)],
)
def test_retry_after_is_the_time_to_drain(queued: int, rate: float | None, seconds: int) -> None:
    assert retry_after_s(queued, rate) == seconds


def test_retry_after_of_a_rate_near_zero_is_the_longest() -> None:
    assert retry_after_s(10, 5e-324) == 60


def pool(**changes: Any) -> PoolFacts:
    facts = PoolFacts("normal", "interactive", 50, 100, queue_timeout_s=300)
    return dataclasses.replace(facts, **changes)


def test_the_gateway_decides_by_level_and_by_what_can_never_fit() -> None:
    assert decide_at_gateway(pool()) == Admit()
    assert decide_at_gateway(pool(level="warning", priority="batch")) == Wait("level", 300)
    assert isinstance(decide_at_gateway(pool(level="critical", fallback=CPU)), FallBack)
    assert isinstance(decide_at_gateway(pool(level="emergency")), Reject)
    assert isinstance(decide_at_gateway(pool(estimate_bytes=101)), Reject)


# A replica that does what is decided, with a random day.

STORIES = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(1, 130), st.floats(0, 8)),
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(STORIES)
def test_no_day_of_a_replica_breaks_a_promise(story: list[tuple[int, int, int, float]]) -> None:
    Replica().live(story)


def test_two_thousand_random_days_break_no_promise() -> None:
    seen = set[type]()
    for seed in range(2_000):
        chance, replica = random.Random(seed), Replica()
        replica.live(
            [
                (
                    chance.randrange(6),
                    chance.randrange(4),
                    chance.randrange(1, 130),
                    8 * chance.random(),
                )
                for _ in range(chance.randrange(5, 25))
            ]
        )
        seen |= replica.seen
    assert seen == {Admit, Evict, Wait, FallBack, Reject}


class Replica:
    """Pages on engines of three models; the account and the decisions are the real ones."""

    def __init__(self) -> None:
        self.budget, self.now = ByteBudget(100), 0.0
        self.level: Level = "normal"
        self.waiting: dict[str, tuple[int, float, Priority]] = {}
        self.running: dict[str, str] = {}
        self.used_at: dict[str, float] = {}
        self.held: dict[str, int] = {}
        self.seen: set[type] = set()
        self.arrived = self.left = 0

    def live(self, story: list[tuple[int, int, int, float]]) -> None:
        for what, number, size, passed in story:
            self.now += passed
            match what:
                case 0 | 1 | 2:
                    self.arrived += 1
                    priority: Priority = "batch" if number == 3 else "interactive"
                    self.waiting[f"page{self.arrived}"] = (size, self.now, priority)
                    self.ask(f"page{self.arrived}", arriving=True)
                case 3 | 4 if self.running:
                    self.end(sorted(self.running)[number % len(self.running)])
                case 5:
                    self.level = LEVELS[number]
            for task in list(self.waiting):
                self.ask(task, arriving=False)
            self.check()
        self.level, self.now = "normal", self.now + 1000
        while self.running:
            self.end(min(self.running))
            for task in list(self.waiting):
                self.ask(task, arriving=False)
        for task in list(self.waiting):
            self.ask(task, arriving=False)
        for task in list(self.running):
            self.end(task)
        assert self.left == self.arrived, "a page is lost"
        assert self.budget.reserved_bytes == 0

    def ask(self, task: str, *, arriving: bool) -> None:
        size, since, priority = self.waiting[task]
        engine = next((name for name in "abc" if name not in self.running.values()), None)
        if engine is None:
            return
        facts = PageFacts(
            budget_bytes=100,
            level=self.level,
            priority=priority,
            estimate_bytes=size,
            needed_bytes=self.budget.needed_bytes(size, engine),
            left_bytes=self.budget.left_bytes,
            arriving=arriving,
            waited_s=self.now - since,
            queue_timeout_s=20,
            fallback=FallbackFacts("cpu", "normal", size, 100) if priority == "batch" else None,
            evictable=tuple(
                idle(name, held, self.now - self.used_at[name])
                for name, held in self.held.items()
                if name != engine and name not in self.running.values()
            ),
        )
        self.act(task, engine, decide(facts), facts)

    def act(self, task: str, engine: str, decision: object, facts: PageFacts) -> None:
        self.seen.add(type(decision))
        match decision:
            case Admit():
                assert self.budget.reserve(task, facts.estimate_bytes, engine), "over the budget"
                del self.waiting[task]
                self.running[task], self.used_at[engine] = engine, self.now
                self.held[engine] = max(self.held.get(engine, 0), facts.estimate_bytes * 9 // 10)
                self.budget.measured(engine, self.held[engine])
            case Evict(engines):
                assert (
                    sum(one.held_bytes for one in engines) >= facts.needed_bytes - facts.left_bytes
                )
                for one in engines:
                    assert one.model not in self.running.values(), "evicted under a page"
                    self.budget.gone(one.model)
                    del self.held[one.model]
                again = dataclasses.replace(facts, left_bytes=self.budget.left_bytes, evictable=())
                assert decide(again) == Admit(), "evicted for nothing"
                self.act(task, engine, Admit(), facts)
            case Wait(_, remaining_s):
                assert 0 < remaining_s <= 20
            case FallBack() | Reject():
                del self.waiting[task]
                self.left += 1

    def end(self, task: str) -> None:
        self.used_at[self.running.pop(task)] = self.now
        assert self.budget.release(task) > 0
        self.left += 1

    def check(self) -> None:
        assert self.budget.reserved_bytes <= self.budget.committed_bytes <= 100
        late = [task for task, (_, since, _) in self.waiting.items() if self.now - since > 20]
        assert not late or len(self.running) == 3, "a page waits beyond its deadline"
