"""The life of a model: named cases first, then ten thousand random ones."""

from __future__ import annotations

import dataclasses
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.policy.model_lifecycle import (
    MAX_KILLED_LOADS,
    Action,
    Grant,
    ModelLifecycle,
    Refuse,
    StartEngine,
    StopEngine,
    WakeAt,
)


def model(max_engines: int = 1, grow_after_s: float = 1.0) -> ModelLifecycle:
    return ModelLifecycle(max_engines=max_engines, grow_after_s=grow_after_s)


def ready(max_engines: int = 1) -> ModelLifecycle:
    """A model with one loaded, free engine."""
    life = model(max_engines)
    life.acquire("first", 0)
    life.loaded(1, 0)
    life.release("first", 0)
    return life


def test_the_first_acquire_starts_an_engine() -> None:
    life = model()
    assert life.acquire("a", 0) == [StartEngine(1)]
    assert life.state == "LOADING"
    assert life.references == 1


def test_concurrent_acquires_share_one_load() -> None:
    life = model()
    life.acquire("a", 0)
    assert all(life.acquire(f"b{i}", 0) == [] for i in range(19))
    assert life.loaded(1, 5) == [Grant("a", 1)]
    assert life.references == 20


def test_waiters_are_served_in_order() -> None:
    life = model()
    for lease in "abc":
        life.acquire(lease, 0)
    assert life.loaded(1, 1) == [Grant("a", 1)]
    assert life.release("a", 2) == [Grant("b", 1)]
    assert life.release("b", 3) == [Grant("c", 1)]


def test_a_waiter_that_gives_up_is_forgotten() -> None:
    life = model()
    life.acquire("a", 0)
    life.acquire("b", 0)
    assert life.release("a", 1) == []
    assert life.loaded(1, 2) == [Grant("b", 1)]


def test_a_load_that_nobody_waits_for_any_more_stays_ready() -> None:
    life = model()
    life.acquire("a", 0)
    life.release("a", 1)
    assert life.loaded(1, 2) == []
    assert (life.state, life.references) == ("READY", 0)


def test_a_failed_load_fails_all_waiters_with_the_cause() -> None:
    life = model()
    life.acquire("a", 0)
    life.acquire("b", 0)
    assert life.load_failed(1, "no weights", 1) == [
        Refuse("a", "no weights"),
        Refuse("b", "no weights"),
    ]
    assert (life.state, life.references) == ("FAILED", 0)


def test_after_a_failed_load_the_model_backs_off_and_then_tries_again() -> None:
    life = model()
    life.acquire("a", 0)
    life.load_failed(1, "no weights", 10)
    (refused,) = life.acquire("b", 10.5)
    assert isinstance(refused, Refuse)
    assert "no weights" in refused.reason
    assert life.acquire("c", 11.1) == [StartEngine(2)]


def test_the_back_off_doubles_and_a_success_resets_it() -> None:
    life = model()
    life.acquire("a", 0)
    life.load_failed(1, "x", 0)
    life.acquire("b", 1)
    life.load_failed(2, "x", 1)
    assert isinstance(life.acquire("c", 2.5)[0], Refuse)
    assert life.acquire("d", 3) == [StartEngine(3)]
    life.loaded(3, 4)
    assert life.failure is None


def test_a_load_that_was_killed_is_tried_again_for_the_same_waiters() -> None:
    life = model()
    life.acquire("a", 0)
    assert life.load_killed(1, "ended with -9", 1) == [StartEngine(2)]
    assert (life.state, life.references) == ("LOADING", 1)
    assert life.load_killed(2, "ended with -9", 2) == [WakeAt(3)]
    assert (life.state, life.backs_off(2)) == ("UNLOADED", False)
    assert life.acquire("b", 2.5) == [WakeAt(3)]
    assert life.tick(3) == [StartEngine(3)]
    assert life.loaded(3, 4)[0] == Grant("a", 3)


def test_when_every_load_is_killed_the_waiters_hear_of_it() -> None:
    life = model()
    life.acquire("a", 0)
    for engine in range(1, MAX_KILLED_LOADS):
        life.load_killed(engine, "ended with -9", engine)
        life.tick(engine + 1)
    last = life.load_killed(MAX_KILLED_LOADS, "ended with -9", 10)
    assert last == [Refuse("a", "ended with -9")]
    assert life.backs_off(10.5)


def test_a_killed_load_after_a_success_counts_anew() -> None:
    life = model()
    for engine in (1, 3, 5, 7):
        now = 10.0 * engine
        assert life.acquire("a", now) == [StartEngine(engine)]
        assert life.load_killed(engine, "killed", now) == [StartEngine(engine + 1)]
        assert life.loaded(engine + 1, now) == [Grant("a", engine + 1)]
        life.release("a", now)
        assert life.unload(now, "idle") == [StopEngine(engine + 1, "idle")]
        life.stopped(engine + 1, now)


def test_a_second_engine_starts_only_after_a_wait() -> None:
    life = ready(max_engines=2)
    life.acquire("a", 10)
    assert life.acquire("b", 10) == [WakeAt(11)]
    assert life.tick(10.5) == [WakeAt(11)]
    assert life.tick(11) == [StartEngine(2)]
    assert life.tick(12) == []


def test_the_wait_for_a_second_engine_counts_from_the_end_of_the_first_load() -> None:
    life = model(max_engines=2)
    life.acquire("a", 0)
    life.acquire("b", 0)
    assert life.loaded(1, 8) == [Grant("a", 1), WakeAt(9)]


def test_never_more_engines_than_allowed() -> None:
    life = ready(max_engines=1)
    life.acquire("a", 10)
    assert life.acquire("b", 10) == []
    assert life.tick(1000) == []


def test_acquire_during_unload_waits_and_reloads() -> None:
    life = ready()
    assert life.unload(5, "idle") == [StopEngine(1, "idle")]
    assert life.acquire("a", 6) == []
    assert life.stopped(1, 7) == [StartEngine(2)]


def test_no_unload_while_a_lease_is_held_or_waited_for() -> None:
    life = ready()
    life.acquire("a", 1)
    assert life.unload(2, "operator") == []
    assert life.expire(1000, 0) == []


def test_an_order_to_unload_that_is_older_than_the_last_use_is_ignored() -> None:
    life = ready()
    stale = life.generation
    life.acquire("a", 1)
    life.release("a", 2)
    assert life.unload(3, "idle", generation=stale) == []
    assert life.unload(3, "idle", generation=life.generation) == [StopEngine(1, "idle")]


def test_an_idle_engine_expires_at_its_time_and_not_before() -> None:
    life = ready()
    assert life.next_expiry(300) == 300
    assert life.expire(299, 300) == []
    assert life.expire(300, 300) == [StopEngine(1, "idle")]


def test_with_timeout_minus_one_nothing_expires() -> None:
    life = ready()
    assert life.next_expiry(-1) is None
    assert life.expire(1e9, -1) == []


def test_what_somebody_is_about_to_use_neither_expires_nor_is_unloaded() -> None:
    life = ready()
    life.keep_alive("page")
    assert (life.references, life.users, life.idle_since()) == (1, 1, None)
    assert life.next_expiry(300) is None  # no timer that would find nothing to do
    assert life.expire(1000, 300) == life.unload(1000, "an order") == []
    life.let_go("page")
    assert life.next_expiry(300) == 300
    assert life.expire(1000, 300) == [StopEngine(1, "idle")]


def test_a_page_with_its_lease_is_one_reference() -> None:
    life = ready()
    life.keep_alive("page")
    life.acquire("page", 1)
    life.acquire("a load by an operator", 1)
    assert (life.references, life.held, life.users) == (2, 1, 1)
    life.release("page", 2)
    assert life.references == 2  # it may try again
    life.let_go("page")
    assert life.references == 1


def test_a_surplus_engine_expires_although_the_other_is_about_to_be_used() -> None:
    life = ready(2)
    life.acquire("a", 0)
    life.acquire("b", 0)
    life.tick(1)
    life.loaded(2, 1)
    life.release("a", 2)
    life.release("b", 3)
    life.keep_alive("page")
    assert life.next_expiry(300) == 302
    assert life.expire(1000, 300) == [StopEngine(1, "idle")]


def test_a_surplus_engine_expires_alone() -> None:
    life = ready(max_engines=2)
    life.acquire("a", 10)
    life.acquire("b", 10)
    life.tick(11)
    life.loaded(2, 12)
    life.release("b", 13)
    life.release("a", 20)
    # Light load from now on: the engine that was used last is used again.
    assert life.acquire("c", 100) == [Grant("c", 1)]
    life.release("c", 101)
    assert life.expire(320, 300) == [StopEngine(2, "idle")]
    assert life.state == "READY"


def test_the_last_engine_may_be_left_to_somebody_else() -> None:
    life = ready(max_engines=2)
    life.acquire("a", 10)
    life.acquire("b", 10)
    life.tick(11)
    life.loaded(2, 12)
    life.release("a", 13)
    life.release("b", 14)
    assert life.next_expiry(300, keep_one=True) == 313
    assert life.expire(1000, 300, keep_one=True) == [StopEngine(1, "idle")]
    assert life.next_expiry(300, keep_one=True) is None
    assert life.idle_since() == 14


def test_a_free_engine_can_be_evicted_and_a_leased_one_cannot() -> None:
    life = ready()
    life.acquire("a", 1)
    assert life.evict(1, "room") == []
    assert life.idle_since() is None
    life.release("a", 2)
    assert life.evict(1, "room") == [StopEngine(1, "room")]
    assert life.evict(1, "room") == []


def test_an_engine_that_dies_is_replaced_for_those_who_wait() -> None:
    life = ready()
    life.acquire("a", 1)
    life.acquire("b", 1)
    assert life.died(1, 2) == [StartEngine(2)]
    assert life.release("a", 2) == []
    assert life.loaded(2, 3) == [Grant("b", 2)]


def test_a_second_death_in_a_row_makes_the_next_start_wait() -> None:
    life = ready()
    life.acquire("a", 1)
    life.acquire("b", 1)
    life.died(1, 2)
    assert life.loaded(2, 3) == [Grant("b", 2)]
    life.acquire("c", 4)
    assert life.died(2, 5) == [WakeAt(6)]
    assert life.acquire("d", 5.5) == [WakeAt(6)]
    assert life.tick(6) == [StartEngine(3)]


def test_deaths_double_the_wait_until_a_page_was_served() -> None:
    life = model()
    waits = []
    for number in range(1, 9):
        now = number * 1000.0
        life.acquire(f"a{number}", now)
        life.loaded(number, now)
        life.acquire(f"b{number}", now)
        (next_,) = life.died(number, now)
        waits.append(next_.at - now if isinstance(next_, WakeAt) else 0)
        life.tick(now + 100)
        life.release(f"b{number}", now + 100)
    assert waits == [0, 1, 2, 4, 5, 5, 5, 5]
    life.loaded(9, 20_000)
    life.acquire("served", 20_000)
    life.release("served", 20_001)
    life.acquire("c", 20_002)
    life.acquire("d", 20_002)
    assert life.died(9, 20_003) == [StartEngine(10)]


def test_upkeep_is_no_use_and_keeps_pages_and_time_outs_waiting() -> None:
    life = ready()
    idle_since, generation = life.idle_since(), life.generation
    assert life.borrow(1)
    assert not life.borrow(1)
    assert life.expire(100, 10) == life.evict(1, "room") == []
    assert (life.idle_since(), life.generation) == (idle_since, generation)
    assert StartEngine(1) not in life.acquire("a", 101)
    assert life.give_back(1, 102) == [Grant("a", 1)]
    life.release("a", 103)
    assert life.borrow(1)
    assert life.give_back(1, 120) == []
    assert life.idle_since() == 103


def test_a_retired_engine_is_stopped_and_replaced() -> None:
    life = ready()
    life.acquire("a", 1)
    life.acquire("b", 1)
    assert life.release("a", 2, retire="drift") == [StopEngine(1, "drift")]
    assert life.stopped(1, 3) == [StartEngine(2)]


STIMULI = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 5), st.floats(0, 2)), min_size=5, max_size=60
)


@dataclasses.dataclass
class World:
    """What a correct shell knows; checks every action against it."""

    life: ModelLifecycle
    max_engines: int
    loading: set[int] = dataclasses.field(default_factory=set)
    ready: set[int] = dataclasses.field(default_factory=set)
    stopping: set[int] = dataclasses.field(default_factory=set)
    held: dict[str, int] = dataclasses.field(default_factory=dict)
    borrowed: set[int] = dataclasses.field(default_factory=set)
    waiting: list[str] = dataclasses.field(default_factory=list)
    users: set[str] = dataclasses.field(default_factory=set)
    woken: bool = False

    def apply(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case StartEngine(engine):
                    self.loading.add(engine)
                    assert len(self.loading | self.ready | self.stopping) <= self.max_engines
                case StopEngine(engine, _):
                    assert engine in self.ready, "stopped an engine that is not ready"
                    assert engine not in self.held.values(), "unload with a lease held"
                    assert engine not in self.borrowed, "unload during upkeep"
                    self.ready.remove(engine)
                    self.stopping.add(engine)
                case Grant(lease, engine):
                    assert lease == self.waiting.pop(0), "waiters are served in order"
                    assert engine in self.ready
                    assert engine not in self.held.values(), "two pages on one engine"
                    assert engine not in self.borrowed, "a page during upkeep"
                    self.held[lease] = engine
                case Refuse(lease, _):
                    self.waiting.remove(lease)
                case WakeAt():
                    pass
        self.woken = any(isinstance(action, WakeAt) for action in actions)
        assert self.life.references == len({*self.held, *self.waiting, *self.users})

    def somebody_will_serve(self) -> bool:
        """Whether every waiter will be answered if all that is under way comes to an end."""
        under_way = self.loading or self.stopping or self.held or self.borrowed or self.woken
        return not self.waiting or bool(under_way)


@settings(max_examples=300, deadline=None)
@given(STIMULI, st.integers(1, 3))
def test_no_order_of_events_breaks_a_promise(
    stimuli: list[tuple[int, int, float]], max_engines: int
) -> None:
    """Hypothesis looks for, and shrinks, a short story that breaks something."""
    play(stimuli, max_engines)


def test_ten_thousand_random_orders_break_no_promise() -> None:
    """Plain random stories: many more in the same time."""
    for seed in range(10_000):
        chance = random.Random(seed)
        stimuli = [
            (chance.randrange(13), chance.randrange(6), 2 * chance.random())
            for _ in range(chance.randrange(5, 40))
        ]
        play(stimuli, max_engines=seed % 3 + 1)


def play(stimuli: list[tuple[int, int, float]], max_engines: int) -> None:
    """No unload with a lease held, no lost waiter, never two pages on one engine."""
    world = World(model(max_engines), max_engines)
    life, now = world.life, 0.0
    for kind, choice, passed in stimuli:
        now += passed
        match kind:
            case 0 | 1 | 2:
                lease = f"lease{now}-{life.generation}"
                world.waiting.append(lease)
                world.apply(life.acquire(lease, now))
            case 3 if world.loading:
                engine = sorted(world.loading)[choice % len(world.loading)]
                world.loading.remove(engine)
                if choice == 5:
                    world.apply(life.load_failed(engine, "no", now))
                elif choice == 4:
                    world.apply(life.load_killed(engine, "killed", now))
                else:
                    world.ready.add(engine)
                    world.apply(life.loaded(engine, now))
            case 4 if world.held:
                lease = sorted(world.held)[choice % len(world.held)]
                del world.held[lease]
                world.apply(life.release(lease, now, retire="drift" if choice == 5 else None))
            case 5 if world.waiting:
                lease = world.waiting.pop(choice % len(world.waiting))
                world.apply(life.release(lease, now))
            case 6 if world.stopping:
                engine = world.stopping.pop()
                world.apply(life.stopped(engine, now))
            case 7 if world.ready:
                engine = sorted(world.ready)[choice % len(world.ready)]
                world.ready.remove(engine)
                world.borrowed.discard(engine)
                for lease in [lease for lease, held in world.held.items() if held == engine]:
                    del world.held[lease]
                world.apply(life.died(engine, now))
            case 8:
                world.apply(life.expire(now, 1.0) + life.tick(now))
            case 9 if world.ready:
                engine = sorted(world.ready)[choice % len(world.ready)]
                generation, idle_since = life.generation, life.idle_since()
                free = engine not in world.held.values() and engine not in world.borrowed
                assert life.borrow(engine) == free
                if free:
                    world.borrowed.add(engine)
                assert (life.generation, life.idle_since()) == (generation, idle_since)
            case 10 if world.borrowed:
                engine = world.borrowed.pop()
                world.apply(life.give_back(engine, now))
            case 11:
                # Some come with their lease, some before it, some have none.
                task = (world.waiting + list(world.held) + ["early"])[0]
                world.users.add(task)
                life.keep_alive(task)
            case 12 if world.users:
                task = sorted(world.users)[choice % len(world.users)]
                world.users.remove(task)
                life.let_go(task)
        assert world.somebody_will_serve(), "a waiter is lost"
