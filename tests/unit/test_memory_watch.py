"""The memory watch: the levels of what is reported, and the end of what is not."""

from __future__ import annotations

import pytest

from serve_app.control.memory_watch import FORGET_AFTER_S, MemoryWatch
from serve_app.messages import DomainReading
from serve_app.testing.service import fake_settings

CROSSED = "memory level crossed"


def reading(percent: int, domain: str = "ram:a") -> tuple[DomainReading, ...]:
    return (DomainReading(domain, "ram", 100, percent),)


@pytest.fixture
def watch() -> MemoryWatch:
    return MemoryWatch(fake_settings().pressure)


def test_it_knows_the_level_of_every_domain_that_is_reported(watch: MemoryWatch) -> None:
    watch.heard((*reading(10), *reading(85, "ram:b")), 0.0)
    assert watch.levels == {"ram:a": "normal", "ram:b": "warning"}


def test_a_crossing_is_one_line(watch: MemoryWatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "ocr_serve.memory")
    for percent in (10, 20, 99, 99):
        watch.heard(reading(percent), 0.0)
    assert watch.levels == {"ram:a": "emergency"}
    assert [record.message for record in caplog.records].count(CROSSED) == 1


def test_a_domain_that_nobody_reports_any_more_is_forgotten(watch: MemoryWatch) -> None:
    watch.heard((*reading(99), *reading(10, "ram:b")), 0.0)
    watch.heard(reading(10, "ram:b"), FORGET_AFTER_S)
    watch.tick(FORGET_AFTER_S)
    assert watch.levels == {"ram:a": "emergency", "ram:b": "normal"}
    watch.tick(FORGET_AFTER_S + 1)
    assert watch.levels == {"ram:b": "normal"}
