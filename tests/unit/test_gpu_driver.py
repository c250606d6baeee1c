"""Which environment `make serve` sets up: by the configuration's pools and the driver's CUDA."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pytest

import gpu_driver
import setup_venv

CONFIGS = Path(__file__).parents[2] / "configs"


class Driver:
    """Stands for libcuda.so.1."""

    def __init__(self, version: int = 13000, started: int = gpu_driver.SUCCESS) -> None:
        self._version, self._started = version, started

    def __call__(self, name: str) -> Any:
        assert name == "libcuda.so.1"
        return self

    def cuInit(self, flags: int) -> int:
        assert flags == 0
        return self._started

    def cuDriverGetVersion(self, version: Any) -> int:
        version._obj.value = self._version
        return gpu_driver.SUCCESS


def missing(name: str) -> ctypes.CDLL:
    raise OSError(f"{name}: cannot open shared object file")


def test_the_driver_tells_its_newest_cuda_version() -> None:
    assert gpu_driver.cuda_version(Driver(13000)) == (13, 0)
    assert gpu_driver.cuda_version(Driver(12080)) == (12, 8)


@pytest.mark.parametrize(
    ("version", "lock"),
    [((14, 0), "gpu"), ((13, 0), "gpu"), ((12, 9), "gpu-cuda12"), ((12, 0), "gpu-cuda12")],
)
def test_the_newest_build_that_the_driver_runs_is_taken(
    version: tuple[int, int], lock: str
) -> None:
    assert gpu_driver.lock_for(version) == lock
    assert lock in setup_venv.GPU_LOCKS


def test_what_is_missing_is_one_line_with_its_remedy() -> None:
    with pytest.raises(gpu_driver.NoGpu, match=r"no NVIDIA driver .*580 or newer"):
        gpu_driver.cuda_version(missing)
    with pytest.raises(gpu_driver.NoGpu, match="finds no GPU"):
        gpu_driver.cuda_version(Driver(started=gpu_driver.NO_DEVICE))
    with pytest.raises(gpu_driver.NoGpu, match="CUDA error 999"):
        gpu_driver.cuda_version(Driver(started=999))
    with pytest.raises(gpu_driver.NoGpu, match=r"too old: it speaks CUDA 11\.4, .*driver 525"):
        gpu_driver.lock_for((11, 4))


def answered(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[int, str, list[str]]:
    monkeypatch.setattr("sys.argv", ["gpu_driver.py", *arguments])
    code = gpu_driver.main()
    told = capsys.readouterr()
    return code, told.out.strip(), told.err.splitlines()


def test_a_configuration_without_a_gpu_pool_needs_no_driver(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_driver, "cuda_version", lambda: pytest.fail("it was looked for"))
    assert answered(capsys, monkeypatch, str(CONFIGS / "local.yaml")) == (0, "cpu", [])


@pytest.mark.parametrize("name", ["gpu.yaml", "gpu-8gb.yaml", "gpu-box.yaml", "prod.yaml"])
def test_a_gpu_pool_needs_the_drivers_lock(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_driver, "cuda_version", lambda: (12, 8))
    monkeypatch.setattr("sys.version_info", (3, 12, 1))
    assert answered(capsys, monkeypatch, str(CONFIGS / name)) == (0, "gpu-cuda12", [])


def test_each_missing_thing_has_a_line_and_the_way_without_a_gpu_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_driver, "cuda_version", lambda: gpu_driver.lock_for((11, 0)))
    monkeypatch.setattr("sys.version_info", (3, 10, 1))
    config = str(CONFIGS / "prod.yaml")
    code, out, lines = answered(capsys, monkeypatch, config)
    assert (code, out) == (1, "")
    assert "too old" in lines[0]
    assert "Python 3.10" in lines[1]
    assert f"EXTRA=cpu CONFIG={config}" in lines[2]
    assert len(lines) == 3


def test_a_named_lock_is_taken_without_a_look(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_driver, "cuda_version", lambda: pytest.fail("it was looked for"))
    arguments = ("--name", "gpu", str(CONFIGS / "prod.yaml"))
    assert answered(capsys, monkeypatch, *arguments) == (0, "gpu", [])
