"""Files of jobs in a folder: one folder a job, each file written beside and then renamed."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from serve_app.document import FileBytes
from serve_app.errors import JobsUnavailable, StorageFull
from serve_app.storage import RETRY_S, is_full, no_room_for

T = TypeVar("T")

_UNFINISHED = ".new"


class LocalFiles:
    """``ports.FileStore``. Names come from this program, never from a client.

    Args:
        folder: made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, job_id: str, name: str, parts: Iterable[FileBytes]) -> int:
        """See ``ports.FileStore``."""
        return await self._run(lambda: self._put(job_id, name, parts))

    async def get(self, job_id: str, name: str) -> bytes | None:
        """See ``ports.FileStore``."""
        return await self._run(lambda: self._get(job_id, name))

    async def delete(self, job_id: str, name: str | None = None) -> None:
        """See ``ports.FileStore``."""
        await self._run(lambda: self._delete(job_id, name))

    async def older_than(self, age_s: float) -> Sequence[str]:
        """See ``ports.FileStore``."""
        return await self._run(lambda: self._older_than(age_s))

    async def close(self) -> None:
        """See ``ports.FileStore``."""

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            text = f"the jobs' folder {self._folder}: {error.strerror}"
            if is_full(error):
                text = f"{text}; {no_room_for('files of jobs', self._folder)}"
                full = StorageFull(text, RETRY_S)
                full.outside = "The disk has no room for the files of jobs"
                raise full from None
            raise JobsUnavailable(text) from None

    def _put(self, job_id: str, name: str, parts: Iterable[FileBytes]) -> int:
        folder = self._folder / job_id
        for one in (self._folder.parent, folder):  # other people's documents: for nobody else
            one.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(_UNFINISHED, name, folder)
        try:
            with os.fdopen(handle, "wb") as file:
                for part in parts:
                    file.write(part)
                size_bytes = file.tell()
                file.flush()
                os.fsync(file.fileno())
            Path(unfinished).replace(folder / name)
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise
        _write_through(folder)
        return size_bytes

    def _get(self, job_id: str, name: str) -> bytes | None:
        try:
            return (self._folder / job_id / name).read_bytes()
        except FileNotFoundError:
            return None

    def _delete(self, job_id: str, name: str | None) -> None:
        folder = self._folder / job_id
        if name is not None:
            (folder / name).unlink(missing_ok=True)
        else:
            shutil.rmtree(folder, onerror=_unless_gone)

    def _older_than(self, age_s: float) -> list[str]:
        if not self._folder.exists():
            return []
        youngest = time.time() - age_s
        return [
            entry.name
            for entry in os.scandir(self._folder)
            if entry.is_dir() and entry.stat().st_mtime < youngest
        ]


def _unless_gone(function: object, path: str, caught: tuple[Any, BaseException, Any]) -> None:
    """Somebody else was faster, which is as good."""
    if not isinstance(caught[1], FileNotFoundError):
        raise caught[1]


def _write_through(folder: Path) -> None:
    """The names in it, as well: a file is durable only with its name."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
