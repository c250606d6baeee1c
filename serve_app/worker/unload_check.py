"""Whether the memory of an ended engine really came back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from serve_app import clock

# From Ollama's scheduler: poll every 250 ms, wait for 90 % of it, at most 30 s.
POLL_S = 0.25
WANTED_FRACTION = 0.9
DEADLINE_S = 30.0


@dataclass(frozen=True, slots=True)
class UnloadResult:
    """One unloaded engine.

    Attributes:
        held_bytes: what it held right before.
        freed_bytes: what came back, up to ``held_bytes``.
        unload_s: from the order to the last look.
    """

    model: str
    pid: int
    reason: str
    held_bytes: int
    freed_bytes: int
    unload_s: float

    @property
    def missing_bytes(self) -> int:
        """What did not come back; 0 if enough did."""
        enough = self.freed_bytes >= WANTED_FRACTION * self.held_bytes
        return 0 if enough else self.held_bytes - self.freed_bytes


async def wait_for_memory(
    held_bytes: int,
    still_held: Callable[[], Awaitable[int]],
    *,
    poll_s: float = POLL_S,
    deadline_s: float = DEADLINE_S,
) -> int:
    """Poll ``still_held`` (bytes) until enough came back; the bytes that did."""
    deadline = clock.now() + deadline_s
    while True:
        freed = max(held_bytes - await still_held(), 0)
        if freed >= WANTED_FRACTION * held_bytes or clock.now() >= deadline:
            return freed
        await asyncio.sleep(poll_s)
