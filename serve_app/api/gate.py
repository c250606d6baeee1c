"""How many requests a gateway has under way: a bound, and an end.

Serve has bounds of its own, but what they refuse waits first, and is told so without a Retry-After.
A request takes its place when its body is there; until then it is among the uploads (``body.py``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from serve_app.changes import until_set
from serve_app.clock import now
from serve_app.errors import QueueFull, ServerStopping
from serve_app.messages import Priority
from serve_app.policy.admission import retry_after_s
from serve_app.policy.drain_rate import DrainRate

# For answers that say so to reach their clients.
RESPONSE_FLUSH_S = 2.0


class RequestGate:
    """Lets requests in up to ``limit``, and at last no more. On one event loop.

    Half of the places are for interactive requests only: they find room while batch work queues.
    """

    def __init__(self, limit: int) -> None:
        self._limits: dict[Priority, int] = {"interactive": limit, "batch": (limit + 1) // 2}
        self._open = 0
        self._arriving = 0
        self._drain = DrainRate()
        self._idle: asyncio.Event | None = None  # while somebody waits for it
        self._given_up = False
        self._waiting: set[asyncio.Future[None]] = set()
        self.stopping = False

    @contextlib.contextmanager
    def visit(self, priority: Priority) -> Iterator[Visit]:
        """A request has come, and is there to the end of its answer.

        Raises:
            QueueFull: as many are under way as may be.
            ServerStopping: no more are taken.
        """
        if self.stopping:
            raise ServerStopping("this server is stopping")
        self._check_room(priority)
        visit = Visit(self, priority)
        self._arriving += 1
        try:
            yield visit
        finally:
            self._leave(visit)

    def enter(self, visit: Visit) -> None:
        """Its body is there. See ``Visit``."""
        self._check_room(visit.priority)
        self._arriving -= 1
        self._open += 1
        visit.entered = True

    def _check_room(self, priority: Priority) -> None:
        if self._open >= self._limits[priority]:
            raise QueueFull(
                f"{self._open} requests under way (gateway.max_ongoing_requests)",
                float(retry_after_s(self._open, self._drain.per_second(now()))),
            )

    def _leave(self, visit: Visit) -> None:
        if visit.entered:
            self._open -= 1
            self._drain.ended(now(), left=self._open)
        else:
            self._arriving -= 1
        if not self._here and self._idle is not None:
            self._idle.set()

    @property
    def _here(self) -> int:
        return self._open + self._arriving

    async def finish(self, timeout_s: float) -> int:
        """Take no more requests and wait for those that have come.

        After ``timeout_s`` they are ended with ``ServerStopping``; the number of those.
        """
        self.stopping = True
        await self._until_idle(timeout_s)
        ended, self._given_up = self._here, True
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        await self._until_idle(RESPONSE_FLUSH_S)
        return ended

    async def given_up(self) -> None:
        """Returns when requests under way are to end."""
        if self._given_up:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    async def _until_idle(self, timeout_s: float) -> None:
        self._idle = asyncio.Event()
        if not self._here:
            return
        await until_set(self._idle, timeout_s)


@dataclass(eq=False, slots=True)
class Visit:
    """One request's way through the gate.

    Attributes:
        entered: whether it has a place; before, it only arrives.
    """

    gate: RequestGate
    priority: Priority
    entered: bool = False

    def enter(self) -> None:
        """Take a place, also when the gate has begun to stop meanwhile.

        Raises:
            QueueFull: as many are under way as may be.
        """
        self.gate.enter(self)
