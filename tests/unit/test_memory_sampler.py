"""MemorySampler: whom a new level is told to."""

from __future__ import annotations

from serve_app.policy.budget import ByteBudget
from serve_app.settings import PressureSettings
from serve_app.testing.devices import FakeDomain, FakeProbe
from serve_app.worker.memory_sampler import MemorySampler


async def test_a_crossing_is_told_once_in_both_directions() -> None:
    domain, told, readings = FakeDomain(total_bytes=1000), [], []
    sampler = MemorySampler(
        FakeProbe(domain),
        PressureSettings(),
        ByteBudget(1000),
        {},
        on_reading=lambda: readings.append(sampler.level),
        on_crossing=lambda crossing: told.append((crossing.after, sampler.level)),
    )
    for used in (0, 960, 960, 0, 0):
        domain.others_bytes = used
        await sampler.sample()
    assert told == [("critical", "critical"), ("normal", "normal")]
    assert readings == ["normal", "critical", "critical", "normal", "normal"]
    sampler.close()
