"""RamProbe on invented /proc and /sys trees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from serve_app.devices.errors import DeviceError
from serve_app.devices.ram import RamProbe, host_memory

MIB = 2**20
HOST = (1000 * MIB, 400 * MIB)


class Tree:
    """A root folder with the files that a test writes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def own_group(self, path: str) -> None:
        self.write("proc/self/cgroup", f"0::{path}\n")

    def group(self, path: str, limit: str, used_mib: int, cache_mib: int = 0) -> None:
        """A group of version 2; half of the page cache is active."""
        self.write(f"sys/fs/cgroup{path}/memory.max", f"{limit}\n")
        self.write(f"sys/fs/cgroup{path}/memory.current", f"{(used_mib + cache_mib) * MIB}\n")
        half = cache_mib * MIB // 2
        self.write(
            f"sys/fs/cgroup{path}/memory.stat",
            f"anon {used_mib * MIB}\nfile {cache_mib * MIB}\nfile_mapped 1\n"
            f"inactive_file {half}\nactive_file {half}\n",
        )

    def process(self, pid: int, anon_mib: int, file_mib: int = 0, shmem_mib: int = 0) -> None:
        self.write(
            f"proc/{pid}/status",
            f"Name:\tx\nVmHWM:\t9999999 kB\nVmRSS:\t{(anon_mib + file_mib + shmem_mib) * 1024} kB\n"
            f"RssAnon:\t{anon_mib * 1024} kB\nRssFile:\t{file_mib * 1024} kB\n"
            f"RssShmem:\t{shmem_mib * 1024} kB\nThreads:\t1\n",
        )

    def total_and_used_mib(self) -> tuple[int, int]:
        (reading,) = RamProbe("n", self.root, lambda: HOST).read(())
        return reading.total_bytes // MIB, reading.used_bytes // MIB


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_without_a_limit_the_machine_is_the_domain(tree: Tree) -> None:
    assert tree.total_and_used_mib() == (1000, 400)


def test_the_limit_of_the_own_group_is_the_domain_without_its_page_cache(tree: Tree) -> None:
    tree.own_group("/pod/container")
    tree.group("/pod/container", str(500 * MIB), used_mib=100, cache_mib=200)
    assert tree.total_and_used_mib() == (500, 100)


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ("500", "300", (300, 10)),
        ("300", "500", (300, 20)),
        ("max", "300", (300, 10)),
        ("300", "max", (300, 20)),
        ("300", "300", (300, 20)),  # the outer one has more in it
        ("max", "max", (1000, 400)),
        ("2000", "3000", (1000, 400)),  # above what the machine has
    ],
)
def test_the_tightest_limit_on_the_way_up_wins(
    tree: Tree, outer: str, inner: str, expected: tuple[int, int]
) -> None:
    tree.own_group("/slice/pod/container")
    for path, limit, used in (("/slice", outer, 20), ("/slice/pod/container", inner, 10)):
        number = limit if limit == "max" else str(int(limit) * MIB)
        tree.group(path, number, used)
    assert tree.total_and_used_mib() == expected


def test_in_a_container_the_root_of_the_mount_is_the_own_group(tree: Tree) -> None:
    tree.own_group("/")
    tree.group("", str(500 * MIB), 100)
    assert tree.total_and_used_mib() == (500, 100)


@pytest.mark.parametrize("path", ["/host/only/path", "/../../other"])
def test_a_path_that_is_not_mounted_here_leaves_the_root(tree: Tree, path: str) -> None:
    tree.own_group(path)
    tree.group("", str(500 * MIB), 100)
    tree.group("/..", str(MIB), 1)  # not a group: outside the mount
    assert tree.total_and_used_mib() == (500, 100)


def test_broken_group_files_are_no_limit(tree: Tree) -> None:
    tree.own_group("/a")
    tree.group("/a", "a lot", 100)
    assert tree.total_and_used_mib() == (1000, 400)


def test_version_1_is_read_too(tree: Tree) -> None:
    tree.write("proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/docker/abc\n0::/\n")
    folder = "sys/fs/cgroup/memory/docker/abc"
    tree.write(f"{folder}/memory.limit_in_bytes", str(500 * MIB))
    tree.write(f"{folder}/memory.usage_in_bytes", str(150 * MIB))
    statistics = f"inactive_file 7\ntotal_inactive_file {20 * MIB}\ntotal_active_file {30 * MIB}\n"
    tree.write(f"{folder}/memory.stat", statistics)
    tree.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712")
    tree.write("sys/fs/cgroup/memory/memory.usage_in_bytes", str(900 * MIB))
    tree.write("sys/fs/cgroup/memory/memory.stat", "cache 0\n")
    assert tree.total_and_used_mib() == (500, 100)


def test_ours_is_what_ending_the_processes_gives_back(tree: Tree) -> None:
    tree.process(11, anon_mib=100, file_mib=50)
    tree.process(12, anon_mib=10, shmem_mib=5)
    probe = RamProbe("n", tree.root, lambda: HOST)
    assert probe.per_process([11, 12]) == {11: 100 * MIB, 12: 15 * MIB}
    (reading,) = probe.read([11, 12])
    assert reading.ours_bytes == 115 * MIB
    assert (reading.domain, reading.kind) == ("ram:n", "ram")


def test_a_process_that_is_gone_or_a_zombie_holds_nothing(tree: Tree) -> None:
    tree.write("proc/7/status", "Name:\tx\nState:\tZ (zombie)\n")
    assert RamProbe("n", tree.root).per_process([7, 8]) == {}


def test_ours_is_part_of_used(tree: Tree) -> None:
    tree.process(11, anon_mib=900)
    (reading,) = RamProbe("n", tree.root, lambda: HOST).read([11])
    assert reading.ours_bytes == reading.used_bytes


def test_unreadable_memory_of_a_process_is_typed(tree: Tree) -> None:
    (tree.root / "proc/7/status").mkdir(parents=True)
    with pytest.raises(DeviceError, match="process 7"):
        RamProbe("n", tree.root).per_process([7])


def test_an_unreadable_machine_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PermissionError("/proc/meminfo")

    monkeypatch.setattr("psutil.virtual_memory", refuse)
    with pytest.raises(DeviceError, match="meminfo"):
        host_memory()


def test_this_machine_is_read() -> None:
    (reading,) = RamProbe("here").read([os.getpid()])
    assert 0 < reading.ours_bytes < reading.used_bytes < reading.total_bytes
