"""The seams between layers, as protocols; the fakes behind them are in ``testing/``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from serve_app.document import (
    DocumentInfo,
    DocumentRequest,
    FailedPage,
    FileBytes,
    PageResult,
)
from serve_app.formats.assembly import Plan
from serve_app.messages import TaskKind


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One declared model as ``GET /v1/models`` shows it.

    Attributes:
        name: as declared in the configuration.
        pipeline: PaddleOCR's pipeline, e.g. "PP-StructureV3".
        state: UNLOADED, LOADING, READY, UNLOADING or FAILED (the best over all replicas).
        engines: one entry per engine process: pool, replica, pid, state, memory_bytes, pages.
        error: the cause of the last failed load, if the state is FAILED.
        references: leases held and waited for, over all replicas.
        loads: engines loaded since the replicas started.
        scripts, languages: that its recogniser knows; empty if its weights are not bundled ones.
    """

    name: str
    pipeline: str
    state: str
    engines: tuple[dict[str, Any], ...] = ()
    error: str | None = None
    references: int = 0
    loads: int = 0
    scripts: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether requests can be answered now, and per pool why (not)."""

    ready: bool
    pools: dict[str, Any] = field(default_factory=dict)


class AssembledDocument(Protocol):
    """A document that is put together in a process of its own. All errors are ``OcrServeError``."""

    async def page(self, page: PageResult) -> None:
        """Add a page."""
        ...

    async def failed(self, page: FailedPage) -> None:
        """Say in its place that a page failed."""
        ...

    async def finish(self, notices: Sequence[str]) -> Sequence[str]:
        """Complete it; what more there is to tell of it."""
        ...

    def read(self) -> AsyncIterator[bytes]:
        """The finished file, piece by piece."""
        ...


class DocumentService(Protocol):
    """What the HTTP edge needs from the rest of the system. All errors are ``OcrServeError``."""

    async def inspect(self, data: FileBytes) -> DocumentInfo:
        """Find the format, the pages and their sizes without decoding a picture.

        Raises:
            InvalidFile, EmptyFile, UnsupportedFile, EncryptedFile, TooManyPages, ImageTooLarge.
        """
        ...

    def predict_pages(
        self, request: DocumentRequest, pages: Iterable[int], *, deadline_s: float
    ) -> AsyncIterator[PageResult | FailedPage]:
        """Yield the results of ``pages`` (indexes from 0) in that order: those of the request that
        are wanted now.

        At most a bounded window of pages is in flight or waiting to be yielded; ``pages`` is asked
        for the next index when there is room, so it may end the call early. Closing the
        iterator early cancels what has not run. ``deadline_s`` counts from the call and covers
        queue, load and run of all the pages. What concerns one page only is raised, or yielded as
        a ``FailedPage`` if the request asks for that.
        """
        ...

    def assemble(
        self, plan: Plan, data: FileBytes, *, deadline_s: float
    ) -> AbstractAsyncContextManager[AssembledDocument]:
        """Begin a document made of the file ``data`` or of its pages.

        Raises:
            InvalidFile, EncryptedFile, LimitExceeded, PageFailed: then or later.
            DeadlineExceeded: it is not there in time.
            ReplicaUnavailable: there is no process to put it together.
        """
        ...

    async def models(self) -> Sequence[ModelStatus]:
        """State of every declared model."""
        ...

    async def readiness(self) -> Readiness:
        """Whether each pool has a replica that can take work."""
        ...


class OperatorService(Protocol):
    """What an operator can see and steer. All errors are ``OcrServeError``."""

    async def memory(self) -> Sequence[dict[str, Any]]:
        """One entry per memory domain; see ``registry_views.DomainView``."""
        ...

    async def history(self, since: float) -> dict[str, Any]:
        """The last hour after ``since`` (seconds since the epoch); see ``memory_page.py``."""
        ...

    async def tasks(self, limit: int, kind: TaskKind | None = None) -> Sequence[dict[str, Any]]:
        """The last ended tasks (of this kind), newest first; see ``messages.TaskRecord``."""
        ...

    async def load(self, model: str, pool: str | None, timeout_s: float) -> dict[str, Any]:
        """Load the model in one replica; the order's outcome (``OrderStatus``)."""
        ...

    async def unload(self, model: str, timeout_s: float) -> dict[str, Any]:
        """Unload it everywhere and wait for the verified result."""
        ...

    async def pin(self, model: str, pinned: bool) -> None:
        """Keep it from time-outs and evictions, or no more."""
        ...
