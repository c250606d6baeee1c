"""The environment of an engine process: threads, devices, and what PaddleX reads at import."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from serve_app.devices import cpu
from serve_app.devices.onnx_build import has_openvino
from serve_app.settings import ModelSettings, PoolSettings
from serve_app.weights.pipeline_config import resolve_runtime


def engine_device(pool: PoolSettings, model: ModelSettings) -> Literal["cpu", "gpu"]:
    """Where the model's engines compute in this pool."""
    return "cpu" if model.engine.device == "cpu" else pool.device


def engine_environment(
    pool: PoolSettings, model: ModelSettings, font_path: Path | None, budget_bytes: int
) -> dict[str, str]:
    """Variables to add to the replica's own environment. ``budget_bytes``: of the replica."""
    threads = str(model.engine.threads)
    env = {
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        # Without it the import waits for a model hub to answer.
        "PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK": "True",
        # glibc gives every thread an arena of its own, which is never handed back.
        "MALLOC_ARENA_MAX": "2",
        "PYTHONUNBUFFERED": "1",
    }
    device, openvino = engine_device(pool, model), has_openvino()
    if resolve_runtime(model.engine, device, cpu.flags(), openvino=openvino).provider == "cpu":
        # Tensors stay in the heap from one to the next, instead of being mapped and zeroed each
        # time; ``host.py`` trims the heap when the engine rests. DESIGN.md has what it gives, and
        # why not with OpenVINO.
        env["MALLOC_MMAP_THRESHOLD_"] = str(2**30)
        env["MALLOC_TRIM_THRESHOLD_"] = str(2**31)
    if pool.device == "cpu":
        env["CUDA_VISIBLE_DEVICES"] = ""  # Ray leaves all GPUs visible where none was asked for
    else:
        # Not always honoured by Paddle, so the replica watches as well.
        env["FLAGS_gpu_memory_limit_mb"] = str(budget_bytes // 2**20)
        # So that CUDA's index is NVML's, by which Ray and the probe go.
        env["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    if font_path is not None:
        env["PADDLE_PDX_LOCAL_FONT_FILE_PATH"] = str(font_path)
    return env
