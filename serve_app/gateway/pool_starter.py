"""PoolStarter: asks for the first worker of a pool that has none, and tells when it is there.

A call that waits in the pool's handle is what makes Serve start a worker. There is one such call
per pool, however many pages ask, and its answer is the news that a worker runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from serve_app import clock

log = logging.getLogger("ocr_serve.gateway")


@dataclass(slots=True)
class _Start:
    at: float
    call: asyncio.Task[bool]


class PoolStarter:
    """See the module's docstring.

    Args:
        call: makes a cheap call of a pool's worker, which waits until there is one.
        call_timeout_s: then the call is given up; the next page makes another one.
    """

    def __init__(self, call: Callable[[str], Awaitable[object]], call_timeout_s: float) -> None:
        self._call, self._call_timeout_s = call, call_timeout_s
        self._starts: dict[str, _Start] = {}

    async def started(self, pool: str, wait_s: float) -> bool:
        """Whether the pool has a worker ``wait_s`` seconds after it was first asked for.

        A page that comes when that time has passed does not wait.
        """
        start = self._starts.get(pool)
        if start is None or start.call.done():
            call = asyncio.get_running_loop().create_task(self._ask(pool))
            start = self._starts[pool] = _Start(clock.now(), call)
            log.info("worker asked for", extra={"pool": pool})
        left_s = start.at + wait_s - clock.now()
        if not start.call.done() and left_s > 0:
            await asyncio.wait({start.call}, timeout=left_s)
        return start.call.done() and start.call.result()

    async def close(self) -> None:
        """Take the calls back."""
        calls = [start.call for start in self._starts.values()]
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    async def _ask(self, pool: str) -> bool:
        try:
            await asyncio.wait_for(self._call(pool), self._call_timeout_s)
        except Exception as error:
            log.warning("no worker came", extra={"pool": pool, "error": type(error).__name__})
            return False
        return True
