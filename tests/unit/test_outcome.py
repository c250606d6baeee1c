"""The words of a record, from what a task raised."""

from __future__ import annotations

import asyncio

import pytest

from serve_app import errors
from serve_app.outcome import outcome_of


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncio.CancelledError(), ("cancelled", "cancelled")),
        (errors.QueueFull("full"), ("rejected", "queue_full")),
        (errors.MemoryPressure("no room"), ("rejected", "memory_pressure")),
        (
            errors.PageTooLargeForBudget("bytes", 2, 1, "key"),
            ("rejected", "page_too_large_for_budget"),
        ),
        (errors.InvalidFile("broken"), ("failed", "invalid_file")),
        (errors.DeadlineExceeded("late"), ("failed", "deadline_exceeded")),
        (errors.EngineCrashed("gone"), ("failed", "engine_crashed")),
        (KeyError("a bug"), ("failed", "internal")),
    ],
)
def test_outcome_and_code(error: BaseException, expected: tuple[str, str]) -> None:
    assert outcome_of(error) == expected
