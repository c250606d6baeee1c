"""What every probe promises, and which one a replica gets. GPUs for real: integration/test_nvml."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from serve_app.devices.errors import DeviceError, GpuNotFound, SimulationInvalid
from serve_app.devices.gpu import GpuProbe, visible_names
from serve_app.devices.probe import CombinedProbe, MemoryProbe, probe_for
from serve_app.devices.ram import RamProbe
from serve_app.devices.scripted import SIMULATED_DEVICES, ScriptedProbe
from serve_app.messages import DomainReading
from serve_app.testing.devices import FakeDomain, FakeProbe, write_simulated_devices

OURS, OTHER = os.getpid(), os.getppid()
NOBODY = 2**22 + 1  # above the kernel's highest pid

GPUS = [
    {"uuid": "GPU-a", "total_bytes": 10**12, "others_bytes": 500},
    {"uuid": "GPU-b", "total_bytes": 2000, "used_bytes": 600},
]
RAM = {"total_bytes": 10**12, "others_bytes": 400}


def fake_probe(_: Path) -> MemoryProbe:
    return FakeProbe(FakeDomain(processes={OURS: 10, OTHER: 20}))


def ram_probe(_: Path) -> MemoryProbe:
    return RamProbe("n")


def scripted_probe(path: Path) -> MemoryProbe:
    write_simulated_devices(path, ram=RAM, gpus=GPUS)
    return ScriptedProbe(path, None, ram=RamProbe("n"), gpu=GpuProbe(None))


def combined_probe(_: Path) -> MemoryProbe:
    gpu = FakeProbe(FakeDomain("gpu:a", "gpu", processes={OURS: 10}))
    return CombinedProbe(gpu, RamProbe("n"))


Maker = Callable[[Path], MemoryProbe]


@pytest.fixture(params=[fake_probe, ram_probe, scripted_probe, combined_probe])
def probe(request: pytest.FixtureRequest, tmp_path: Path) -> MemoryProbe:
    make: Maker = request.param
    return make(tmp_path / "devices.json")


# --- the contract -------------------------------------------------------------------------------


def test_readings_are_of_different_domains_and_within_their_size(probe: MemoryProbe) -> None:
    readings = probe.read([OURS])
    assert readings
    assert len({reading.domain for reading in readings}) == len(readings)
    for reading in readings:
        assert reading.domain.startswith(f"{reading.kind}:")
        assert 0 <= reading.ours_bytes <= reading.used_bytes <= reading.total_bytes


def test_only_the_named_processes_are_ours(probe: MemoryProbe) -> None:
    assert all(reading.ours_bytes == 0 for reading in probe.read([]))
    assert probe.read([OURS])[0].ours_bytes > 0


def test_a_process_named_twice_counts_once(probe: MemoryProbe) -> None:
    once, twice = probe.read([OURS])[0], probe.read([OURS, OURS])[0]
    assert twice.ours_bytes < 1.5 * once.ours_bytes  # real ones breathe


def test_a_process_that_is_gone_holds_nothing(probe: MemoryProbe) -> None:
    assert all(reading.ours_bytes == 0 for reading in probe.read([NOBODY]))
    assert set(probe.per_process([OURS, NOBODY])) == {OURS}


def test_closing_twice_is_fine(probe: MemoryProbe) -> None:
    probe.read([])
    probe.close()
    probe.close()


# --- the fake -----------------------------------------------------------------------------------


def test_the_fake_changes_between_readings_and_fails_on_command() -> None:
    domain = FakeDomain(total_bytes=100, others_bytes=10, processes={1: 5, 2: 7})
    probe = FakeProbe(domain)
    assert probe.read([1]) == (DomainReading("ram:node", "ram", 100, 22, 5),)
    domain.others_bytes = 80
    assert probe.read([])[0].used_bytes == 92
    probe.error = DeviceError("gone")
    with pytest.raises(DeviceError):
        probe.read([])
    with pytest.raises(DeviceError):
        probe.per_process([1])
    assert probe.reads == 3


# --- combined -----------------------------------------------------------------------------------


def test_combined_tells_all_domains_and_the_processes_of_the_own_device() -> None:
    gpu = FakeProbe(FakeDomain("gpu:a", "gpu", processes={1: 10}))
    ram = FakeProbe(FakeDomain("ram:n", "ram", processes={1: 99}))
    both = CombinedProbe(gpu, ram)
    assert [reading.domain for reading in both.read([1])] == ["gpu:a", "ram:n"]
    assert both.per_process([1]) == {1: 10}
    both.close()
    assert gpu.closed
    assert ram.closed


# --- CUDA_VISIBLE_DEVICES -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (None, None),
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("0", ("0",)),
        ("2, 1", ("2", "1")),
        ("0,-1,1", ("0",)),
        ("0,,1", ("0",)),
        ("GPU-8932f937,MIG-1/2/0", ("GPU-8932f937", "MIG-1/2/0")),
    ],
)
def test_the_visible_gpus_are_listed_as_cuda_does(
    value: str | None, names: tuple[str, ...] | None
) -> None:
    assert visible_names(value) == names


def test_with_no_visible_gpu_nvml_is_not_needed() -> None:
    probe = GpuProbe("")
    assert probe.read([OURS]) == ()
    assert probe.per_process([OURS]) == {}
    probe.close()


# --- simulated readings -------------------------------------------------------------------------


def scripted(
    path: Path, visible: str | None = None, held_bytes: int = 0, device: str = "gpu"
) -> ScriptedProbe:
    """Over fakes in the place of the real devices: one engine, the test's own process."""
    ram = FakeProbe(FakeDomain("ram:n", "ram", 9999, 1, {OURS: held_bytes}))
    gpu = FakeProbe(FakeDomain("gpu:real", "gpu", 9999, 1, {OURS: 77}))
    return ScriptedProbe(path, visible, ram=ram, gpu=gpu if device == "gpu" else None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "devices.json"


def test_simulated_used_is_as_written_or_follows_what_we_hold(path: Path) -> None:
    write_simulated_devices(path, ram=RAM, gpus=GPUS)
    probe = scripted(path, held_bytes=50)
    assert probe.read([OURS]) == (
        DomainReading("gpu:GPU-a", "gpu", 10**12, 550, 50),
        DomainReading("gpu:GPU-b", "gpu", 2000, 600, 50),
        DomainReading("ram:n", "ram", 10**12, 450, 50),
    )
    assert probe.per_process([OURS]) == {OURS: 50}


@pytest.mark.parametrize(
    ("visible", "domains"),
    [("0", ["a"]), ("1", ["b"]), ("1,0", ["b", "a"]), ("GPU-b", ["b"]), ("", [])],
)
def test_simulated_gpus_are_visible_as_real_ones(
    path: Path, visible: str, domains: list[str]
) -> None:
    write_simulated_devices(path, gpus=GPUS)
    readings = [it for it in scripted(path, visible).read([]) if it.kind == "gpu"]
    assert [reading.domain for reading in readings] == [f"gpu:GPU-{name}" for name in domains]


@pytest.mark.parametrize("visible", ["2", "GPU-c", "GPU-"])
def test_a_simulated_gpu_that_does_not_exist_is_typed(path: Path, visible: str) -> None:
    write_simulated_devices(path, gpus=GPUS)
    with pytest.raises(GpuNotFound, match="simulated"):
        scripted(path, visible).read([])


def test_a_cpu_replica_reads_no_simulated_gpu(path: Path) -> None:
    write_simulated_devices(path, ram=RAM, gpus=GPUS)
    assert [it.domain for it in scripted(path, device="cpu").read([])] == ["ram:n"]


def test_what_the_file_does_not_name_is_read_for_real(path: Path) -> None:
    write_simulated_devices(path)
    probe = scripted(path, held_bytes=50)
    assert [it.domain for it in probe.read([])] == ["gpu:real", "ram:n"]
    assert probe.read([])[1].total_bytes == 9999
    assert probe.per_process([OURS]) == {OURS: 77}


def test_an_empty_list_is_a_machine_without_gpus(path: Path) -> None:
    write_simulated_devices(path, gpus=[])
    assert [it.domain for it in scripted(path).read([])] == ["ram:n"]


def test_a_new_file_is_seen_by_the_next_reading(path: Path) -> None:
    probe = scripted(path, device="cpu")
    for used in (100, 900, 200):
        write_simulated_devices(path, ram={"total_bytes": 1000, "used_bytes": used})
        assert probe.read([])[0].used_bytes == used
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"cpus": []}',
        '{"ram": {"total_bytes": 0, "used_bytes": 0}}',
        '{"ram": {"total_bytes": 10, "used_bytes": -1}}',
        '{"ram": {"total_bytes": 10}}',
        '{"ram": {"total_bytes": 10, "used_bytes": 1, "others_bytes": 1}}',
        '{"gpus": [{"total_bytes": 10, "used_bytes": 1}]}',
        None,
    ],
)
def test_a_broken_or_missing_file_is_typed(path: Path, text: str | None) -> None:
    if text is not None:
        path.write_text(text)
    with pytest.raises(SimulationInvalid, match=f"{SIMULATED_DEVICES}.*{path.name}"):
        scripted(path).read([])


# --- which probe --------------------------------------------------------------------------------


def test_a_cpu_replica_reads_its_nodes_ram_alone() -> None:
    probe = probe_for("cpu", "node-1", {"CUDA_VISIBLE_DEVICES": "0"})
    assert [reading.domain for reading in probe.read([])] == ["ram:node-1"]


def test_a_gpu_replica_reads_its_gpus_and_the_ram() -> None:
    probe = probe_for("gpu", "node-1", {"CUDA_VISIBLE_DEVICES": ""})
    assert isinstance(probe, CombinedProbe)
    assert [reading.domain for reading in probe.read([])] == ["ram:node-1"]


def test_simulated_readings_are_said_in_the_log(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("ocr_serve"), "propagate", True)
    write_simulated_devices(path, ram=RAM, gpus=GPUS)
    environ = {SIMULATED_DEVICES: str(path), "CUDA_VISIBLE_DEVICES": "1"}
    probe = probe_for("gpu", "node-1", environ)
    assert [it.domain for it in probe.read([])] == ["gpu:GPU-b", "ram:node-1"]
    (record,) = caplog.records
    assert (record.levelname, vars(record)["file"]) == ("WARNING", str(path))


@pytest.mark.parametrize("value", [None, ""])
def test_readings_are_real_unless_the_variable_is_set(
    value: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    environ = {} if value is None else {SIMULATED_DEVICES: value}
    assert isinstance(probe_for("cpu", "n", environ), RamProbe)
    assert caplog.records == []
