"""Files of jobs in an object store, by any driver of fsspec: for gateways on several machines.

An object is whole or not there, as a single request writes it. Not for ``file://``: there a reader
could see half a file; a folder that machines share is ``jobs.folder`` on each of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from typing import Any, TypeVar

import fsspec

from serve_app.document import FileBytes
from serve_app.errors import JobsUnavailable

T = TypeVar("T")

NOT_WHOLE = frozenset({"", "file", "local"})
# What drivers call the time of an object's last change.
TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")


class ObjectFiles:
    """``ports.FileStore``. Names come from this program, never from a client.

    Args:
        url: of the folder, such as ``s3://bucket/ocr-jobs``. Credentials and the like are the
            driver's own (``AWS_…``).
        options: of the driver.

    Raises:
        ValueError: the URL is that of a local folder, or of no driver that is installed.
    """

    def __init__(self, url: str, **options: Any) -> None:
        protocol, _, path = url.partition("://")
        if protocol in NOT_WHOLE or not path:
            raise ValueError(f"jobs.files_url {url!r} is not that of an object store")
        try:
            # Others write there, too: nothing is remembered of what is in a folder.
            self._fs = fsspec.filesystem(protocol, use_listings_cache=False, **options)
        except (ImportError, ValueError) as error:
            raise ValueError(f"jobs.files_url: {error}") from None
        self._url, self._root = url, path.rstrip("/")

    async def put(self, job_id: str, name: str, parts: Iterable[FileBytes]) -> int:
        """See ``ports.FileStore``."""

        def work() -> int:
            data = b"".join(parts)
            self._fs.pipe_file(self._path(job_id, name), data)
            return len(data)

        return await self._run(work)

    async def get(self, job_id: str, name: str) -> bytes | None:
        """See ``ports.FileStore``."""

        def work() -> bytes | None:
            try:
                return bytes(self._fs.cat_file(self._path(job_id, name)))
            except FileNotFoundError:
                return None

        return await self._run(work)

    async def delete(self, job_id: str, name: str | None = None) -> None:
        """See ``ports.FileStore``."""

        def work() -> None:
            with contextlib.suppress(FileNotFoundError):  # as good
                if name is not None:
                    self._fs.rm_file(self._path(job_id, name))
                    return
                for path in self._fs.find(self._path(job_id)):
                    self._fs.rm_file(path)

        await self._run(work)

    async def older_than(self, age_s: float) -> Sequence[str]:
        """See ``ports.FileStore``."""
        return await self._run(lambda: self._older_than(age_s))

    def _older_than(self, age_s: float) -> list[str]:
        newest: dict[str, float] = {}
        for path, facts in self._fs.find(self._root, detail=True).items():
            job_id = path.strip("/").removeprefix(self._root.strip("/")).strip("/").split("/")[0]
            newest[job_id] = max(newest.get(job_id, 0.0), _changed_at(facts))
        youngest = time.time() - age_s
        return [job_id for job_id, at in newest.items() if at < youngest]

    async def close(self) -> None:
        """See ``ports.FileStore``."""

    def _path(self, *parts: str) -> str:
        return "/".join((self._root, *parts))

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except (ValueError, TypeError):
            raise  # of what is written, not of the store
        except Exception as error:  # every driver has its own
            raise JobsUnavailable(f"the jobs' store {self._url}: {type(error).__name__}") from None


def _changed_at(facts: dict[str, Any]) -> float:
    """Seconds since the epoch; a driver that does not say: now, so that nothing is deleted."""
    for name in TIMES:
        value = facts.get(name)
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        if isinstance(value, datetime):
            at = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
            return at.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return time.time()
