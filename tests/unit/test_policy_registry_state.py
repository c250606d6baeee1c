"""The registry's state machine: named cases, then random clusters."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.messages import LEVELS, EstimatorState, Load, ReplicaReport, Trim, Unload
from serve_app.policy.registry_orders import Unloaded
from serve_app.policy.registry_state import RecoveryState, RegistryState
from tests.unit.policy_reports import model, reading, record, report, unloaded

TIMEOUTS = {"ocr": 300.0, "structure": 300.0}
RAM = "ram:node"


def registry(**options: Any) -> RegistryState:
    return RegistryState(TIMEOUTS, target_fraction=0.9, **options)


def expired(**changes: Any) -> ReplicaReport:
    return report("a", model("ocr", **{"idle_s": 301.0, **changes}))


# directives


def test_an_idle_model_is_unloaded_at_its_time_out() -> None:
    state = registry()
    assert state.heard(report("a", model("ocr", idle_s=299.0)), 0).directives == ()
    assert state.heard(expired(generation=3), 2).directives == (Unload("ocr", 3, "idle"),)


def test_a_directive_is_given_once_and_again_only_if_nothing_happens() -> None:
    state = registry()
    assert state.heard(expired(), 0).directives
    assert not state.heard(expired(), 1).directives
    assert not state.heard(expired(), 2).directives
    assert state.heard(expired(), 3).directives


def test_a_model_that_is_used_again_is_decided_anew() -> None:
    state = registry()
    state.heard(expired(generation=1), 0)
    state.heard(report("a", model("ocr", generation=2, references=1, idle_s=None)), 0.5)
    # Only with a time-out of 0 that could be so soon.
    assert state.heard(expired(generation=2), 1).directives == (Unload("ocr", 2, "idle"),)


def test_a_second_life_of_the_model_is_decided_anew() -> None:
    state = registry()
    state.heard(expired(), 0)
    state.heard(report("a", unloaded("ocr")), 0.5)
    assert state.heard(expired(), 1).directives


def test_a_pinned_model_is_not_timed_out() -> None:
    state = registry()
    state.pin("ocr")
    answer = state.heard(expired(), 0)
    assert (answer.directives, answer.pinned) == ((), frozenset({"ocr"}))
    state.pin("ocr", pinned=False)
    assert state.heard(expired(), 1).directives


def test_only_declared_models_can_be_pinned() -> None:
    with pytest.raises(KeyError):
        registry().pin("orc")


def test_pressure_unloads_reach_each_replica_at_its_own_heartbeat() -> None:
    state = registry()
    crowded = (reading(RAM, 1000),)
    one = report("a", model("ocr", 60, idle_s=9.0), domains=crowded)
    two = report("b", model("ocr", 60, idle_s=5.0), domains=crowded)
    state.heard(one, 0)
    state.heard(two, 0)
    state.set_levels({RAM: "critical"})
    critical = Unload("ocr", 1, "critical")
    assert critical in state.heard(two, 1).directives
    assert critical in state.heard(one, 1).directives


def test_slow_unloads_do_not_drag_more_models_with_them() -> None:
    state = registry()
    crowded = (reading(RAM, 960),)
    first = report("a", model("ocr", 60, idle_s=9.0), domains=crowded)
    state.heard(first, 0)
    state.set_levels({RAM: "critical"})
    assert Unload("ocr", 1, "critical") in state.heard(first, 1).directives
    other = report("b", model("ocr", 60, idle_s=5.0), domains=crowded)
    assert [type(one) for one in state.heard(other, 1.5).directives] == [Trim]


def test_an_emergency_unloads_pinned_models_too() -> None:
    state = registry()
    state.pin("ocr")
    state.set_levels({RAM: "emergency"})
    answer = state.heard(report("a", model("ocr", idle_s=0.0)), 0)
    assert Unload("ocr", 1, "emergency") in answer.directives


def test_from_warning_on_heaps_are_trimmed_now_and_then() -> None:
    state = registry()
    busy = report("a", model("ocr", references=1, idle_s=None))
    assert state.heard(busy, 0).directives == ()
    state.set_levels({RAM: "warning"})
    assert state.heard(busy, 1).directives == (Trim(),)
    assert state.heard(busy, 2).directives == ()
    assert state.heard(busy, 31).directives == (Trim(),)


# orders


def test_an_order_to_unload_is_complete_when_all_replicas_have_done_it() -> None:
    state = registry()
    state.heard(report("a", model("ocr", 100)), 0)
    state.heard(report("b", model("ocr", 50)), 0)
    state.heard(report("c", unloaded("ocr")), 0)
    state.order_unload("o1", "ocr", 1, timeout_s=60)
    told = state.heard(report("a", model("ocr", 100, generation=5)), 1)
    assert told.directives == (Unload("ocr", 5, "operator", "o1", force=True),)
    state.heard(report("b", model("ocr", 50)), 1)
    state.heard(
        report("a", unloaded("ocr")), 2, RecoveryState(unloaded=(Unloaded("ocr", 97, 0.4, "o1"),))
    )
    status = state.order_status("o1", 2)
    assert status is not None
    assert (status.complete, status.pending, status.freed_bytes) == (False, ("b",), 97)
    state.heard(report("b", unloaded("ocr")), 3)
    status = state.order_status("o1", 9)
    assert status is not None
    assert (status.complete, status.done, status.freed_bytes, status.seconds) == (
        True,
        True,
        147,
        2,
    )


def test_an_order_waits_for_the_references_to_end() -> None:
    state = registry()
    busy = report("a", model("ocr", references=1, idle_s=None))
    state.heard(busy, 0)
    state.order_unload("o1", "ocr", 0, timeout_s=60)
    assert state.heard(busy, 1).directives == ()
    assert state.heard(report("a", model("ocr", idle_s=0.1)), 2).directives


def test_an_order_whose_time_is_up_says_so_and_is_not_repeated() -> None:
    state = registry()
    state.heard(report("a", model("ocr")), 0)
    state.order_unload("o1", "ocr", 0, timeout_s=2)
    state.tick(2)
    status = state.order_status("o1", 2)
    assert status is not None
    assert (status.complete, status.done, list(status.errors)) == (True, False, ["a"])
    assert state.heard(report("a", model("ocr")), 3).directives == ()


def test_an_order_for_a_model_that_nobody_holds_is_done_at_once() -> None:
    state = registry()
    state.heard(report("a", unloaded("ocr")), 0)
    state.order_unload("o1", "ocr", 0, timeout_s=60)
    status = state.order_status("o1", 0)
    assert status is not None
    assert (status.done, status.freed_bytes) == (True, 0)


def test_a_model_that_was_unloaded_and_loaded_again_in_between_counts_as_unloaded() -> None:
    state = registry()
    state.heard(report("a", model("ocr", 100, loads=1)), 0)
    state.order_unload("o1", "ocr", 0, timeout_s=60)
    state.heard(report("a", model("ocr", 80, loads=2, generation=9)), 1)
    status = state.order_status("o1", 1)
    assert status is not None
    assert (status.done, status.freed_bytes) == (True, 100)


def test_a_replica_that_dies_has_unloaded() -> None:
    state = registry()
    state.heard(report("a", model("ocr", 100)), 0)
    state.order_unload("o1", "ocr", 0, timeout_s=60)
    state.tick(6)
    status = state.order_status("o1", 6)
    assert status is not None
    assert (status.done, status.freed_bytes) == (True, 100)


def test_an_order_takes_precedence_over_a_pin_and_over_what_was_sent() -> None:
    state = registry()
    assert state.heard(expired(), 0).directives
    state.pin("ocr")
    state.order_unload("o1", "ocr", 0.5, timeout_s=60)
    assert state.heard(expired(), 1).directives == (Unload("ocr", 1, "operator", "o1", force=True),)
    assert state.heard(expired(), 2).directives == ()


def test_an_order_to_load_goes_to_the_replica_with_most_room() -> None:
    state = registry()
    state.heard(report("a", unloaded("ocr"), committed_bytes=500), 0)
    state.heard(report("b", unloaded("ocr"), committed_bytes=100), 0)
    state.order_load("o1", "ocr", 0, timeout_s=60)
    assert state.heard(report("a", unloaded("ocr")), 1).directives == ()
    assert state.heard(report("b", unloaded("ocr")), 1).directives == (Load("ocr", "o1"),)
    assert state.heard(report("b", unloaded("ocr")), 2).directives == ()
    state.heard(report("b", model("ocr", state="LOADING", idle_s=None)), 3)
    state.heard(report("b", model("ocr")), 4)
    status = state.order_status("o1", 4)
    assert status is not None
    assert status.done


def test_a_model_that_is_loaded_somewhere_is_not_loaded_again() -> None:
    state = registry()
    state.heard(report("a", model("ocr"), committed_bytes=900), 0)
    state.heard(report("b", unloaded("ocr")), 0)
    state.order_load("o1", "ocr", 0, timeout_s=60)
    assert state.heard(report("b", unloaded("ocr")), 1).directives == ()
    state.heard(report("a", model("ocr")), 1)
    status = state.order_status("o1", 1)
    assert status is not None
    assert status.done


def test_a_load_that_failed_before_is_tried_again_and_its_failure_reported() -> None:
    state = registry()
    failed = report("a", unloaded("ocr", state="FAILED", error="no weights"))
    state.heard(failed, 0)
    state.order_load("o1", "ocr", 0, timeout_s=60)
    assert state.heard(failed, 1).directives == (Load("ocr", "o1"),)
    state.heard(failed, 2)
    status = state.order_status("o1", 2)
    assert status is not None
    assert (status.complete, status.done, status.errors) == (True, False, {"a": "no weights"})


@pytest.mark.parametrize("pool", ["gpu", None])
def test_without_a_pool_or_room_an_order_to_load_fails_at_once(pool: str | None) -> None:
    state = registry()
    state.heard(report("a", unloaded("ocr")), 0)
    state.set_levels({RAM: "warning"})
    state.order_load("o1", "ocr", 0, timeout_s=60, pool=pool)
    status = state.order_status("o1", 0)
    assert status is not None
    assert (status.complete, status.done) == (True, False)


def test_an_order_given_twice_is_one_order() -> None:
    state = registry()
    state.heard(report("a", model("ocr")), 0)
    state.order_unload("o1", "ocr", 0, timeout_s=60)
    state.heard(report("a", unloaded("ocr")), 1)
    state.order_unload("o1", "ocr", 2, timeout_s=60)
    status = state.order_status("o1", 2)
    assert status is not None
    assert (status.done, status.freed_bytes) == (True, 100)
    assert state.order_status("o2", 2) is None


# leases


def test_a_replica_that_misses_its_heartbeats_leaves_nothing() -> None:
    state = registry()
    state.heard(expired(), 0)
    assert state.tick(5) == ()
    assert state.tick(5.1) == ("a",)
    assert state.tick(6) == ()
    assert not state.reports()
    assert not state.memory(6)
    assert all(view.state == "UNLOADED" and not view.copies for view in state.models(6))


def test_a_replica_can_say_good_bye() -> None:
    state = registry()
    assert state.heard(expired(), 0).directives
    state.gone("a", 1)
    assert state.reports() == []
    # What it was told is forgotten as well.
    assert state.heard(expired(), 1.5).directives


# after a restart


def test_pins_come_back_from_the_replicas() -> None:
    old, new = registry(), registry()
    old.pin("ocr")
    answer = old.heard(report("a"), 0)
    recovery = RecoveryState(pinned=answer.pinned, pins_version=old.pins_version)
    assert new.heard(report("a"), 0, recovery).pinned == {"ocr"}
    assert new.pins_version == old.pins_version


def test_an_echo_of_old_pins_does_not_bring_them_back() -> None:
    state = registry()
    state.pin("ocr")
    echo = RecoveryState(frozenset({"ocr"}), state.pins_version)
    state.pin("ocr", pinned=False)
    assert state.heard(report("a"), 0, echo).pinned == frozenset()


def test_a_replica_that_was_away_does_not_bring_older_pins_back() -> None:
    state = registry()
    state.heard(report("a"), 0, RecoveryState(frozenset({"ocr"}), pins_version=7))
    assert state.heard(report("b"), 1, RecoveryState(frozenset({"structure"}), 5)).pinned == {"ocr"}


def test_what_was_pinned_since_the_restart_is_kept() -> None:
    state = registry()
    state.pin("structure")
    state.pin("ocr", pinned=False)
    recovery = RecoveryState(frozenset({"ocr"}), pins_version=7)
    assert state.heard(report("a"), 0, recovery).pinned == {"structure"}
    assert state.heard(report("b"), 0, recovery).pinned == {"structure"}
    assert state.pins_version == 8


def test_what_was_learned_comes_back_and_the_most_experienced_wins() -> None:
    state = registry()
    much, little = EstimatorState(observations=90), EstimatorState(observations=3)
    state.heard(report("a"), 0, RecoveryState(learned={"ocr": much, "unknown": much}))
    state.heard(report("b"), 0, RecoveryState(learned={"ocr": little}))
    assert state.learned("ocr", "cpu") == much
    assert state.learned("ocr", "gpu") is None
    assert state.learned("unknown", "cpu") is None


# what is shown


def test_task_records_are_the_last_thousand_each_once_newest_first() -> None:
    state = registry()
    for number in range(1100):
        finished = (record(f"t{number}"), record(f"t{number - 1}"))  # the second is a repetition
        state.heard(report("a", finished=finished), number)
    assert len(state.tasks()) == 1000
    assert {one.task_id for one in state.tasks(2)} == {"t1099", "t1098"}
    assert state.tasks(0) == []


def test_tasks_are_shown_by_kind() -> None:
    state = registry()
    state.heard(report("a", finished=(record("p1"), record("p2"))), 0)
    state.record([dataclasses.replace(record("r"), page=None)])
    state.record([dataclasses.replace(record("r"), page=None)])  # a repetition
    assert [one.task_id for one in state.tasks()] == ["r", "p2", "p1"]
    assert [one.task_id for one in state.tasks(1, "page")] == ["p2"]
    assert [one.task_id for one in state.tasks(9, "request")] == ["r"]


def test_what_the_tasks_hold_is_shown_by_replica_where_it_runs() -> None:
    state = registry()
    gpu = reading("gpu:1")
    state.heard(report("a", domains=(gpu, reading(RAM)), device="gpu", open_entries=3), 0)
    state.heard(report("b", domains=(reading(RAM),), open_entries=0), 0)
    shown = {domain.domain: domain.open_entries for domain in state.memory(1)}
    assert shown == {"gpu:1": {"a": 3}, RAM: {"b": 0}}


def test_models_are_shown_over_all_replicas() -> None:
    state = registry()
    state.pin("ocr")
    state.heard(report("a", model("ocr", 100, references=2, waiting=1, idle_s=None)), 0)
    state.heard(report("b", model("ocr", 50, state="LOADING", idle_s=None)), 1)
    ocr, structure = state.models(3)
    assert (ocr.model, ocr.state, ocr.pinned) == ("ocr", "READY", True)
    assert (ocr.references, ocr.waiting, ocr.memory_bytes) == (2, 1, 150)
    assert [(copy.replica, copy.age_s) for copy in ocr.copies] == [("a", 3), ("b", 2)]
    assert (structure.state, structure.copies, structure.idle_timeout_s) == ("UNLOADED", (), 300.0)


def test_memory_is_the_newest_reading_and_the_sum_of_our_parts() -> None:
    state = registry()
    gpu = reading("gpu:1", 700, ours=300)
    state.heard(report("a", model("ocr"), domains=(gpu, reading(RAM)), device="gpu"), 0)
    newer = reading("gpu:1", 800, ours=200)
    state.heard(report("b", domains=(newer,), device="gpu", committed_bytes=40), 1)
    state.set_levels({"gpu:1": "warning"})
    shown, ram = state.memory(2)
    assert (shown.domain, shown.level, shown.used_bytes, shown.age_s) == (
        "gpu:1",
        "warning",
        800,
        1,
    )
    assert (shown.ours_bytes, shown.others_bytes) == (500, 300)
    assert (shown.budget_bytes, shown.reserved_bytes) == (2000, 40)
    assert [engine.model for engine in shown.engines] == ["ocr"]
    # Replica a uses this RAM, but its budget and engines are the GPU's.
    assert (ram.replicas, ram.budget_bytes, ram.engines) == (("a",), 0, ())


# Random clusters: replicas that use, load and unload models, and obey or lose their answers.

STORIES = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 2), st.integers(0, 2), st.floats(0, 3)),
    max_size=50,
)


@settings(max_examples=100, deadline=None)
@given(STORIES)
def test_no_story_breaks_a_promise(story: list[tuple[int, int, int, float]]) -> None:
    Cluster().live(story)


def test_fifteen_hundred_random_stories_break_no_promise() -> None:
    for seed in range(1_500):
        chance = random.Random(seed)
        Cluster().live(
            [
                (
                    chance.randrange(12),
                    chance.randrange(3),
                    chance.randrange(3),
                    3 * chance.random(),
                )
                for _ in range(chance.randrange(5, 40))
            ]
        )


class Cluster:
    """Three replicas with three models each, and what the registry tells them."""

    def __init__(self) -> None:
        self.timeouts = {"m0": 2.0, "m1": 0.0, "m2": -1.0}
        self.registry = RegistryState(self.timeouts, target_fraction=0.9)
        self.models = {
            (f"r{replica}", f"m{name}"): unloaded(f"m{name}", generation=0, loads=0)
            for replica in range(3)
            for name in range(3)
        }
        self.used_at: dict[tuple[str, str], float] = {}
        self.heard_at: dict[str, float] = {}
        self.told: dict[tuple[str, str], tuple[Unload, float]] = {}
        self.now, self.orders = 0.0, 0

    def live(self, story: list[tuple[int, int, int, float]]) -> None:
        for what, replica_number, model_number, passed in story:
            self.now += passed
            replica, name = f"r{replica_number}", f"m{model_number}"
            facts = self.models[replica, name]
            match what:
                case 0 | 1:
                    self.change(replica, facts, references=facts.references + 1)
                case 2 | 3 if facts.references:
                    self.change(replica, facts, references=facts.references - 1)
                case 4:
                    self.report(replica, obeys=False)
                case 5 | 6 | 7:
                    self.report(replica, obeys=True)
                case 8:
                    self.tick()
                case 9:
                    self.orders += 1
                    self.registry.order_unload(f"o{self.orders}", name, self.now, timeout_s=5)
                case 10:
                    self.registry.set_levels({RAM: LEVELS[(replica_number + model_number) % 4]})
                case 11:
                    self.registry.pin(name, pinned=replica_number > 0)
        self.now += 100
        self.tick()
        assert self.registry.reports() == []
        for number in range(max(1, self.orders - 60), self.orders + 1):
            status = self.registry.order_status(f"o{number}", self.now)
            assert status is not None
            assert status.complete
            assert not status.pending

    def change(self, replica: str, facts: Any, *, references: int) -> None:
        """An acquire (which loads the model if need be) or a release."""
        acquired = references > facts.references
        changed = model(
            facts.model,
            generation=facts.generation + acquired,
            references=references,
            loads=facts.loads + (facts.state == "UNLOADED"),
        )
        self.models[replica, facts.model] = changed
        self.used_at[replica, facts.model] = self.now

    def report(self, replica: str, *, obeys: bool) -> None:
        mine = []
        for (owner, name), facts in self.models.items():
            if owner == replica:
                idle = facts.state == "READY" and not facts.references
                idle_s = self.now - self.used_at[owner, name] if idle else None
                mine.append(dataclasses.replace(facts, idle_s=idle_s))
        said = report(replica, *mine, domains=(reading(RAM, 960),))
        answer = self.registry.heard(said, self.now)
        self.heard_at[replica] = self.now
        unloads = [one for one in answer.directives if isinstance(one, Unload)]
        assert len({one.model for one in unloads}) == len(unloads)
        for unload in unloads:
            self.check(said, unload)
            if obeys:
                gone = self.models[replica, unload.model]
                self.models[replica, unload.model] = unloaded(
                    gone.model, generation=gone.generation, loads=gone.loads
                )

    def check(self, said: ReplicaReport, unload: Unload) -> None:
        facts = next(one for one in said.models if one.model == unload.model)
        assert facts.references == 0
        assert facts.state == "READY"
        assert facts.generation == unload.generation
        key = (said.replica, unload.model)
        if unload.reason == "idle":
            assert 0 <= self.timeouts[unload.model] <= (facts.idle_s or 0)
            assert unload.model not in self.registry.pinned
        before, at = self.told.get(key, (None, 0.0))
        assert before != unload or self.now - at >= 3, "decided twice"
        self.told[key] = (unload, self.now)

    def tick(self) -> None:
        dead = self.registry.tick(self.now)
        late = {name for name, at in self.heard_at.items() if self.now - at > 5}
        assert set(dead) == late
        for name in dead:
            del self.heard_at[name]
            self.told = {key: value for key, value in self.told.items() if key[0] != name}


def test_in_a_large_cluster_replicas_report_less_often_and_are_given_longer() -> None:
    """GIVEN 1,000 replicas: every five seconds each, and none is forgotten for that."""
    state = RegistryState({"ocr": 300.0})
    for number in [*range(1000)] * 2:  # each hears of the others the second time
        answer = state.heard(report(f"r{number}", unloaded("ocr")), 0.0)
    assert answer.gap_s == 5.0
    assert state.tick(20.0) == ()
    assert len(state.tick(26.0)) == 1000
    assert state.heard(report("r0", unloaded("ocr")), 27.0).gap_s == 1 / 200
