"""The gateway's side of ``formats/assembly.py``: a child process for each document.

Not one for all: what a hostile PDF did to its process must not reach the next client's document.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Sequence
from typing import Any, NoReturn

from serve_app.child.channel import Buffer
from serve_app.child.process import ChildCrashed, ChildFailure, ChildHung, ChildProcess, JobFailed
from serve_app.document import FailedPage, PageResult
from serve_app.errors import (
    DeadlineExceeded,
    InvalidFile,
    LimitExceeded,
    PageFailed,
    ReplicaUnavailable,
)
from serve_app.formats.assembly import FACTORY, Plan, packed
from serve_app.formats.writer import why_failed
from serve_app.settings import DocumentSettings, LimitSettings

START_TIMEOUT_S = 30.0
READ_BYTES = 1024 * 1024
MAX_REASON_CHARS = 2000
_LIKELY_MEMORY = 4
_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)


class Assembler:
    """Begins documents, ``max_children`` of them at a time; others wait."""

    def __init__(
        self, limits: LimitSettings, documents: DocumentSettings, *, max_children: int
    ) -> None:
        self._spec: dict[str, Any] = {
            "limits": limits.model_dump(mode="json"),
            "documents": documents.model_dump(mode="json"),
            "memory_bytes": documents.assembly_memory_bytes,
        }
        self._places = asyncio.Semaphore(max_children)

    @contextlib.asynccontextmanager
    async def begin(
        self, plan: Plan, file: Buffer, *, deadline_s: float
    ) -> AsyncIterator[AssembledDocument]:
        """A document to put pages into; its process ends with the block.

        Raises:
            InvalidFile, EncryptedFile, LimitExceeded, PageFailed: what becomes of it.
            DeadlineExceeded: it is not there ``deadline_s`` from now.
            ReplicaUnavailable: the child process could not be started.
        """
        deadline_at = asyncio.get_running_loop().time() + deadline_s
        try:
            await asyncio.wait_for(self._places.acquire(), deadline_s)
        except asyncio.TimeoutError:
            raise DeadlineExceeded("no place to put the document together in time") from None
        try:
            child = ChildProcess(FACTORY, name="assembly")
            try:
                await _start(child, {**self._spec, "format": plan.format})
                document = AssembledDocument(child, plan, deadline_at, self._spec["memory_bytes"])
                await document.begin(file if plan.needs_file else b"")
                yield document
            finally:
                with contextlib.suppress(ChildFailure):
                    await child.stop(grace_s=0)
        finally:
            self._places.release()


async def _start(child: ChildProcess, spec: dict[str, Any]) -> None:
    try:
        await child.start(spec, timeout_s=START_TIMEOUT_S)
    except ChildFailure as error:
        raise ReplicaUnavailable(f"the assembly did not start: {error}") from None


class AssembledDocument:
    """See ``ports.AssembledDocument``."""

    def __init__(
        self, child: ChildProcess, plan: Plan, deadline_at_s: float, memory_bytes: int
    ) -> None:
        self._child, self._plan, self._memory_bytes = child, plan, memory_bytes
        self._deadline_at_s = deadline_at_s
        self._size_bytes = self._given_bytes = 0

    async def begin(self, file: Buffer) -> None:
        """Hand the file over."""
        plan = self._plan.encoded()
        await self._run({"op": "begin", "plan_bytes": len(plan)}, plan, file)

    async def page(self, page: PageResult) -> None:
        """See ``ports.AssembledDocument``."""
        await self._run({"op": "page"}, *packed(page, self._plan.format))

    async def failed(self, page: FailedPage) -> None:
        """See ``ports.AssembledDocument``."""
        why = why_failed(page)[:MAX_REASON_CHARS]
        await self._run({"op": "failed", "index": page.index, "why": why})

    async def finish(self, notices: Sequence[str]) -> Sequence[str]:
        """See ``ports.AssembledDocument``."""
        told = json.loads(await self._run({"op": "finish"}, json.dumps(list(notices)).encode()))
        self._size_bytes = int(told["bytes"])
        return [str(notice) for notice in told["notices"]]

    async def read(self) -> AsyncIterator[bytes]:
        """See ``ports.AssembledDocument``."""
        for offset in range(0, self._size_bytes, READ_BYTES):
            yield await self._run({"op": "read", "offset": offset, "bytes": READ_BYTES})

    async def _run(self, job: dict[str, Any], *payload: Buffer) -> bytes:
        left_s = self._deadline_at_s - asyncio.get_running_loop().time()
        if left_s <= 0:
            raise DeadlineExceeded("the document could not be put together in time")
        self._given_bytes += sum(map(len, payload))
        try:
            return await self._child.run(job, payload, timeout_s=left_s)
        except ChildFailure as error:
            self._raise(error)

    def _ran_out_of_memory(self, error: ChildFailure) -> bool:
        """Libraries abort where none is left; who had been given much has most likely run out."""
        if isinstance(error, JobFailed):
            return bool(error.args[0] == "memory")
        ended = isinstance(error, ChildCrashed) and error.args[1] not in _FROM_OUTSIDE
        return ended and self._given_bytes > self._memory_bytes // _LIKELY_MEMORY

    def _raise(self, error: ChildFailure) -> NoReturn:
        if isinstance(error, ChildHung):
            raise DeadlineExceeded("the document could not be put together in time") from None
        if self._ran_out_of_memory(error):
            what = f"memory to put format={self._plan.format} together, in bytes (at least)"
            limit = self._memory_bytes
            raise LimitExceeded(what, limit, limit, "documents.assembly_memory_bytes") from None
        if self._plan.needs_file:
            raise InvalidFile(
                f"the file's pages could not be written again ({type(error).__name__})"
            ) from None
        raise PageFailed(
            f"the document could not be put together ({type(error).__name__})"
        ) from None
