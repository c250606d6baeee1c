"""A job's stored pages behind the same port as pages that are predicted: so that every form of
answer is written from them by the same code."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from serve_app.clock import now
from serve_app.document import (
    DocumentInfo,
    DocumentRequest,
    FailedPage,
    FileBytes,
    PageResult,
)
from serve_app.errors import OcrServeError, PageFailed
from serve_app.formats.assembly import Plan
from serve_app.jobs.records import StoredPage
from serve_app.jobs.service import Jobs
from serve_app.jobs.verdict import disclosed
from serve_app.policy.job import Fault, Job
from serve_app.ports import AssembledDocument, DocumentService, ModelStatus, Readiness


def error_of(fault: Fault) -> OcrServeError:
    """A stored fault as an error again: its code and its text."""
    error = disclosed(PageFailed(fault.message))
    error.code = fault.code
    return error


class StoredDocument(DocumentService):
    """The pages of one job; there is nothing to inspect.

    Args:
        service: puts documents together.
        pages: those that have ended.
        hold: asked for room before the job's file is read.
    """

    def __init__(
        self,
        service: DocumentService,
        jobs: Jobs,
        job: Job,
        info: DocumentInfo,
        pages: Sequence[StoredPage],
        *,
        hold: Callable[[int], None],
    ) -> None:
        self._service, self._hold = service, hold
        self._jobs, self._job, self._info = jobs, job, info
        self._pages = {page.index: page for page in pages}

    async def inspect(self, data: FileBytes) -> DocumentInfo:
        """What was found when the job was submitted."""
        return self._info

    async def predict_pages(
        self, request: DocumentRequest, pages: Iterable[int], *, deadline_s: float
    ) -> AsyncIterator[PageResult | FailedPage]:
        """Read them one by one.

        Raises:
            PageNotFound: the job was deleted meanwhile.
        """
        for index in pages:
            fault = self._pages[index].fault
            if fault is not None:
                yield FailedPage(index, error_of(fault))
            else:
                yield await self._jobs.result(self._job, index)

    @asynccontextmanager
    async def assemble(
        self, plan: Plan, data: FileBytes, *, deadline_s: float
    ) -> AsyncIterator[AssembledDocument]:
        """Begin a document made of the job's file or of its pages.

        Raises:
            JobNotDone: it needs the file, which is not kept of a job that did not end well.
            OcrServeError: see ``ports.DocumentService.assemble``.
        """
        until_s = now() + deadline_s
        if plan.needs_file:
            self._hold(self._job.input_bytes)
            data = await self._jobs.file(self._job)
        left_s = max(0.0, until_s - now())
        async with self._service.assemble(plan, data, deadline_s=left_s) as document:
            yield document

    async def models(self) -> Sequence[ModelStatus]:
        """None."""
        return ()

    async def readiness(self) -> Readiness:
        """Always."""
        return Readiness(True)
