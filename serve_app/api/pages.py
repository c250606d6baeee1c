"""From a file to its whole answer, page by page: what both protocols share.

Results arrive one by one; each goes to the disk before the next is asked for. When all are there it
is known what is furniture, and they are written into the answer's spool, again one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, runtime_checkable

from serve_app.api.connection import closing
from serve_app.api.context import Deadline
from serve_app.api.finish import DEFAULT, Finish
from serve_app.api.layer_facts import LayerFacts
from serve_app.api.page_store import PageStore
from serve_app.api.request_task import RequestTask
from serve_app.api.spool import Spool, SpoolResponse
from serve_app.document import DocumentRequest, FailedPage, PageResult
from serve_app.errors import PageFailed
from serve_app.layout.furniture import NO_EDGES, Edges, decide, edges_of
from serve_app.ports import DocumentService

NOTICE_HEADER = "x-ocr-notice"
FAILED_PAGES_HEADER = "x-ocr-failed-pages"
FURNITURE_HEADER = "x-ocr-furniture-lines"


@dataclass(frozen=True, slots=True)
class Work:
    """One document and what becomes of its pages.

    Attributes:
        request: what is to be predicted.
        finish: what is done with its pages when all are there.
    """

    request: DocumentRequest
    finish: Finish = DEFAULT


class Writer(Protocol):
    """One form of answer, as pieces of bytes in order: head, each page, tail."""

    @property
    def media_type(self) -> str:
        """Content-Type of the answer."""
        ...

    def head(self, document: DocumentRequest) -> Iterable[bytes]:
        """What comes before the first page."""
        ...

    def page(self, page: PageResult) -> Iterable[bytes]:
        """One page; called in a thread."""
        ...

    def failed(self, page: FailedPage) -> Iterable[bytes]:
        """A page that has no result, in its place. Raises its error if there is no such place."""
        ...

    def tail(self, document: DocumentRequest, notices: Sequence[str]) -> Iterable[bytes]:
        """What comes after the last page."""
        ...


@runtime_checkable
class AssemblingWriter(Writer, Protocol):
    """A writer whose pieces are not the answer yet."""

    async def assemble(
        self, records: Spool, result: Spool, document: DocumentRequest, deadline: Deadline
    ) -> Iterable[str]:
        """Make the answer of what was written; further notices."""
        ...


@dataclass(slots=True)
class Notices:
    """What was left out, each sentence once, in order of appearance."""

    unique: dict[str, None] = field(default_factory=dict)

    def add(self, notices: Iterable[str]) -> None:
        """Remember them."""
        self.unique.update(dict.fromkeys(notices))

    def listed(self) -> list[str]:
        """For the answer's body."""
        return list(self.unique)

    def headers(self) -> dict[str, str]:
        """For the answer's headers: ASCII on one line, absent if there are none."""
        if not self.unique:
            return {}
        line = " ".join("; ".join(self.unique).split())
        return {NOTICE_HEADER: line.encode("ascii", "replace").decode("ascii")}


async def answer(
    service: DocumentService,
    work: Work,
    deadline: Deadline,
    writer: Writer,
    task: RequestTask,
    headers: Mapping[str, str] | None = None,
) -> SpoolResponse:
    """Predict all pages, then answer, with further ``headers``.

    Raises:
        OcrServeError: of the service, or see ``_collect``.
    """
    context, request = task.context, work.request
    facts = {"model": request.model, "pages": len(request.pages), "kind": request.info.kind}
    context.facts |= facts
    spool = _spool(task)
    with PageStore() as store:
        got = await _collect(service, request, deadline, store, task)
        await spool.append(lambda: writer.head(request))
        furniture = await _write_pages(work, got, writer, store, spool)
    got.notices.add(got.layers.notices())
    await spool.append(lambda: writer.tail(request, got.notices.listed()))
    if isinstance(writer, AssemblingWriter):
        records, spool = spool, _spool(task)
        got.notices.add(await writer.assemble(records, spool, request, deadline))
        records.close()
    headers = {
        **(headers or {}),
        **got.notices.headers(),
        **got.layers.headers(),
        **task.costs.headers(request.ids, request.model),
    }
    if furniture:
        headers[FURNITURE_HEADER] = str(furniture)
    if got.failed:
        numbers = [page.index + 1 for page in got.failed]
        context.facts["failed_pages"] = len(numbers)
        headers[FAILED_PAGES_HEADER] = ",".join(map(str, numbers))
    return SpoolResponse(spool, writer.media_type, headers)


def _spool(task: RequestTask) -> Spool:
    """One that is closed with the request."""
    spool = task.spools.spool()
    task.context.resources.callback(task.ledger.open(task.ids.task, "spool"))
    task.context.resources.callback(spool.close)
    return spool


@dataclass(slots=True)
class _Collected:
    """What is remembered of the pages while they wait."""

    notices: Notices = field(default_factory=Notices)
    failed: list[FailedPage] = field(default_factory=list)
    edges: list[Edges] = field(default_factory=list)
    layers: LayerFacts = field(default_factory=LayerFacts)


async def _collect(
    service: DocumentService,
    request: DocumentRequest,
    deadline: Deadline,
    store: PageStore,
    task: RequestTask,
) -> _Collected:
    """Store page after page.

    Raises:
        OcrServeError: of the first page, if not one has a result.
        PageFailed: the service ended early or out of order: an answer with a page missing must
            never look like a whole one.
    """
    got = _Collected()
    results = service.predict_pages(request, request.pages, deadline_s=deadline.remaining_s())
    expected = iter(request.pages)
    async with closing(results) as pages:
        async for page in pages:
            if page.index != next(expected, None):
                raise PageFailed(f"page {page.index + 1} came out of turn")
            if isinstance(page, FailedPage):
                got.failed.append(page)
                got.edges.append(NO_EDGES)
            else:
                info = request.info.pages[page.index]
                got.notices.add((*filter(None, (info.notice,)), *page.notices))
                got.layers.add(page)
                got.edges.append(edges_of(page))
                task.costs.add(page)
            await store.append(page)
    if (missing := next(expected, None)) is not None:
        raise PageFailed(f"page {missing + 1} did not come back")
    if got.failed and len(got.failed) == len(request.pages):
        raise got.failed[0].error
    return got


async def _write_pages(
    work: Work, got: _Collected, writer: Writer, store: PageStore, spool: Spool
) -> int:
    """Finish and write page after page; how many lines were left out as furniture."""
    finish = work.finish
    furniture = await asyncio.to_thread(decide, got.edges)
    left_out = 0

    def pieces(page: PageResult, lines: Collection[int]) -> Iterator[bytes]:
        nonlocal left_out
        finished = finish.page(page, lines)
        left_out += sum(len(block.lines) for block in finish.furniture_of(finished))
        yield from writer.page(finished)

    number = 0
    async with closing(store.pages()) as pages:
        async for page in pages:
            if isinstance(page, FailedPage):
                await spool.append(partial(writer.failed, page))
            else:
                await spool.append(partial(pieces, page, furniture[number]))
            number += 1
    return left_out
