"""Memory of one process, from /proc (Linux)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """Bytes of resident memory: now, and the highest since ``reset_peak`` (or the start)."""

    resident_bytes: int
    peak_bytes: int


def read(pid: int) -> ProcessMemory | None:
    """VmRSS and VmHWM of /proc/<pid>/status; None if the process is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = dict(line.split(":", 1) for line in status.splitlines() if line.startswith("Vm"))
    if "VmRSS" not in fields:  # a zombie
        return None
    return ProcessMemory(_kib(fields["VmRSS"]), _kib(fields["VmHWM"]))


def reset_peak(pid: int) -> bool:
    """Start a new peak measurement (write 5 to clear_refs); False where that is refused."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _kib(text: str) -> int:
    return int(text.split()[0]) * 1024
