"""A job's stored pages behind the same port as pages that are predicted: so that every form of
answer is written from them by the same code."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

from serve_app.document import (
    DocumentInfo,
    FailedPage,
    PageResult,
    PredictOptions,
    RequestIds,
)
from serve_app.errors import OcrServeError, PageFailed
from serve_app.jobs.records import StoredPage
from serve_app.jobs.service import Jobs
from serve_app.policy.job import Fault, Job
from serve_app.ports import DocumentService, ModelStatus, Readiness


def error_of(fault: Fault) -> OcrServeError:
    """A stored fault as an error again: its code and its text."""
    error = PageFailed(fault.message)
    error.code = fault.code
    return error


class StoredDocument(DocumentService):
    """The pages of one job; there is nothing to inspect.

    Args:
        pages: those that have ended.
    """

    def __init__(self, jobs: Jobs, job: Job, info: DocumentInfo, pages: Sequence[StoredPage]):
        self._jobs, self._job, self._info = jobs, job, info
        self._pages = {page.index: page for page in pages}

    async def inspect(self, data: bytes) -> DocumentInfo:
        """What was found when the job was submitted."""
        return self._info

    async def predict_pages(
        self,
        data: bytes,
        info: DocumentInfo,
        pages: Iterable[int],
        model: str,
        options: PredictOptions,
        *,
        request: RequestIds,
        deadline_s: float,
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

    async def models(self) -> Sequence[ModelStatus]:
        """None."""
        return ()

    async def readiness(self) -> Readiness:
        """Always."""
        return Readiness(True)
