"""Answers that are put together in a process of their own: PDF and Word.

First the finished pages are spooled as records, like those of any format; then they are handed to
that process one by one, and its result is spooled. Neither is ever in memory as a whole.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence

from serve_app.api.connection import closing
from serve_app.api.context import Deadline
from serve_app.api.pages import Work
from serve_app.api.spool import Spool
from serve_app.document import FailedPage, PageResult
from serve_app.formats.assembly import AssembledFormat, Plan, packed
from serve_app.formats.pieces import Selection
from serve_app.page_codec import decode_result
from serve_app.ports import DocumentService

MEDIA_TYPES: dict[AssembledFormat, str] = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
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

    def head(self, work: Work) -> Iterator[bytes]:
        """Nothing."""
        yield b""

    def page(self, page: PageResult) -> Iterator[bytes]:
        """What is needed of it."""
        parts = packed(page, self._format)
        yield _RECORD.pack(_PAGE, sum(map(len, parts)))
        yield from parts

    def failed(self, page: FailedPage) -> Iterator[bytes]:
        """Its number."""
        self._failures[page.index] = page
        number = str(page.index).encode()
        yield _RECORD.pack(_FAILED, len(number)) + number

    def tail(self, work: Work, notices: Sequence[str]) -> Iterator[bytes]:
        """The notices."""
        told = json.dumps(list(notices)).encode()
        yield _RECORD.pack(_NOTICES, len(told)) + told

    async def assemble(
        self, records: Spool, result: Spool, work: Work, deadline: Deadline
    ) -> Sequence[str]:
        """Make ``result`` of the records; what more there is to tell.

        Raises:
            OcrServeError: see ``ports.DocumentService.assemble``.
        """
        plan = Plan(self._format, work.info.kind, work.pages, work.name, self._selection)
        begun = self._service.assemble(plan, work.data, deadline_s=deadline.remaining_s())
        more: Sequence[str] = ()
        async with begun as document:
            await records.rewind()
            while head := await records.read(_RECORD.size):
                kind, size = _RECORD.unpack(head)
                data = await records.read(size)
                if kind == _PAGE:
                    await document.page(decode_result(data))
                elif kind == _FAILED:
                    await document.failed(self._failures[int(data)])
                else:
                    more = await document.finish(json.loads(data))
            async with closing(document.read()) as pieces:
                async for piece in pieces:
                    await result.append(lambda piece=piece: [piece])  # type: ignore[misc]
        return more
