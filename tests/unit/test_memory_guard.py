"""MemoryGuard: whom a new level is told to."""

from __future__ import annotations

from serve_app.settings import PressureSettings
from serve_app.testing.devices import FakeDomain, FakeProbe
from serve_app.worker.memory_guard import MemoryGuard


async def test_a_crossing_is_told_once_in_both_directions() -> None:
    domain, told = FakeDomain(total_bytes=1000), []
    guard = MemoryGuard(
        FakeProbe(domain),
        PressureSettings(),
        budget_bytes=1000,
        budget_key="pools.cpu.memory_bytes",
        queue_timeout_s=1,
        on_crossing=lambda: told.append(guard.level),
    )
    for used in (0, 960, 960, 0, 0):
        domain.others_bytes = used
        await guard.sample()
    assert told == ["critical", "normal"]
    await guard.close()
