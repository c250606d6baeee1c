"""Waiting on one event loop for something to change, but not for ever."""

from __future__ import annotations

import asyncio
from typing import Any

CANCEL_AGAIN_S = 1.0


async def until_set(event: asyncio.Event, timeout_s: float) -> None:
    """Until it is set, but no longer than this."""
    if timeout_s <= 0:
        return
    # Not `wait_for`: before Python 3.12 it forgets a cancellation that comes with the event.
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({waiting}, timeout=timeout_s)
    finally:
        waiting.cancel()


async def end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel them and wait until they have ended, however they end.

    Once more each second: a cancellation that comes together with an answer may be lost, in the
    clients of stores as in `asyncio.wait_for` before Python 3.12, and a task that goes round and
    round would then be waited for for ever.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)  # nobody else looks at their exceptions


class Changes:
    """Changes that any number of tasks wait for; each is told of the next one only."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def tell(self) -> None:
        """Something changed: everybody who waits goes on."""
        self._next.set()
        self._next = asyncio.Event()

    async def wait(self, timeout_s: float) -> None:
        """Until the next change, but no longer than this."""
        await until_set(self._next, timeout_s)
