"""What /proc tells of a process's memory and of the processor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from serve_app.devices import cpu, process_memory

MIB = 2**20


def test_a_process_that_runs_has_a_peak_of_at_least_what_it_holds() -> None:
    memory = process_memory.read(os.getpid())
    assert memory is not None
    assert 0 < memory.resident_bytes <= memory.peak_bytes


def test_a_peak_is_kept_until_it_is_reset() -> None:
    if not process_memory.reset_peak(os.getpid()):
        pytest.skip("the kernel does not let us reset a peak (/proc/<pid>/clear_refs)")
    before = peak_bytes()
    block = bytearray(os.urandom(1)) * (64 * MIB)
    del block
    assert peak_bytes() > before + 48 * MIB
    process_memory.reset_peak(os.getpid())
    assert peak_bytes() < before + 16 * MIB


def peak_bytes() -> int:
    memory = process_memory.read(os.getpid())
    assert memory is not None
    return memory.peak_bytes


def test_a_process_that_is_gone_has_no_memory() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    # Ended, but not waited for: a zombie still has a /proc entry, without memory.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process_memory.read(child.pid) is None
    child.wait()
    assert process_memory.read(child.pid) is None
    assert process_memory.reset_peak(child.pid) is False


def test_the_flags_are_those_of_the_first_cpu(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(
        "processor\t: 0\nflags\t\t: fpu avx2 amx_bf16\n\nprocessor\t: 1\nflags\t\t: fpu\n"
    )
    assert cpu.flags(info) == {"fpu", "avx2", "amx_bf16"}


def test_no_flags_where_there_is_no_such_line_or_file(tmp_path: Path) -> None:
    (tmp_path / "arm").write_text("processor\t: 0\nFeatures\t: asimd\n")
    assert cpu.flags(tmp_path / "arm") == frozenset()
    assert cpu.flags(tmp_path / "none") == frozenset()
