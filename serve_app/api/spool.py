"""An answer that is complete before its first byte is sent, yet not held in memory.

Pages come one by one and are written here; the status line goes out only when the last page is
there, so that a failure on page 30 is still an honest error.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from serve_app.errors import AnswerTooLarge, SpoolFull
from serve_app.policy.byte_budget import ByteBudget, Share
from serve_app.settings import AppSettings
from serve_app.storage import is_full, temporary_full

SPOOL_MEMORY_BYTES = 1024 * 1024
SEND_CHUNK_BYTES = 256 * 1024


class _File(Protocol):
    def close(self) -> None: ...


@contextlib.contextmanager
def full_disk_is_told(what: str, needed_bytes: int | None = None) -> Iterator[None]:
    """A block that writes temporary files. Raises StorageFull instead of the disk's error."""
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise temporary_full(what, needed_bytes) from None


def close_temporary(file: _File) -> None:
    """Close a file that nobody reads any more: that its last bytes found no room is no matter."""
    try:
        file.close()
    except OSError as error:
        if not is_full(error):
            raise


class Spools:
    """Those of a gateway: what one answer may have, and all of them together.

    Args:
        settings: limits.
    """

    def __init__(self, settings: AppSettings) -> None:
        self.budget = ByteBudget(settings.gateway.max_spool_bytes_total)
        self.max_answer_bytes = settings.limits.max_answer_bytes
        self.lock = threading.Lock()  # spools are written in threads

    def spool(self, memory_bytes: int = SPOOL_MEMORY_BYTES) -> Spool:
        """An empty one; it has to be closed."""
        return Spool(self, self.budget.share(), memory_bytes)


class Spool:
    """Bytes in memory up to 1 MiB, beyond in a file that has no name and goes with its handle."""

    def __init__(self, spools: Spools, share: Share, memory_bytes: int) -> None:
        # Not a `with` block: it lives as long as the request that owns it.
        self._file = tempfile.SpooledTemporaryFile(max_size=memory_bytes)  # noqa: SIM115
        self._spools, self._share = spools, share
        self.size_bytes = 0

    @property
    def closed(self) -> bool:
        """Whether its memory or file was given back."""
        return self._file.closed

    async def append(self, build: Callable[[], Iterable[bytes]]) -> None:
        """Write the pieces that ``build`` makes; both in a thread (JSON, base64, the disk).

        Raises:
            AnswerTooLarge: above ``limits.max_answer_bytes``.
            SpoolFull: above what all answers may have.
            StorageFull: the disk has no room.
        """
        await asyncio.to_thread(self._write, build)

    def _write(self, build: Callable[[], Iterable[bytes]]) -> None:
        for piece in build():
            self._hold(self.size_bytes + len(piece))
            with full_disk_is_told("the answer", len(piece)):
                self._file.write(piece)
            self.size_bytes += len(piece)
        # Now, not when it is read: then the status line is out.
        with full_disk_is_told("the answer"):
            self._file.flush()

    def _hold(self, size_bytes: int) -> None:
        most = self._spools.max_answer_bytes
        if size_bytes > most:
            what = "The size of the answer in bytes"
            raise AnswerTooLarge(what, size_bytes, most, "limits.max_answer_bytes")
        with self._spools.lock:
            # Nothing once it is closed: the request was given up while a thread still wrote.
            has_room = self.closed or self._share.grow_to(size_bytes)
        if not has_room:
            used = self._spools.budget.used_bytes
            raise SpoolFull(f"{used} bytes of answers are held (gateway.max_spool_bytes_total)")

    async def rewind(self) -> None:
        """Go to the start, for reading."""
        await asyncio.to_thread(self._file.seek, 0)

    async def read(self, size_bytes: int = SEND_CHUNK_BYTES) -> bytes:
        """The next chunk; shorter, and at last empty, at the end."""
        return await asyncio.to_thread(self._file.read, size_bytes)

    def close(self) -> None:
        """Free the memory or the file; a second call does nothing."""
        with self._spools.lock:
            close_temporary(self._file)
            self._share.close()


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
