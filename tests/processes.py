"""What the kernel tells of a process that may end at any time."""

from __future__ import annotations

from pathlib import Path

import psutil


def command_of(process: psutil.Process) -> list[str]:
    """Its command line; empty for one that is gone."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def smaps_bytes(process: psutil.Process, *fields: str) -> int:
    """The sum of these fields of /proc/<pid>/smaps_rollup in bytes; 0 for one that is gone."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    found = dict(line.split(":", 1) for line in lines[1:])
    return sum(int(found[name].split()[0]) * 1024 for name in fields)
