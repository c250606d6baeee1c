"""The machine's facts on invented /proc and /sys trees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from serve_app.devices import machine
from serve_app.devices.cgroup import cpu_quota

GIB = 2**30


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_the_tightest_limit_counts_and_the_own_process_does_not(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "0::/box\n")
    write(tmp_path, "sys/fs/cgroup/box/memory.max", f"{3 * GIB}\n")
    write(tmp_path, "sys/fs/cgroup/box/memory.current", f"{GIB}\n")
    write(tmp_path, "sys/fs/cgroup/box/memory.stat", "inactive_file 0\n")
    write(tmp_path, "sys/fs/cgroup/box/cpu.max", "150000 100000\n")
    (tmp_path / "dev/shm").mkdir(parents=True)
    found = machine.read(tmp_path, lambda: (24 * GIB, 9 * GIB), {})
    assert (found.memory_bytes, found.memory_source) == (3 * GIB, "limit of the control group")
    assert 0 < found.in_use_bytes < GIB
    assert found.cpus == min(1.5, len(os.sched_getaffinity(0)))
    assert found.shm_bytes > 0
    host = machine.read(tmp_path / "nowhere", lambda: (2 * GIB, GIB), {})
    assert (host.memory_bytes, host.shm_bytes) == (2 * GIB, 0)


@pytest.mark.parametrize(
    ("quota", "expected"), [("max 100000", None), ("50000 100000", 0.5), ("nonsense", None)]
)
def test_quotas_of_version_2(tmp_path: Path, quota: str, expected: float | None) -> None:
    write(tmp_path, "proc/self/cgroup", "0::/a/b\n")
    write(tmp_path, "sys/fs/cgroup/a/cpu.max", "400000 100000\n")
    write(tmp_path, "sys/fs/cgroup/a/b/cpu.max", f"{quota}\n")
    assert cpu_quota(tmp_path) == (4.0 if expected is None else expected)


def test_quotas_of_version_1(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "4:memory:/\n1:cpu,cpuacct:/x\n")
    write(tmp_path, "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "250000\n")
    write(tmp_path, "sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n")
    write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    assert cpu_quota(tmp_path) == 2.5


def test_gpus_as_ray_will_be_told() -> None:
    assert machine.gpus({"RAY_OVERRIDE_RESOURCES": '{"GPU": 2}'}) == 2
    assert machine.gpus({"CUDA_VISIBLE_DEVICES": ""}) == 0
