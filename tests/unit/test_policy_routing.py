"""Where pages go: named cases first, then whole pools with late reports and several routers."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.messages import LEVELS, Level
from serve_app.policy.routing import (
    InFlight,
    ModelPresence,
    ReplicaView,
    order,
    placement,
    view_of,
)

SPILL = 4


def loaded(replica: str, pages: int = 0, level: Level = "normal") -> ReplicaView:
    return ReplicaView(replica, "loaded", pages, level)


def loading(replica: str, pages: int = 0) -> ReplicaView:
    return ReplicaView(replica, "loading", pages)


def absent(replica: str, level: Level = "normal") -> ReplicaView:
    return ReplicaView(replica, "absent", level=level)


def failed(replica: str) -> ReplicaView:
    return ReplicaView(replica, "failed")


def tried(*views: ReplicaView) -> list[str]:
    return order(views, spill_pages=SPILL)


def test_a_page_goes_where_its_model_is() -> None:
    assert tried(absent("a"), absent("b"), loaded("c", 1)) == ["c", "a", "b"]


def test_a_page_waits_for_a_copy_that_loads() -> None:
    assert tried(absent("a"), loading("b", 3))[0] == "b"


def test_the_first_page_of_a_model_goes_to_its_home() -> None:
    assert tried(absent("a"), absent("b")) == ["a", "b"]


def test_a_busy_copy_leads_to_another_one_at_the_first_replica_without() -> None:
    assert tried(loaded("a", SPILL), absent("b"), absent("c")) == ["b", "c", "a"]


def test_one_copy_is_made_at_a_time() -> None:
    assert tried(loaded("a", 9), loading("b", 3), absent("c")) == ["b", "a", "c"]
    assert tried(loaded("a", 9), loading("b", 8), absent("c")) == ["b", "a", "c"]


def test_a_copy_that_loads_takes_only_what_the_loaded_ones_cannot() -> None:
    assert tried(loaded("a", SPILL - 1), loading("b")) == ["a", "b"]
    assert tried(loaded("a", SPILL), loading("b")) == ["b", "a"]


def test_no_copy_is_made_where_memory_is_short() -> None:
    assert tried(loaded("a", SPILL), absent("b", "warning")) == ["a"]
    assert tried(loaded("a", SPILL), absent("b", "warning"), absent("c")) == ["c", "a"]


def test_a_model_that_nobody_has_is_tried_everywhere_however_short_memory_is() -> None:
    assert tried(absent("a", "critical"), absent("b", "warning")) == ["b", "a"]


def test_a_copy_at_a_critical_level_refuses_pages_so_another_one_is_made() -> None:
    assert tried(loaded("a", 0, "warning"), absent("b"))[0] == "a"
    assert tried(loaded("a", 0, "critical"), absent("b")) == ["b", "a"]


def test_copies_that_are_there_share_the_pages_from_half_the_threshold_on() -> None:
    assert tried(loaded("a", 1), loaded("b", 0)) == ["a", "b"]
    assert tried(loaded("a", 2), loaded("b", 1)) == ["b", "a"]
    assert tried(loaded("a", 3), loaded("b", 2)) == ["b", "a"]
    assert tried(loaded("a", 6), loaded("b", 5)) == ["b", "a"]


def test_when_load_falls_pages_go_to_one_copy_again() -> None:
    assert tried(loaded("a", 1), loaded("b", 1), loaded("c", 0))[0] == "a"


def test_where_a_load_failed_is_tried_last() -> None:
    assert tried(failed("a"), absent("b")) == ["b", "a"]
    assert tried(failed("a"), loaded("b", 9), absent("c")) == ["c", "b", "a"]


def test_a_threshold_of_one_page_still_prefers_the_copy_that_is_there() -> None:
    assert order([absent("a"), loaded("b", 0)], spill_pages=1) == ["b", "a"]
    assert order([absent("a"), loaded("b", 1)], spill_pages=1) == ["a", "b"]


# What a router knows.


def test_before_the_first_report_a_router_counts_on_what_it_sent() -> None:
    assert view_of("a", "ocr", {}, 0) == absent("a")
    assert view_of("a", "ocr", {}, 2) == loading("a", 2)


def test_where_pages_of_a_model_wait_a_copy_of_it_will_be() -> None:
    assert view_of("a", "ocr", {"pages_by_model": {"ocr": 1}}, 0) == loading("a", 1)


def test_a_report_and_what_was_sent_since_are_one_view() -> None:
    report = {
        "loaded": ["ocr"],
        "loading": ["table"],
        "failed": ["seal"],
        "pages_by_model": {"ocr": 3, "table": 1},
        "level": "warning",
    }
    assert view_of("a", "ocr", report, 1) == ReplicaView("a", "loaded", 3, "warning")
    assert view_of("a", "ocr", report, 5).pages == 5
    assert view_of("a", "table", report, 0).presence == "loading"
    assert view_of("a", "seal", report, 0).presence == "failed"
    assert view_of("a", "other", report, 0).presence == "absent"


def test_pages_in_flight_are_counted_by_replica_and_model() -> None:
    pages = InFlight()
    pages.sent("a", "request", "ocr")
    pages.sent("a", "request", "ocr")  # a second page of the same request
    pages.sent("b", "request", "ocr")
    assert (pages.pages("a", "ocr"), pages.pages("b", "ocr")) == (2, 1)
    pages.ended("a", "request")
    assert pages.pages("a", "ocr") == 1
    pages.ended("a", "request")
    pages.ended("a", "request")  # once more than was sent: a broadcast, say
    assert (pages.pages("a", "ocr"), pages.pages("b", "ocr")) == (0, 1)
    assert len(pages) == 1


def test_what_was_sent_to_a_replica_that_is_gone_is_forgotten() -> None:
    pages = InFlight()
    pages.sent("a", "1", "ocr")
    pages.sent("b", "2", "ocr")
    pages.keep({"b"})
    assert (pages.pages("a", "ocr"), pages.pages("b", "ocr")) == (0, 1)
    pages.ended("a", "1")
    assert pages.pages("a", "ocr") == 0


# Placement.


def test_two_models_have_different_homes_on_two_replicas() -> None:
    for seed in range(100):
        homes = placement({"ocr": 1, "structure": 1}, [f"a{seed}", f"b{seed}"])
        assert homes["ocr"] == homes["structure"][::-1]


def test_a_heavy_model_has_a_replica_to_itself() -> None:
    homes = placement({"structure": 3, "ocr": 1, "latin": 1}, ["a", "b"])
    assert homes["ocr"][0] == homes["latin"][0] != homes["structure"][0]


def test_a_second_copy_goes_where_no_other_model_is_at_home() -> None:
    homes = placement({"ocr": 1, "structure": 1}, ["a", "b", "c"])
    assert homes["ocr"][1] == homes["structure"][1]
    assert len({homes["ocr"][0], homes["structure"][0], homes["ocr"][1]}) == 3


def test_without_replicas_there_is_no_place() -> None:
    assert placement({"ocr": 1}, []) == {"ocr": []}


NAMES = st.lists(st.text("abcdef", min_size=1, max_size=4), min_size=1, max_size=6, unique=True)


@settings(deadline=None)
@given(NAMES, NAMES, st.randoms(use_true_random=False))
def test_every_router_places_alike(models: list[str], ids: list[str], rng: random.Random) -> None:
    once = placement(dict.fromkeys(models, 1), ids)
    again = placement(dict.fromkeys(rng.sample(models, len(models)), 1), rng.sample(ids, len(ids)))
    assert once == again
    assert all(sorted(replicas) == sorted(ids) for replicas in once.values())
    homes = Counter(replicas[0] for replicas in once.values())
    assert max(homes.values()) <= -(-len(models) // len(ids))  # models / replicas, rounded up


# Every order.

VIEWS = st.lists(
    st.builds(
        ReplicaView,
        replica=st.just(""),
        presence=st.sampled_from(["loaded", "loading", "failed", "absent"]),
        pages=st.integers(0, 3 * SPILL),
        level=st.sampled_from(LEVELS),
    ),
    min_size=1,
    max_size=6,
).map(
    lambda views: [
        ReplicaView(str(number), view.presence, view.pages, view.level)
        for number, view in enumerate(views)
    ]
)


@settings(max_examples=500, deadline=None)
@given(VIEWS, st.integers(1, 2 * SPILL))
def test_whatever_is_known_the_order_keeps_its_promises(
    views: list[ReplicaView], spill: int
) -> None:
    by_id = {view.replica: view for view in views}
    ids = order(views, spill_pages=spill)
    holders = {view.replica for view in views if view.holds}
    calm = {
        view.replica
        for view in views
        if view.presence == "loaded" and view.pages < spill and view.level in ("normal", "warning")
    }
    # A page has somewhere to go, and nowhere twice.
    assert ids
    assert len(ids) == len(set(ids))
    # Who has the model stays a candidate; if nobody has it, all are.
    assert set(ids) >= (holders or by_id.keys())
    # No further copy where memory is short.
    if holders:
        assert all(by_id[i].level == "normal" for i in ids if i not in holders)
    # No further copy without need, and never two at a time.
    if calm:
        assert ids[0] in calm
    if any(view.presence == "loading" for view in views):
        assert ids[0] in holders
    # A further copy as soon as there is need, and room for it.
    room = any(view.presence == "absent" and view.level == "normal" for view in views)
    if holders and not calm and room and all(view.presence != "loading" for view in views):
        assert ids[0] not in holders


# Whole pools: replicas that load what they are asked for, routers that hear of it late.


class Pool:
    """Replicas, and routers that know them by old reports and by what they sent themselves."""

    def __init__(self, models: int, replicas: int, routers: int) -> None:
        self.models = [f"model-{number}" for number in range(models)]
        self.state: dict[str, dict[str, ModelPresence]] = {
            f"replica-{number}": {} for number in range(replicas)
        }
        self.pages: Counter[tuple[str, str]] = Counter()
        self.reports: dict[str, dict[str, Any]] = {replica: {} for replica in self.state}
        self.routers = [InFlight() for _ in range(routers)]
        self.placement = placement(dict.fromkeys(self.models, 1), self.state)

    def route(self, router: int, model: str, page: str) -> str:
        sent = self.routers[router]
        views = [
            view_of(replica, model, self.reports[replica], sent.pages(replica, model))
            for replica in self.placement[model]
        ]
        replica = order(views, spill_pages=SPILL)[0]
        sent.sent(replica, page, model)
        self.pages[replica, model] += 1
        self.state[replica].setdefault(model, "loading")
        return replica

    def end(self, router: int, replica: str, model: str, page: str) -> None:
        self.state[replica][model] = "loaded"
        self.pages[replica, model] -= 1
        self.routers[router].ended(replica, page)

    def report(self, replica: str) -> None:
        state = self.state[replica]
        self.reports[replica] = {
            "loaded": [model for model, is_ in state.items() if is_ == "loaded"],
            "loading": [model for model, is_ in state.items() if is_ == "loading"],
            "pages_by_model": {model: self.pages[replica, model] for model in state},
        }

    def copies(self, model: str) -> set[str]:
        return {replica for replica, state in self.state.items() if model in state}


POOLS = st.builds(Pool, st.integers(1, 3), st.integers(1, 4), st.integers(1, 3))


@settings(max_examples=100, deadline=None)
@given(POOLS, st.data())
def test_light_traffic_needs_one_copy_of_each_model(pool: Pool, data: st.DataObject) -> None:
    """One page at a time, through any router, with reports at any time or never."""
    for page in range(data.draw(st.integers(1, 25))):
        router = data.draw(st.integers(0, len(pool.routers) - 1))
        model = data.draw(st.sampled_from(pool.models))
        replica = pool.route(router, model, str(page))
        if data.draw(st.booleans()):
            pool.report(data.draw(st.sampled_from(sorted(pool.state))))
        pool.end(router, replica, model, str(page))
        assert all(len(pool.copies(model)) <= 1 for model in pool.models)


@settings(max_examples=100, deadline=None)
@given(POOLS)
def test_under_load_a_model_spreads_and_comes_back_to_one_copy(pool: Pool) -> None:
    model, replicas = pool.models[0], sorted(pool.state)
    sent = []
    for page in range(3 * SPILL * len(replicas)):
        router = page % len(pool.routers)
        sent.append((router, pool.route(router, model, str(page)), model, str(page)))
        for replica in replicas:  # loads end between two pages
            if model in pool.state[replica]:
                pool.state[replica][model] = "loaded"
            pool.report(replica)
    assert pool.copies(model) == set(replicas)
    spread = [pool.pages[replica, model] for replica in replicas]
    assert max(spread) - min(spread) <= 1
    for ended in sent:
        pool.end(*ended)
    for replica in replicas:
        pool.report(replica)
    light = set()
    for page in range(5):
        router = page % len(pool.routers)
        light.add(replica := pool.route(router, model, f"light-{page}"))
        pool.end(router, replica, model, f"light-{page}")
    assert len(light) == 1
