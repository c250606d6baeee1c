"""An answer that is complete before its first byte is sent, yet not held in memory.

Pages come one by one and are written here; the status line goes out only when the last page is
there, so that a failure on page 30 is still an honest error.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterable, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

SPOOL_MEMORY_BYTES = 1024 * 1024
SEND_CHUNK_BYTES = 256 * 1024


class Spool:
    """Bytes in memory up to 1 MiB, beyond in a file that has no name and goes with its handle."""

    def __init__(self, memory_bytes: int = SPOOL_MEMORY_BYTES) -> None:
        # Not a `with` block: it lives as long as the request that owns it.
        self._file = tempfile.SpooledTemporaryFile(max_size=memory_bytes)  # noqa: SIM115
        self.size_bytes = 0

    @property
    def closed(self) -> bool:
        """Whether its memory or file was given back."""
        return self._file.closed

    async def append(self, build: Callable[[], Iterable[bytes]]) -> None:
        """Write the pieces that ``build`` makes; both in a thread (JSON, base64, the disk)."""
        await asyncio.to_thread(self._write, build)

    def _write(self, build: Callable[[], Iterable[bytes]]) -> None:
        for piece in build():
            self._file.write(piece)
            self.size_bytes += len(piece)

    async def rewind(self) -> None:
        """Go to the start, for reading."""
        await asyncio.to_thread(self._file.seek, 0)

    async def read(self, size_bytes: int = SEND_CHUNK_BYTES) -> bytes:
        """The next chunk; shorter, and at last empty, at the end."""
        return await asyncio.to_thread(self._file.read, size_bytes)

    def close(self) -> None:
        """Free the memory or the file; a second call does nothing."""
        self._file.close()


class SpoolResponse(Response):
    """Status 200 with a spool's bytes and their Content-Length; the request owns the spool."""

    def __init__(self, spool: Spool, media_type: str, headers: Mapping[str, str]) -> None:
        super().__init__(None, 200, dict(headers), media_type)
        self.headers["content-length"] = str(spool.size_bytes)
        self._spool = spool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the bytes."""
        await self._spool.rewind()
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        while chunk := await self._spool.read():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
