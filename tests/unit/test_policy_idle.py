"""What was idle for too long is unloaded; nothing else is."""

from __future__ import annotations

import dataclasses

import pytest

from serve_app.messages import ModelFacts, Unload
from serve_app.policy.idle import idle_unloads, is_idle

IDLE = ModelFacts("ocr", "READY", generation=7, references=0, waiting=0, idle_s=300.0, loads=1)
TIMEOUTS = {"ocr": 300.0}


def test_after_its_time_out_a_model_is_unloaded_at_the_generation_seen() -> None:
    assert idle_unloads([IDLE], TIMEOUTS) == [Unload("ocr", 7, "idle")]


def test_before_its_time_out_it_is_not() -> None:
    assert idle_unloads([dataclasses.replace(IDLE, idle_s=299.9)], TIMEOUTS) == []


def test_time_out_0_is_at_once_and_minus_1_never() -> None:
    fresh = dataclasses.replace(IDLE, idle_s=0.0)
    assert idle_unloads([fresh], {"ocr": 0.0}) == [Unload("ocr", 7, "idle")]
    assert idle_unloads([dataclasses.replace(IDLE, idle_s=1e9)], {"ocr": -1.0}) == []


def test_a_pinned_model_stays() -> None:
    assert idle_unloads([IDLE], TIMEOUTS, pinned={"ocr"}) == []


def test_a_model_of_another_configuration_stays() -> None:
    assert idle_unloads([IDLE], {"structure": 0.0}) == []


@pytest.mark.parametrize(
    "busy",
    [
        dataclasses.replace(IDLE, references=1),
        dataclasses.replace(IDLE, idle_s=None),
        dataclasses.replace(IDLE, state="LOADING"),
        dataclasses.replace(IDLE, state="UNLOADING"),
        dataclasses.replace(IDLE, state="UNLOADED"),
        dataclasses.replace(IDLE, state="FAILED"),
    ],
)
def test_what_is_in_use_or_not_loaded_is_not_idle(busy: ModelFacts) -> None:
    assert not is_idle(busy)
    assert idle_unloads([busy], TIMEOUTS) == []
