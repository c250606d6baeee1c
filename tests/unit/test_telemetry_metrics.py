"""What every metric's declaration must be like for Ray and Prometheus to take it."""

from __future__ import annotations

import re

import pytest

from serve_app.telemetry import metrics


@pytest.mark.parametrize("metric", metrics.declared().values(), ids=lambda metric: metric.name)
def test_declaration_is_one_that_ray_and_prometheus_take(metric: metrics.LazyMetric) -> None:
    assert re.fullmatch(r"ocr_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "Counter")
    # Ray's native part raises at the first use of a text that is not ASCII.
    assert metric.description.isascii()
    assert metric.description
