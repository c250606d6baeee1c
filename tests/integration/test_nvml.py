"""GpuProbe through the true pynvml and a compiled stub of NVML: two GPUs, no hardware."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serve_app.devices import errors
from serve_app.messages import DomainReading
from serve_app.policy.memory_pressure import PressureGauge
from serve_app.settings import PressureSettings
from tests.e2e.server import ROOT, checkout_importable
from tests.integration.nvml_stub.builder import (
    DRIVER_NOT_LOADED,
    GPU_IS_LOST,
    LIBRARY,
    NOT_AVAILABLE,
    NOT_SUPPORTED,
    UNKNOWN,
    StubError,
    StubGpu,
    StubProcess,
    build_stub,
    compiler,
    stub_environment,
    write_state,
)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(compiler() is None, reason="no C compiler for the NVML stub"),
]

GIB = 2**30
# Above the kernel's highest pid: only the stub knows them.
OURS, OTHER_OF_OURS, NOBODYS_PID = 2**22 + 1, 2**22 + 2, 2**22 + 3
FOREIGN = os.getpid()  # lives
A, B = "GPU-aaaaaaaa-0000", "GPU-bbbbbbbb-0000"


class ChildProbe:
    """Probes in a process of its own, which found the stub when it started."""

    def __init__(self, stub: Path) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.nvml_stub.child"],
            env={**os.environ, **checkout_importable(), **stub_environment(stub)},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, do: str, **request: Any) -> Any:
        """The result, or the DeviceError that it raised there."""
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        self.popen.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self.popen.stdin.flush()
        answer = json.loads(self.popen.stdout.readline())
        if "error" in answer:
            raise getattr(errors, answer["error"])(answer["message"])
        return answer["result"]

    def end(self) -> None:
        """It ends with its stdin."""
        self.popen.communicate(timeout=10)
        assert self.popen.returncode == 0

    def open(self, visible: str | None) -> None:
        self.ask("open", visible=visible)

    def read(self, *pids: int) -> list[DomainReading]:
        return [DomainReading(**reading) for reading in self.ask("read", pids=pids)]

    def per_process(self, *pids: int) -> dict[int, int]:
        return {int(pid): held for pid, held in self.ask("per_process", pids=pids).items()}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stub(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def stub(compiled: Path) -> Path:
    write_state(compiled, two_gpus())
    return compiled


@pytest.fixture(scope="module")
def child(compiled: Path) -> Iterator[ChildProbe]:
    child = ChildProbe(compiled)
    yield child
    child.end()


@pytest.fixture
def probe(child: ChildProbe, stub: Path) -> ChildProbe:
    """Two GPUs; each test opens a probe of its own in the one process."""
    return child


def two_gpus(foreign_bytes: int = GIB) -> list[StubGpu]:
    """8 GiB with one engine, another of ours and a stranger, and an idle one of 24 GiB."""
    busy = (
        StubProcess(OURS, 2 * GIB),
        StubProcess(OTHER_OF_OURS, GIB),
        StubProcess(FOREIGN, foreign_bytes),
    )
    return [StubGpu(A, 8 * GIB, busy), StubGpu(B, 24 * GIB, reserved_bytes=GIB // 2)]


def test_all_gpus_are_read_where_none_is_chosen(probe: ChildProbe) -> None:
    probe.open(None)
    assert probe.read(OURS) == [
        DomainReading(f"gpu:{A}", "gpu", 8 * GIB, 4 * GIB, 2 * GIB),
        DomainReading(f"gpu:{B}", "gpu", 24 * GIB, GIB // 2, 0),
    ]


@pytest.mark.parametrize(
    ("visible", "domains"),
    [
        ("0", [A]),
        ("1", [B]),
        ("1,0", [B, A]),
        (B, [B]),
        ("GPU-bbbb", [B]),
        ("0,-1,1", [A]),
        ("", []),
    ],
)
def test_only_the_visible_gpus_are_read(
    probe: ChildProbe, visible: str, domains: list[str]
) -> None:
    probe.open(visible)
    assert [reading.domain for reading in probe.read()] == [f"gpu:{uuid}" for uuid in domains]


@pytest.mark.parametrize("visible", ["2", "GPU-cccc", "GPU-", "MIG-0"])
def test_a_gpu_that_does_not_exist_is_a_typed_error(probe: ChildProbe, visible: str) -> None:
    probe.open(visible)
    with pytest.raises(errors.GpuNotFound, match="NVML"):
        probe.read()
    assert probe.ask("counts") == [1, 0]


def test_foreign_memory_is_used_but_not_ours(probe: ChildProbe) -> None:
    probe.open("0")
    (reading,) = probe.read(OURS, OTHER_OF_OURS)
    assert reading.used_bytes == 4 * GIB
    assert reading.ours_bytes == 3 * GIB
    assert probe.per_process(OURS, OTHER_OF_OURS, NOBODYS_PID) == {
        OURS: 2 * GIB,
        OTHER_OF_OURS: GIB,
    }


def test_a_foreign_process_raises_the_level_and_lowers_it_again(
    probe: ChildProbe, stub: Path
) -> None:
    probe.open("0")
    gauge = PressureGauge(PressureSettings())
    crossings = []
    for foreign_bytes in (GIB, 5 * GIB - GIB // 8, GIB):
        write_state(stub, two_gpus(foreign_bytes))
        (reading,) = probe.read(OURS)
        crossings.append(gauge.update(reading))
    assert crossings[0] is None
    assert [(it.before, it.after) for it in crossings if it] == [
        ("normal", "emergency"),
        ("emergency", "normal"),
    ]


def test_a_process_that_computes_and_draws_counts_once(probe: ChildProbe, stub: Path) -> None:
    both = (StubProcess(OURS, GIB), StubProcess(OURS, GIB, kind="G"))
    write_state(stub, [StubGpu(A, 8 * GIB, (*both, StubProcess(FOREIGN, 4 * GIB)))])
    probe.open("0")
    assert probe.read(OURS)[0].ours_bytes == GIB
    assert probe.per_process(OURS) == {OURS: GIB}


@pytest.mark.parametrize("visible", ["0", "MIG-1", A])
def test_in_mig_mode_the_instance_is_the_domain(
    probe: ChildProbe, stub: Path, visible: str
) -> None:
    parts = [
        StubGpu("MIG-1", 10 * GIB, (StubProcess(OURS, GIB),), parent=0),
        StubGpu("MIG-2", 10 * GIB, parent=0),
    ]
    write_state(stub, [StubGpu(A, 40 * GIB), *parts])
    probe.open(visible)
    assert probe.read(OURS) == [DomainReading("gpu:MIG-1", "gpu", 10 * GIB, GIB, GIB)]


@pytest.mark.parametrize("told", [0, NOT_AVAILABLE])
def test_memory_that_the_driver_does_not_tell_is_said_once_and_not_ours(
    probe: ChildProbe, stub: Path, told: int
) -> None:
    write_state(stub, [StubGpu(A, 8 * GIB, (StubProcess(OURS, GIB, told),))])
    probe.open("0")
    for _ in range(3):
        (reading,) = probe.read(OURS)
        assert (reading.used_bytes, reading.ours_bytes) == (GIB, 0)
    assert probe.per_process(OURS) == {}
    (line,) = probe.ask("logs")
    assert "without their memory" in line


def test_pids_of_another_namespace_are_said_once(probe: ChildProbe, stub: Path) -> None:
    write_state(stub, [StubGpu(A, 8 * GIB, (StubProcess(NOBODYS_PID, GIB),))])
    probe.open("0")
    for _ in range(3):
        assert probe.read(OURS)[0].ours_bytes == 0
    (line,) = probe.ask("logs")
    assert "namespace" in line


def test_processes_that_cannot_be_listed_are_said_once(probe: ChildProbe, stub: Path) -> None:
    compute = StubError("nvmlDeviceGetComputeRunningProcesses_v3", NOT_SUPPORTED)
    write_state(stub, two_gpus(), [compute])
    probe.open(None)
    assert [reading.ours_bytes for reading in probe.read(OURS)] == [0, 0]
    (line,) = probe.ask("logs")
    assert "does not list processes" in line


def test_an_engine_that_has_not_touched_the_gpu_is_not_worth_a_line(
    probe: ChildProbe, stub: Path
) -> None:
    write_state(stub, [StubGpu(A, 8 * GIB, (StubProcess(FOREIGN, GIB),))])
    probe.open("0")
    assert probe.read(OURS)[0].ours_bytes == 0
    assert probe.ask("logs") == []


def test_a_lost_gpu_is_typed_and_comes_back(probe: ChildProbe, stub: Path) -> None:
    probe.open("0")
    probe.read()
    write_state(stub, two_gpus(), [StubError("nvmlDeviceGetMemoryInfo", GPU_IS_LOST, A)])
    for _ in range(2):
        with pytest.raises(errors.GpuLost, match="lost"):
            probe.read()
    assert probe.ask("counts")[1] == 0
    write_state(stub, two_gpus())
    assert len(probe.read()) == 1


def test_a_lost_gpu_does_not_hide_another(probe: ChildProbe, stub: Path) -> None:
    lost = [StubError("nvmlDeviceGetUUID", GPU_IS_LOST, A)]
    write_state(stub, two_gpus(), [*lost, StubError("nvmlDeviceGetMemoryInfo", GPU_IS_LOST, A)])
    for visible in ("1", "GPU-bbbb"):
        probe.open(visible)
        assert len(probe.read()) == 1


def test_other_errors_of_nvml_are_typed(probe: ChildProbe, stub: Path) -> None:
    probe.open("0")
    write_state(stub, two_gpus(), [StubError("nvmlDeviceGetMemoryInfo", UNKNOWN)])
    with pytest.raises(errors.DeviceError, match="Unknown Error"):
        probe.read()


def test_nvml_is_started_once_and_shut_down_as_often(probe: ChildProbe) -> None:
    probe.open(None)
    assert probe.ask("close") is None
    probe.read()
    probe.read()
    probe.per_process(OURS)
    assert probe.ask("counts") == [1, 1]
    probe.ask("close")
    probe.ask("close")
    assert probe.ask("counts") == [1, 0]
    probe.read()
    assert probe.ask("counts") == [2, 1]


def test_no_driver_is_typed(probe: ChildProbe, stub: Path) -> None:
    write_state(stub, two_gpus(), [StubError("nvmlInitWithFlags", DRIVER_NOT_LOADED)])
    probe.open("0")
    with pytest.raises(errors.NvmlUnavailable, match="Driver Not Loaded"):
        probe.read()
    assert probe.ask("counts") == [0, 0]


def test_a_missing_library_is_typed(tmp_path: Path) -> None:
    # An empty file is found first and cannot be loaded, on machines with a driver too.
    (tmp_path / LIBRARY).touch()
    child = ChildProbe(tmp_path)
    try:
        child.open("0")
        with pytest.raises(errors.NvmlUnavailable, match="Library Not Found"):
            child.read()
    finally:
        child.end()
