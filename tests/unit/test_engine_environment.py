"""Variables of an engine, and what a worker tells it of its device."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata

import pytest

from serve_app.devices import cpu, onnx_build
from serve_app.settings import EngineSettings, ModelSettings, PoolSettings
from serve_app.worker.engine_environment import engine_device, engine_environment

GPU_POOL = PoolSettings(device="gpu", num_gpus=0.5)
CPU_POOL = PoolSettings(device="cpu")
HEAP = "MALLOC_TRIM_THRESHOLD_"


@pytest.fixture(autouse=True)
def bf16(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(cpu, "flags", lambda: {"amx_bf16"})
    onnx_build.has_openvino.cache_clear()
    yield
    onnx_build.has_openvino.cache_clear()


def installed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def distribution(asked: str) -> object:
        if asked != name:
            raise metadata.PackageNotFoundError(asked)
        return object()

    monkeypatch.setattr(metadata, "distribution", distribution)


def model(**engine: str) -> ModelSettings:
    return ModelSettings(pipeline="OCR", engine=EngineSettings.model_validate(engine))


def test_an_engine_on_a_gpu_has_cudas_index_and_no_heap_of_tensors() -> None:
    env = engine_environment(GPU_POOL, model(), None, 3 * 2**30)
    assert env["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert "CUDA_VISIBLE_DEVICES" not in env
    assert HEAP not in env


def test_an_engine_of_a_cpu_pool_sees_no_gpu() -> None:
    assert engine_environment(CPU_POOL, model(), None, 2**30)["CUDA_VISIBLE_DEVICES"] == ""
    assert engine_device(GPU_POOL, model(device="cpu")) == "cpu"


@pytest.mark.parametrize(
    ("package", "heap"), [("onnxruntime-openvino", False), ("onnxruntime-gpu", True)]
)
def test_without_openvino_a_cpu_pool_computes_with_the_runtimes_own_provider(
    package: str, heap: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the environment for GPUs."""
    installed(monkeypatch, package)
    assert onnx_build.has_openvino() is not heap
    assert (HEAP in engine_environment(CPU_POOL, model(), None, 2**30)) is heap
