"""The memory of a process of the server while a request runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from serve_app.devices import process_memory

T = TypeVar("T")

SAMPLE_S = 0.005


def highest_resident(pid: int, work: Callable[[], T]) -> tuple[int, T]:
    """Peak of all resident bytes while ``work`` runs, as the kernel has kept it; and its result."""
    if not process_memory.reset_peak(pid):
        pytest.skip("the kernel does not let us reset a peak (/proc/<pid>/clear_refs)")
    result = work()
    return _status_bytes(pid, "VmHWM"), result


def highest_private(pid: int, work: Callable[[], T]) -> tuple[int, T]:
    """Peak of the bytes that nobody else has mapped while ``work`` runs; and its result.

    Sampled, since the kernel keeps no such peak: for what grows, not for what is there for a
    moment. Ray's object store is shared, has a limit of its own and is not counted.
    """
    samples = [_status_bytes(pid, "RssAnon")]
    over = threading.Event()

    def sample() -> None:
        while not over.wait(SAMPLE_S):
            samples.append(_status_bytes(pid, "RssAnon"))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        result = work()
    finally:
        over.set()
        sampler.join()
    return max(samples), result


def _status_bytes(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {field} of process {pid}")
