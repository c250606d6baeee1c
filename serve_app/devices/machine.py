"""The facts of the machine that sizes follow from: memory, CPUs, GPUs, shared memory."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from serve_app.devices import cgroup, nvml, process_memory
from serve_app.devices.errors import DeviceError
from serve_app.devices.ram import host_memory
from serve_app.policy.sizing import Machine

OVERRIDE = "RAY_OVERRIDE_RESOURCES"


def read(
    root: Path = Path("/"),
    host: Callable[[], tuple[int, int]] = host_memory,
    environ: Mapping[str, str] = os.environ,
) -> Machine:
    """This machine, or the container that this process is in.

    Args:
        root: where ``proc``, ``sys`` and ``dev`` are.
        host: total and used bytes of the whole machine.

    Raises:
        DeviceError: the machine's memory cannot be read.
    """
    total, used = host()
    source = "of the machine"
    limit = cgroup.tightest(root)
    if limit is not None and limit.limit_bytes < total:
        total, used, source = limit.limit_bytes, limit.used_bytes, "limit of the control group"
    own = process_memory.read(os.getpid())  # is counted with Ray
    others = min(max(used - (own.resident_bytes if own else 0), 0), total)
    return Machine(total, source, others, cpus(root), gpus(environ), shm_bytes(root / "dev/shm"))


def cpus(root: Path = Path("/")) -> float:
    """CPUs that this process may use, by its affinity and its control groups' quotas."""
    usable = float(len(os.sched_getaffinity(0)))
    quota = cgroup.cpu_quota(root)
    return usable if quota is None else min(usable, quota)


def gpus(environ: Mapping[str, str]) -> float:
    """As Ray will find them: its own override, else NVML's as far as they are visible."""
    try:
        return float(json.loads(environ.get(OVERRIDE, "{}"))["GPU"])
    except (ValueError, KeyError, TypeError):
        pass  # not overridden
    try:
        session = nvml.Session()
    except DeviceError:
        return 0.0
    try:
        count = session.count()
    except DeviceError:
        return 0.0
    finally:
        session.close()
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    named = count if visible is None else len([one for one in visible.split(",") if one.strip()])
    return float(min(count, named))


def shm_bytes(folder: Path) -> int:
    """Free bytes of the shared memory; 0 where there is none."""
    try:
        facts = os.statvfs(folder)
    except OSError:
        return 0
    return facts.f_bsize * facts.f_bavail
