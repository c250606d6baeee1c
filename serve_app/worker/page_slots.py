"""At most ``slots`` pages of a model at once in a replica; the rest waits in a fair order."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator

from serve_app.errors import DeadlineExceeded
from serve_app.messages import Priority
from serve_app.policy.fair_queue import FairQueue


class PageSlots:
    """The semaphore of a model. All methods run on the replica's event loop."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._queue = FairQueue()
        self._called: dict[str, asyncio.Future[None]] = {}

    @property
    def waiting(self) -> int:
        """Pages in the queue."""
        return len(self._queue)

    @contextlib.asynccontextmanager
    async def hold(
        self, owner: str, *, priority: Priority = "interactive", timeout_s: float
    ) -> AsyncIterator[None]:
        """Hold a slot for the length of the block.

        Args:
            owner: the request; requests take turns.
            timeout_s: longest wait.

        Raises:
            DeadlineExceeded: no turn in time.
        """
        await self._wait(owner, priority, timeout_s)
        try:
            yield
        finally:
            self._free += 1
            self._call_next()

    async def _wait(self, owner: str, priority: Priority, timeout_s: float) -> None:
        ticket = uuid.uuid4().hex
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._called[ticket] = called
        self._queue.push(ticket, owner, priority)
        try:
            self._call_next()
            await asyncio.wait([called], timeout=max(timeout_s, 0))
            if not called.done():
                raise DeadlineExceeded(f"no turn within {max(timeout_s, 0):.1f} s")
        except BaseException:
            if not self._queue.remove(ticket):  # called in the very moment of giving up
                self._free += 1
                self._call_next()
            raise
        finally:
            del self._called[ticket]

    def _call_next(self) -> None:
        while self._free and (ticket := self._queue.pop()) is not None:
            self._free -= 1
            self._called[ticket].set_result(None)
