"""One writer at a time in a cache directory, across processes on one machine.

Not covered: several machines on one network file system, where ``flock`` may be local only.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from serve_app.weights.errors import CacheBusy

_POLL_S = 0.1


@contextmanager
def exclusive(
    path: Path,
    timeout_s: float,
    *,
    on_wait: Callable[[], object] = lambda: None,
    wait: Callable[[float], object] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> Iterator[None]:
    """Hold the lock file ``path`` for the ``with`` block.

    The kernel drops the lock when its holder dies, so the file itself means nothing and is never
    removed. ``on_wait`` is called once if the lock is not free at once.

    Raises:
        CacheBusy: the lock was not free within ``timeout_s`` seconds.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not _try_lock(descriptor):
            on_wait()
            deadline = now() + timeout_s
            while not _try_lock(descriptor):
                if now() >= deadline:
                    raise CacheBusy(f"{path} was held by another process for {timeout_s:g} s")
                wait(_POLL_S)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
