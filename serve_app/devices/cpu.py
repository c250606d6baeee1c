"""What this machine's CPU can do, from /proc/cpuinfo."""

from __future__ import annotations

from pathlib import Path


def flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The feature flags of the first CPU, e.g. "avx512_bf16"; empty where there are none."""
    try:
        text = cpuinfo.read_text()
    except OSError:
        return frozenset()
    for line in text.splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()
