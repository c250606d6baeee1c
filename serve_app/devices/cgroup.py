"""The memory limit that this process lives under, from its control groups (Linux, v2 and v1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class CgroupMemory:
    """A limit, and what counts against it without the page cache."""

    limit_bytes: int
    used_bytes: int


@dataclass(frozen=True, slots=True)
class _Files:
    """Names of one version's files and of the page cache's lines in memory.stat."""

    limit: str
    usage: str
    cache: tuple[str, str]


_V2 = _Files("memory.max", "memory.current", ("inactive_file", "active_file"))
# The lines named total_ include the groups below, as memory.usage_in_bytes does.
_V1 = _Files(
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_inactive_file", "total_active_file"),
)


def tightest(root: Path = Path("/")) -> CgroupMemory | None:
    """The smallest limit on the way from this process's own group up to the root of the mount.

    Used is the group's usage without ``inactive_file`` and ``active_file``: the kernel takes these
    pages back before it runs out, and MemAvailable (proc(5)) and Ray's memory monitor
    (``ray._private.utils``) leave them out too, so that all thresholds speak of the same number.
    Of equal limits the outermost counts: its usage includes that of the others.

    Args:
        root: where ``proc`` and ``sys`` are.

    Returns:
        None where there is no limit. Version 1 writes "no limit" as a number near 2**63.
    """
    # Most of a reading's time is memory.stat, so only the one that counts is asked for it.
    limits = [(limit, -place, group) for place, (limit, group) in enumerate(_limits(root))]
    for limit, _, (folder, files) in sorted(limits, key=lambda found: found[:2]):
        used = _used(folder, files)
        if used is not None:
            return CgroupMemory(limit, used)
    return None


def _limits(root: Path) -> Iterator[tuple[int, tuple[Path, _Files]]]:
    """Those that can be read, from the innermost group outwards."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    groups = {controllers: path for _, controllers, path in (line.split(":", 2) for line in lines)}
    v1 = next((path for names, path in groups.items() if "memory" in names.split(",")), None)
    if v1 is not None:
        mount, path, files = root / "sys/fs/cgroup/memory", v1, _V1
    elif "" in groups:
        mount, path, files = root / "sys/fs/cgroup", groups[""], _V2
    else:
        return
    for folder in _way_up(mount, path):
        limit = _limit(folder, files)
        if limit is not None:
            yield limit, (folder, files)


def _way_up(mount: Path, path: str) -> Iterator[Path]:
    """The group's folder and those around it, up to the mount's root.

    In a container the path may be the host's while the mount shows the container's part alone
    (folders are missing), or begin with ".." (the group is outside what is mounted): the mount's
    root is what is left in both cases.
    """
    relative = PurePosixPath(path.lstrip("/"))
    if ".." in relative.parts:
        relative = PurePosixPath()
    yield mount / relative
    yield from (mount / parent for parent in relative.parents)


def _limit(folder: Path, files: _Files) -> int | None:
    """None without one, and for a group that is no more (v2's true root has no file, either)."""
    try:
        limit = (folder / files.limit).read_text().strip()
        return None if limit == "max" else int(limit)
    except (OSError, ValueError):
        return None


def _used(folder: Path, files: _Files) -> int | None:
    """None for a group that is no more, or keeps no count."""
    try:
        usage = int((folder / files.usage).read_text())
        statistics = (folder / "memory.stat").read_text()
        cache = dict(line.split() for line in statistics.splitlines())
        reclaimable = sum(int(cache.get(name, 0)) for name in files.cache)
        return max(usage - reclaimable, 0)
    except (OSError, ValueError):
        return None


def cpu_quota(root: Path = Path("/")) -> float | None:
    """CPUs that the tightest quota on the way up allows, in fractions; None without one."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    groups = {controllers: path for _, controllers, path in (line.split(":", 2) for line in lines)}
    v1 = next((path for names, path in groups.items() if "cpu" in names.split(",")), None)
    if v1 is not None:
        folders, read = _way_up(root / "sys/fs/cgroup/cpu", v1), _cpu_quota_v1
    elif "" in groups:
        folders, read = _way_up(root / "sys/fs/cgroup", groups[""]), _cpu_quota_v2
    else:
        return None
    return min((quota for folder in folders if (quota := read(folder)) is not None), default=None)


def _cpu_quota_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None


def _cpu_quota_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return int(quota) / int(period)  # "max": no quota
    except (OSError, ValueError, ZeroDivisionError):
        return None
