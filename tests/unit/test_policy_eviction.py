"""Under pressure: idle models go, least recently used first, and no more than needed."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.messages import LEVELS, Level, ReplicaReport, Unload
from serve_app.policy.eviction import pressure_unloads
from tests.unit.policy_reports import model, reading, report, unloaded

RAM = "ram:node"


def full(used: int = 960) -> tuple[Any, ...]:
    return (reading(RAM, used),)


def names(unloads: list[tuple[str, Unload]]) -> list[tuple[str, str]]:
    return [(replica, unload.model) for replica, unload in unloads]


def unloads_at(level: Level, *reports: ReplicaReport, **options: Any) -> list[tuple[str, Unload]]:
    return pressure_unloads(reports, {RAM: level}, target_fraction=0.9, **options)


@pytest.mark.parametrize("level", ["normal", "warning"])
def test_below_critical_nothing_is_evicted(level: Level) -> None:
    assert unloads_at(level, report("a", model("ocr"), domains=full())) == []


def test_at_critical_the_least_recently_used_go_until_there_is_room() -> None:
    # 60 bytes above the target of 900.
    one = report("a", model("new", 50, idle_s=1.0), model("old", 50, idle_s=9.0), domains=full())
    two = report("b", model("middle", 50, idle_s=5.0, generation=4), domains=full())
    assert unloads_at("critical", one, two) == [
        ("a", Unload("old", 1, "critical")),
        ("b", Unload("middle", 4, "critical")),
    ]


def test_at_critical_pinned_models_stay() -> None:
    one = report("a", model("ocr", idle_s=9.0), model("other", idle_s=1.0), domains=full())
    assert names(unloads_at("critical", one, pinned={"ocr"})) == [("a", "other")]


def test_at_emergency_all_that_is_idle_goes_pinned_or_not() -> None:
    one = report("a", model("ocr"), model("busy", references=1, idle_s=None), domains=full())
    two = report("b", model("ocr"), unloaded("busy"), domains=full())
    unloads = unloads_at("emergency", one, two, pinned={"ocr"})
    assert names(unloads) == [("a", "ocr"), ("b", "ocr")]
    assert unloads[0][1].reason == "emergency"


def test_what_is_on_its_way_out_counts_as_given_back() -> None:
    one = report("a", model("going", state="UNLOADING"), model("ocr"), domains=full())
    assert unloads_at("critical", one) == []
    two = report("a", model("told", idle_s=9.0), model("ocr"), domains=full())
    assert unloads_at("critical", two, leaving={("a", "told")}) == []


def test_what_was_told_to_go_is_not_told_again() -> None:
    one = report("a", model("told"), model("ocr"), domains=full())
    unloads = unloads_at("emergency", one, leaving={("a", "told")})
    assert names(unloads) == [("a", "ocr")]


def test_only_replicas_in_the_domain_are_touched() -> None:
    here = report("a", model("ocr"), domains=full())
    elsewhere = report("b", model("ocr", idle_s=999.0), domains=(reading("ram:other", 100),))
    assert names(unloads_at("critical", here, elsewhere)) == [("a", "ocr")]


def test_idle_times_of_old_reports_are_comparable() -> None:
    one = report("a", model("ocr", idle_s=10.0), domains=full())
    two = report("b", model("ocr", idle_s=9.0), domains=full())
    assert names(unloads_at("critical", one, two, ages_s={"b": 2.0})) == [("b", "ocr")]


def test_the_newest_reading_of_a_domain_counts() -> None:
    stale = report("a", model("ocr"), domains=full(1000))
    newest = report("b", domains=full(880))
    assert unloads_at("critical", stale, newest, ages_s={"a": 3.0, "b": 0.0}) == []


def test_in_the_ram_of_a_gpu_pool_the_replicas_part_is_shared_out() -> None:
    domains = (reading("gpu:1", 100), reading(RAM, 960, ours=90))
    gpu = report(
        "g",
        model("small", 100, idle_s=9.0),
        model("large", 200, idle_s=5.0),
        model("spare", 300, idle_s=1.0),
        domains=domains,
        device="gpu",
    )
    # 60 to free, of parts of 15, 30 and 45.
    assert names(unloads_at("critical", gpu)) == [
        ("g", "small"),
        ("g", "large"),
        ("g", "spare"),
    ]


def test_a_domain_that_nobody_reports_changes_nothing() -> None:
    assert pressure_unloads([], {"gpu:gone": "emergency"}, target_fraction=0.9) == []


WORLDS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 200), st.integers(0, 4)),
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(WORLDS, st.sampled_from(LEVELS), st.integers(0, 1200))
def test_no_world_loses_a_model_in_use(
    world: list[tuple[int, int, int, int]], level: Level, used: int
) -> None:
    play(world, level, used)


def test_two_thousand_random_worlds_lose_no_model_in_use() -> None:
    for seed in range(2_000):
        chance = random.Random(seed)
        world = [
            (chance.randrange(4), chance.randrange(4), chance.randrange(200), chance.randrange(5))
            for _ in range(chance.randrange(12))
        ]
        play(world, LEVELS[seed % 4], chance.randrange(1200))


def play(world: list[tuple[int, int, int, int]], level: Level, used: int) -> None:
    """Only idle models, of replicas in the domain, and none that was not needed."""
    reports: dict[str, ReplicaReport] = {}
    for number, name, held, kind in world:
        owner = f"replica{number}"
        before = reports.get(owner, report(owner, domains=full(used)))
        known = {facts.model: facts for facts in before.models}
        busy = {"references": 1, "idle_s": None} if kind == 0 else {"idle_s": float(kind)}
        state = "UNLOADING" if kind == 4 else "READY"
        known[f"model{name}"] = model(f"model{name}", held, state=state, **busy)
        reports[before.replica] = dataclasses.replace(before, models=tuple(known.values()))
    pinned = {"model1"}
    unloads = unloads_at(level, *reports.values(), pinned=pinned)
    assert len(set(names(unloads))) == len(unloads)
    freed, sizes = 0, list[int]()
    for replica, unload in unloads:
        facts = next(one for one in reports[replica].models if one.model == unload.model)
        assert facts.references == 0
        assert facts.state == "READY"
        assert level == "emergency" or facts.model not in pinned
        freed += facts.memory_bytes
        sizes.append(facts.memory_bytes)
    if level in ("normal", "warning"):
        assert not unloads
    elif level == "critical" and unloads:
        assert freed - sizes[-1] < used - 900, "one more than needed"
