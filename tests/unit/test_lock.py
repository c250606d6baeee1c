"""The lock files: what set-up installs, on any machine, from whatever index pip is set up with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("cpu", "dev", "gpu", "gpu-cuda12")
# Which package is the module onnxruntime.
RUNTIMES = {"gpu": "onnxruntime-gpu", "gpu-cuda12": "onnxruntime-gpu"}
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def lock_text(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.lock").read_text()


def requirements(name: str) -> dict[tuple[str, str], list[str]]:
    """{(name, version): hashes}; comments are left out."""
    found: dict[tuple[str, str], list[str]] = {}
    for block in re.split(r"\n(?=[a-z0-9])", lock_text(name), flags=re.IGNORECASE):
        if match := re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^ ;\\]+)", block):
            found[match[1].lower(), match[2]] = HASH.findall(block)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_lock_names_no_index(name: str) -> None:
    for number, line in enumerate(lock_text(name).splitlines(), start=1):
        assert "://" not in line, number
        option = re.match(r"\s*(-\S+)", line)
        assert option is None or HASH.match(option[1]), f"line {number}: {line}"


@pytest.mark.parametrize("name", NAMES)
def test_every_requirement_is_exact_and_has_hashes(name: str) -> None:
    locked = requirements(name)
    starts = [line for line in lock_text(name).splitlines() if re.match(r"[A-Za-z0-9]", line)]
    assert len(locked) == len(starts) > 100
    assert [package for package, hashes in locked.items() if not hashes] == []


@pytest.mark.parametrize("name", NAMES)
def test_only_one_package_brings_each_native_module(name: str) -> None:
    packages = {package for package, _ in requirements(name)}
    runtimes = {package for package in packages if package.startswith("onnxruntime")}
    assert runtimes == {RUNTIMES.get(name, "onnxruntime-openvino")}
    assert {package for package in packages if package.startswith("opencv")} == {
        "opencv-contrib-python"
    }


def test_development_lock_contains_the_runtime_lock() -> None:
    assert set(requirements("cpu")) - set(requirements("dev")) == set()


@pytest.mark.parametrize(("name", "cuda"), [("gpu", ""), ("gpu-cuda12", "-cu12")])
def test_a_gpu_lock_brings_cudas_libraries_of_one_version(name: str, cuda: str) -> None:
    """A missing one makes ONNX Runtime compute on the CPU, with a mere warning."""
    packages = {package for package, _ in requirements(name)}
    needed = {f"nvidia-{library}{cuda}" for library in ("cublas", "cufft", "curand")}
    needed |= {f"nvidia-cuda-{library}{cuda}" for library in ("nvrtc", "runtime")}
    needed |= {"nvidia-cudnn-cu12" if cuda else "nvidia-cudnn-cu13"}
    assert needed - packages == set()
    libraries = {package for package in packages if package.startswith("nvidia-")}
    of_twelve = {package for package in libraries if package.endswith("-cu12")}
    assert of_twelve == (libraries - {"nvidia-ml-py"} if cuda else set())


@pytest.mark.parametrize("name", ["gpu", "gpu-cuda12"])
def test_a_gpu_lock_differs_from_the_cpus_by_what_computes_only(name: str) -> None:
    """The GPU image installs it into the CPU image."""
    mine, others = requirements(name), requirements("cpu")
    own = {package for package, _ in set(mine) - set(others)}
    assert {package for package in own if not package.startswith("nvidia-")} == {"onnxruntime-gpu"}


def test_locks_contain_what_the_project_pins() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    pins = set(re.findall(r'^\s*"([a-z-]+)(?:\[[a-z,-]+\])?==([0-9.]+)', text, re.MULTILINE))
    pins -= {pin for pin in pins if pin[0] == "paddlepaddle-gpu"}  # not on the public index
    locked = {pin for name in ("dev", "gpu", "gpu-cuda12") for pin in requirements(name)}
    assert len(pins) >= 6
    assert pins - locked == set()


def test_build_tool_is_locked() -> None:
    assert "setuptools" in {package for package, _ in requirements("cpu")}
