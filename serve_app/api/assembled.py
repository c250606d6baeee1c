"""Answers that are put together in a process of their own: PDF and Word.

First the finished pages are spooled as records, like those of any format; then they are handed to
that process one by one, and its result is spooled. Neither is ever in memory as a whole.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from serve_app.api.connection import closing
from serve_app.api.context import Deadline
from serve_app.api.spool import Spool
from serve_app.document import DocumentRequest, FailedPage, PageResult
from serve_app.formats.assembly import AssembledFormat, Plan, packed
from serve_app.formats.pieces import Selection
from serve_app.page_codec import decode_result
from serve_app.ports import DocumentService

MEDIA_TYPES: dict[AssembledFormat, str] = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "docling": "application/json",
    "doctags": "application/json",  # a string, as a member of a larger answer
}
_RECORD = struct.Struct("<cI")  # kind, bytes that follow
_PAGE, _FAILED, _NOTICES = b"P", b"F", b"N"


class RecordWriter:
    """A ``Writer`` of records, and what becomes of them."""

    def __init__(
        self, service: DocumentService, format_: AssembledFormat, selection: Selection
    ) -> None:
        self._service, self._format, self._selection = service, format_, selection
        self._failures: dict[int, FailedPage] = {}
        self.media_type = MEDIA_TYPES[format_]

    def head(self, document: DocumentRequest) -> Iterator[bytes]:
        """Nothing."""
        yield b""

    def page(self, page: PageResult) -> Iterator[bytes]:
        """What is needed of it."""
        parts = self.packed(page)
        yield _RECORD.pack(_PAGE, sum(map(len, parts)))
        yield from parts

    def packed(self, page: PageResult) -> list[bytes]:
        """A page's record."""
        return packed(page, self._format)

    def failed(self, page: FailedPage) -> Iterator[bytes]:
        """Its number."""
        self._failures[page.index] = page
        number = str(page.index).encode()
        yield _RECORD.pack(_FAILED, len(number)) + number

    def tail(self, document: DocumentRequest, notices: Sequence[str]) -> Iterator[bytes]:
        """The notices."""
        told = json.dumps(list(notices)).encode()
        yield _RECORD.pack(_NOTICES, len(told)) + told

    async def assemble(
        self, records: Spool, result: Spool, document: DocumentRequest, deadline: Deadline
    ) -> Sequence[str]:
        """Make ``result`` of the records; what more there is to tell.

        Raises:
            OcrServeError: see ``ports.DocumentService.assemble``.
        """
        return await self.put_together(self._format, records, result, document, deadline)

    async def put_together(
        self,
        format_: AssembledFormat,
        records: Spool,
        result: Spool,
        document: DocumentRequest,
        deadline: Deadline,
    ) -> Sequence[str]:
        """As ``assemble``, in any of the formats.

        Raises: as ``assemble``.
        """
        plan = Plan(format_, document.info.kind, document.pages, document.name, self._selection)
        begun = self._service.assemble(plan, document.data, deadline_s=deadline.remaining_s())
        more: Sequence[str] = ()
        async with begun as made:
            async with closing(read_records(records, self._failures)) as items:
                async for item in items:
                    if isinstance(item, PageResult):
                        await made.page(item)
                    elif isinstance(item, FailedPage):
                        await made.failed(item)
                    else:
                        more = await made.finish(item)
            async with closing(made.read()) as pieces:
                async for piece in pieces:
                    await result.append(lambda piece=piece: [piece])  # type: ignore[misc]
        return more


async def read_records(
    records: Spool, failures: Mapping[int, FailedPage]
) -> AsyncIterator[PageResult | FailedPage | list[str]]:
    """What was written, in order; at last the notices."""
    await records.rewind()
    while head := await records.read(_RECORD.size):
        kind, size = _RECORD.unpack(head)
        data = await records.read(size)
        if kind == _PAGE:
            yield await asyncio.to_thread(decode_result, data)
        elif kind == _FAILED:
            yield failures[int(data)]
        else:
            yield json.loads(data)
