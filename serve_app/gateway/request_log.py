"""Records of whole requests on their way from the gateway to the registry; no request waits."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any

from serve_app.messages import TaskRecord

log = logging.getLogger("ocr_serve.gateway")

# Kept while the registry is away; older ones are lost. It keeps no more itself.
MAX_UNSENT = 1000
# Requests that end closer together than this share a message.
COLLECT_S = 0.2
RETRY_S = 1.0
TIMEOUT_S = 2.0


class RequestLog:
    """Best effort, with one task at most. All methods run on the gateway's event loop.

    Args:
        registry: a Serve handle.
        collect_s, retry_s: waits before a message, and after one without an answer.
    """

    def __init__(
        self, registry: Any, *, collect_s: float = COLLECT_S, retry_s: float = RETRY_S
    ) -> None:
        self._registry, self._collect_s, self._retry_s = registry, collect_s, retry_s
        self._unsent: deque[TaskRecord] = deque(maxlen=MAX_UNSENT)
        self._sending: asyncio.Task[None] | None = None

    def add(self, record: TaskRecord) -> None:
        """Have it sent soon; neither waits nor fails."""
        self._unsent.append(record)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.get_running_loop().create_task(self._send_all())

    async def close(self) -> None:
        """Stop sending."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    async def _send_all(self) -> None:
        while self._unsent:
            await asyncio.sleep(self._collect_s)
            records = tuple(self._unsent)
            try:
                await asyncio.wait_for(self._send(records), TIMEOUT_S)
            except Exception as error:
                log.info("records not sent", extra={"error": type(error).__name__})
                await asyncio.sleep(self._retry_s)
                continue
            self._sent(records)

    async def _send(self, records: tuple[TaskRecord, ...]) -> None:
        await self._registry.requests_ended.remote(records)

    def _sent(self, records: tuple[TaskRecord, ...]) -> None:
        for record in records:  # the oldest may have been pushed out meanwhile
            if self._unsent and self._unsent[0] is record:
                self._unsent.popleft()
