"""Memory of one process, from /proc (Linux)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """Bytes that ending the process would give back: now, and the highest since ``reset_peak``.

    Anonymous and shared memory (RssAnon + RssShmem). Pages of files (libraries, weights) are in
    memory once for all engines and stay in the page cache: they are not counted (see ram.py). The
    kernel keeps the peak of all resident pages only, so the file pages of now are taken off it.
    """

    resident_bytes: int
    peak_bytes: int


def read(pid: int) -> ProcessMemory | None:
    """From /proc/<pid>/status; None if the process is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    if "VmRSS" not in fields:  # a zombie
        return None
    held = _kib(fields["RssAnon"]) + _kib(fields["RssShmem"])
    peak = _kib(fields["VmHWM"]) - _kib(fields["RssFile"])
    return ProcessMemory(held, max(peak, held))


def reset_peak(pid: int) -> bool:
    """Start a new peak measurement (write 5 to clear_refs); False where that is refused."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _kib(text: str) -> int:
    return int(text.split()[0]) * 1024
