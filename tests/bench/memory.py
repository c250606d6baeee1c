"""Peak memory of a process tree while something is measured.

Sampled as PSS (proportional set size, /proc/PID/smaps_rollup) by psutil: pages that processes
share count once, so that a tree of many processes is neither punished nor flattered. A sample of a
large process takes milliseconds of the kernel, hence the interval.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from types import TracebackType

import psutil

INTERVAL_S = 1.0
Processes = Callable[[], Iterable[psutil.Process]]


class PeakMemory:
    """A thread that samples while the block runs; then ``peak_bytes`` is what it saw."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="peak-memory", daemon=True)
        self.peak_bytes = 0

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(INTERVAL_S):
            self.peak_bytes = max(self.peak_bytes, pss_bytes(self._processes()))
        self.peak_bytes = max(self.peak_bytes, pss_bytes(self._processes()))


def pss_bytes(processes: Iterable[psutil.Process]) -> int:
    """Sum over the processes that are still there."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total
