"""The pages of an answer between their prediction and their writing.

What is furniture is decided over all pages, so none can be written before the last one is there.
They wait on the disk, one is in memory at a time; kept are only sizes and failures.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from types import TracebackType

from serve_app.api.spool import SPOOL_MEMORY_BYTES, close_temporary, full_disk_is_told
from serve_app.document import FailedPage, PageResult
from serve_app.page_codec import decode_result, encode_result


class PageStore:
    """Pages in the order in which they were added; a context manager that frees memory and disk."""

    def __init__(self) -> None:
        # Not a `with` block: it lives as long as this object's own.
        self._file = tempfile.SpooledTemporaryFile(max_size=SPOOL_MEMORY_BYTES)  # noqa: SIM115
        self._entries: list[int | FailedPage] = []

    def __enter__(self) -> PageStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        close_temporary(self._file)

    async def append(self, page: PageResult | FailedPage) -> None:
        """Add a page; written in a thread."""
        if isinstance(page, FailedPage):
            self._entries.append(page)
        else:
            self._entries.append(await asyncio.to_thread(self._write, page))

    async def pages(self) -> AsyncIterator[PageResult | FailedPage]:
        """All pages, once; without their records."""
        await asyncio.to_thread(self._file.seek, 0)
        for entry in self._entries:
            if isinstance(entry, FailedPage):
                yield entry
            else:
                yield await asyncio.to_thread(self._read, entry)

    def _write(self, page: PageResult) -> int:
        with full_disk_is_told("the pages of the document"):
            size = sum(self._file.write(part) for part in encode_result(page))
            self._file.flush()
        return size

    def _read(self, size: int) -> PageResult:
        return decode_result(self._file.read(size))
