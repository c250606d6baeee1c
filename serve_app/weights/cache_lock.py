"""One writer at a time in a cache directory, across processes on one machine.

Not covered: several machines on one network file system, where ``flock`` may be local only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from serve_app.weights.errors import CacheBusy

_MODE = 0o644


@contextmanager
def exclusive(
    path: Path, timeout_s: float, *, on_wait: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Hold the lock file ``path`` for the ``with`` block.

    The kernel drops the lock when its holder dies, so the file itself means nothing and is never
    removed. ``on_wait`` is called once if the lock is not free at once.

    Raises:
        CacheBusy: the lock was not free within ``timeout_s`` seconds.
    """
    lock = filelock.FileLock(path, mode=_MODE)
    try:
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            on_wait()
            lock.acquire(timeout=timeout_s)
    except filelock.Timeout:
        raise CacheBusy(f"{path} was held by another process for {timeout_s:g} s") from None
    try:
        yield
    finally:
        lock.release()
