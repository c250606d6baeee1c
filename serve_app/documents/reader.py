"""A child process that reads the headers of strangers' files, so that the gateway never does.

PDFium and image libraries parse hostile input in native code: a crash or an endless loop there
costs this child, not the gateway. It holds no model.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import asdict
from typing import Any

from serve_app.document import DocumentInfo, PageInfo
from serve_app.documents.inspect import inspect
from serve_app.engines.channel import Buffer
from serve_app.engines.child import ChildFailure, ChildProcess
from serve_app.errors import InvalidFile, ReplicaUnavailable
from serve_app.settings import DocumentSettings, LimitSettings

FACTORY = "serve_app.documents.reader:build"
START_TIMEOUT_S = 30.0


def build(spec: dict[str, Any]) -> HeaderReader:
    """The child's side."""
    return HeaderReader(
        LimitSettings.model_validate(spec["limits"]),
        DocumentSettings.model_validate(spec["documents"]),
    )


class HeaderReader:
    """Answers jobs with ``inspect``."""

    def __init__(self, limits: LimitSettings, documents: DocumentSettings) -> None:
        self._limits, self._documents = limits, documents

    def handle(self, job: dict[str, Any], data: bytes) -> list[bytes]:
        """The payload: JSON of kind and pages."""
        info = inspect(data, self._limits, self._documents)
        pages = [asdict(page) for page in info.pages]
        return [json.dumps({"kind": info.kind, "pages": pages}).encode()]


class DocumentReader:
    """The gateway's side: one child, started when first needed and again when it died."""

    def __init__(
        self, limits: LimitSettings, documents: DocumentSettings, *, timeout_s: float
    ) -> None:
        self._spec = {
            "limits": limits.model_dump(mode="json"),
            "documents": documents.model_dump(mode="json"),
        }
        self._timeout_s = timeout_s
        self._lock = asyncio.Lock()
        self._child: ChildProcess | None = None

    async def inspect(self, data: Buffer) -> DocumentInfo:
        """What the file's headers say; see ``documents.inspect.inspect``.

        Raises:
            InvalidFile: also when reading it crashed or took longer than the deadline.
            ReplicaUnavailable: the reader could not be started.
        """
        async with self._lock:
            child = await self._started()
            try:
                payload = await child.run({}, [data], timeout_s=self._timeout_s)
            except ChildFailure as error:
                raise InvalidFile(f"the file could not be read ({type(error).__name__})") from None
        answer = json.loads(payload)
        return DocumentInfo(answer["kind"], tuple(PageInfo(**page) for page in answer["pages"]))

    async def close(self) -> None:
        """End the child."""
        if self._child is not None:
            await self._child.stop(grace_s=0.5)

    async def _started(self) -> ChildProcess:
        if self._child is not None and self._child.alive:
            return self._child
        child = ChildProcess(FACTORY, name="document reader")
        try:
            await child.start(self._spec, timeout_s=START_TIMEOUT_S)
        except ChildFailure as error:
            with contextlib.suppress(Exception):
                await child.stop(grace_s=0)
            raise ReplicaUnavailable(f"the document reader did not start: {error}") from None
        self._child = child
        return child
