"""How many requests a gateway has under way: a bound, and an end.

Serve has bounds of its own, but what they refuse waits first, and is told so without a Retry-After.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from starlette.requests import Request

from serve_app.api.context import context_of, priority_of
from serve_app.changes import until_set
from serve_app.clock import now
from serve_app.errors import QueueFull, ServerStopping
from serve_app.facts import Priority
from serve_app.policy.admission import retry_after_s
from serve_app.policy.drain_rate import DrainRate

# For answers that say so to reach their clients.
LAST_WORDS_S = 2.0


class RequestGate:
    """Lets requests in up to ``limit``, and at last no more. On one event loop.

    Half of the places are for interactive requests only: they find room while batch work queues.
    """

    def __init__(self, limit: int) -> None:
        self._limits: dict[Priority, int] = {"interactive": limit, "batch": (limit + 1) // 2}
        self._open = 0
        self._drain = DrainRate()
        self._idle: asyncio.Event | None = None  # while somebody waits for it
        self._given_up = False
        self._waiting: set[asyncio.Future[None]] = set()
        self.stopping = False

    @contextlib.contextmanager
    def request(self, priority: Priority) -> Iterator[None]:
        """A request is under way, to the end of its answer.

        Raises:
            QueueFull: as many are under way as may be.
            ServerStopping: no more are taken.
        """
        if self.stopping:
            raise ServerStopping("this server is stopping")
        if self._open >= self._limits[priority]:
            raise QueueFull(
                f"{self._open} requests under way (gateway.max_ongoing_requests)",
                float(retry_after_s(self._open, self._drain.per_second(now()))),
            )
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            self._drain.ended(now(), left=self._open)
            if not self._open and self._idle is not None:
                self._idle.set()

    async def finish(self, timeout_s: float) -> int:
        """Take no more requests and wait for those under way.

        After ``timeout_s`` they are ended with ``ServerStopping``; the number of those.
        """
        self.stopping = True
        await self._until_idle(timeout_s)
        ended, self._given_up = self._open, True
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        await self._until_idle(LAST_WORDS_S)
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
        if not self._open:
            return
        await until_set(self._idle, timeout_s)


def gate_of(request: Request) -> RequestGate:
    """The one that this request has passed."""
    gate = request.scope["state"]["gate"]
    assert isinstance(gate, RequestGate)
    return gate


@dataclass(frozen=True, eq=False, slots=True)
class Passes:
    """The dependency of routes that take documents; an operator's orders go around the gate."""

    gate: RequestGate

    async def __call__(self, request: Request) -> None:
        """Take a place until the request ends, or refuse."""
        request.scope["state"]["gate"] = self.gate
        context_of(request).resources.enter_context(self.gate.request(priority_of(request)))
