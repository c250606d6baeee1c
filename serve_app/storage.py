"""A disk without room: which errors say so, and the sentence with folder, need and what is free.

A full disk is met in many places (answers, jobs' files, Ray's objects, logs); here is what they
share. Nobody's half-written file stays: who writes, removes.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

from serve_app.errors import StorageFull

# EFBIG: a limit of the process (RLIMIT_FSIZE).
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
RETRY_S = 30.0


def is_full(error: BaseException) -> bool:
    """Whether the error says that a disk has no room."""
    return isinstance(error, OSError) and error.errno in NO_ROOM


def free_bytes(folder: Path) -> int:
    """Of the disk that the folder is on, or would be; for this user."""
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except OSError:
            continue
    return 0


def no_room_for(what: str, folder: Path, needed_bytes: int | None = None) -> str:
    """The sentence: folder, needed and free, as far as they are known."""
    needed = "" if needed_bytes is None else f"{_mb(needed_bytes)} are needed, and "
    return f"no room for {what} in {folder}: {needed}{_mb(free_bytes(folder))} are free"


def temporary_full(what: str, needed_bytes: int | None = None) -> StorageFull:
    """The error for the folder of temporary files. Clients do not hear where that is."""
    folder = Path(os.environ.get("TMPDIR") or tempfile.gettempdir())
    error = StorageFull(no_room_for(what, folder, needed_bytes), RETRY_S)
    error.outside = f"The server's disk has no room for {what}"
    return error


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
