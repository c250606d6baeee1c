"""The last hour of each domain: a ring, in columns, and what goes with it."""

from __future__ import annotations

from serve_app.control.memory_page import history_answer
from serve_app.messages import EngineEnding
from serve_app.policy.memory_history import WINDOW_S, MemoryHistory
from serve_app.policy.pool_views import pool_views
from serve_app.policy.registry_views import Heard, domain_views, model_views
from serve_app.settings import PressureSettings
from serve_app.worker.engine_endings import KEPT, EngineEndings
from serve_app.worker.unload_check import UnloadResult
from tests.unit.policy_reports import model, reading, report


def views(*models: object, used: int = 500, ours: int = 100) -> list[object]:
    told = report("one", *models, domains=(reading("ram:node", used, ours=ours),))  # type: ignore[arg-type]
    return list(domain_views([Heard(told, 0.0)], {"ram:node": "warning"}, 0.0))


def test_samples_come_in_columns_with_zeros_where_a_model_was_not_loaded() -> None:
    history = MemoryHistory(5.0)
    history.add(views(model("ocr")), 10.0)  # type: ignore[arg-type]
    history.add(views(model("structure", 300), used=800, ours=300), 15.0)  # type: ignore[arg-type]
    (told,) = history.since(0.0)
    assert told == {
        "domain": "ram:node",
        "kind": "ram",
        "total_bytes": 1000,
        "at": [10.0, 15.0],
        "used_bytes": [500, 800],
        "ours_bytes": [100, 300],
        "level": ["warning", "warning"],
        "models": {"ocr": [100, 0], "structure": [0, 300]},
    }


def test_who_knows_a_part_gets_the_rest() -> None:
    history = MemoryHistory(5.0)
    for at in (10.0, 15.0, 20.0):
        history.add(views(), at)  # type: ignore[arg-type]
    assert history.since(10.0)[0]["at"] == [15.0, 20.0]
    assert history.since(20.0)[0]["at"] == []


def test_it_is_bounded_and_forgets_domains_that_are_gone() -> None:
    history = MemoryHistory(5.0)
    for number in range(2000):
        history.add(views(), 5.0 * number)  # type: ignore[arg-type]
    assert len(history.since(0.0)[0]["at"]) == WINDOW_S / 5.0
    history.add([], 5.0 * 2000 + WINDOW_S)
    assert history.since(0.0) == []


def test_the_answer_has_models_pages_and_the_ends_of_engines_newest_first() -> None:
    old, new = EngineEnding("idle", 900, 880, 60.0), EngineEnding("operator", 500, 500, 1.0)
    told = report("one", model("ocr", endings=(old, new)), running=2, queued=3)
    heard = [Heard(told, 100.0)]
    answer = history_answer(
        MemoryHistory(5.0),
        domain_views(heard, {}, 102.0),
        model_views(heard, {"ocr": 300.0}, {"ocr"}, 102.0),
        pool_views([told], {}),
        [told],
        PressureSettings(),
        since=0.0,
        at=1000.0,
    )
    assert [one["reason"] for one in answer["endings"]] == ["operator", "idle"]
    assert answer["endings"][1]["at"] == 1000.0 - 2.0 - 60.0
    (shown,) = answer["models"]
    assert (shown["pinned"], shown["idle_timeout_s"]) == (True, 300.0)
    assert shown["copies"][0]["idle_s"] == 10.0
    assert (answer["pools"]["cpu"]["running"], answer["pools"]["cpu"]["queued"]) == (2, 3)
    assert answer["thresholds"]["critical"] == 0.95
    assert [one["domain"] for one in answer["now"]] == ["ram:node"]


def test_the_last_ends_of_engines_are_remembered_with_their_age() -> None:
    at = [0.0]
    endings = EngineEndings(lambda: at[0])
    for number in range(KEPT + 5):
        at[0] = float(number)
        endings.unloaded(UnloadResult("ocr", 1, "idle", 100, 95, 0.1))
    endings.died("ocr", 2, -9)
    at[0] += 10.0
    facts = endings.facts()
    assert len(facts) == KEPT
    assert facts[-1] == EngineEnding("died", 0, 0, 10.0)
    assert facts[-2] == EngineEnding("idle", 100, 95, 10.0)
