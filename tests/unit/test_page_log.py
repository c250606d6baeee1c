"""What is counted of a page that ended."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from serve_app.telemetry import metrics
from serve_app.worker.page_log import PageLog
from tests.unit.policy_reports import record


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, str] | None]]:
    """Name and labels of every value that a metric was given; no Ray."""
    values: list[tuple[str, dict[str, str] | None]] = []
    for metric in (one for one in vars(metrics).values() if isinstance(one, metrics.LazyMetric)):

        def note(
            value: float = 1.0, tags: dict[str, str] | None = None, name: str = metric.name
        ) -> None:
            values.append((name, tags))

        for method in ("inc", "set", "observe"):
            monkeypatch.setattr(metric, method, note)
    return values


@pytest.mark.parametrize(
    ("changes", "times"),
    [
        ({"peak_bytes": 101}, 1),
        ({"peak_bytes": 100}, 0),
        ({"peak_bytes": 0}, 0),
        ({"peak_bytes": 101, "outcome": "failed"}, 0),
    ],
    ids=["above", "at its estimate", "not measured", "failed"],
)
def test_a_page_above_its_estimate_is_counted_by_model_and_pool(
    counted: list[tuple[str, dict[str, str] | None]], changes: dict[str, Any], times: int
) -> None:
    PageLog().add(dataclasses.replace(record("t"), estimate_bytes=100, **changes))
    under = [tags for name, tags in counted if name == "ocr_under_estimates_total"]
    assert under == [{"model": "ocr", "pool": "cpu"}] * times
