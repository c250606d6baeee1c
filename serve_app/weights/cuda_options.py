"""What ONNX Runtime's CUDA provider is told, and the part of a budget each session gets. Pure.

``gpu_mem_limit`` bounds the arena of one session, not the process: beside the arenas there are
CUDA's context, the weights, and what cuDNN takes for itself. So the sum of the limits is below the
engine's budget, and what really is held is read from the device (``devices/gpu.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serve_app.errors import EngineUnavailable

MIB = 2**20
# CUDA's context (518 MiB on an H100), handles of cuDNN and cuBLAS, and the weights.
OUTSIDE_BYTES = 704 * MIB
# A session with less could not hold one line, or one picture of a classifier.
SMALLEST_BYTES = 32 * MIB
# How much of a budget a module's tensors want, in parts. Detection looks at a page of 1,920 pixels
# (680 MB on a CPU), layout at a smaller one; recognition gives 18,710 numbers for every eight
# pixels of a line (180 MB for six lines of the largest width).
PARTS = {"TextDetection": 12, "TextRecognition": 6, "LayoutDetection": 4}
OTHER_PARTS = 1


def arena_limits(budget_bytes: int, modules: Sequence[str]) -> dict[str, int]:
    """Bytes of the arena of each module's session.

    Args:
        budget_bytes: what the engine may hold on the device, all in all.
        modules: PaddleX's name of each session's module; one name may be there more than once.

    Raises:
        EngineUnavailable: the budget is too small for these sessions.
    """
    parts = sum(PARTS.get(module, OTHER_PARTS) for module in modules)
    needed = OUTSIDE_BYTES + parts * SMALLEST_BYTES
    if budget_bytes < needed:
        raise EngineUnavailable(
            f"the engine's share of the GPU, {budget_bytes // MIB} MiB (num_gpus, "
            f"max_concurrent_predictions), is too small: {len(modules)} sessions need "
            f"{needed // MIB} MiB"
        )
    part = (budget_bytes - OUTSIDE_BYTES) // parts if parts else 0
    return {module: part * PARTS.get(module, OTHER_PARTS) for module in modules}


def cuda_config(threads: int, limit_bytes: int | None) -> dict[str, Any]:
    """PaddleX's ``engine_config`` of a session on the first visible GPU.

    Args:
        threads: for what has no CUDA kernel.
        limit_bytes: of the session's arena; None: no limit.
    """
    cuda: dict[str, Any] = {
        "device_id": 0,
        # Doubling takes up to twice of what is needed, and never hands it back.
        "arena_extend_strategy": "kSameAsRequested",
        # A page has many shapes. EXHAUSTIVE searches at each of them (PaddleX#5057), formerly with
        # workspaces of GBs (onnxruntime#7612); what DEFAULT takes, cuDNN refuses for recognition,
        # and a slow path is taken (PaddleOCR#17970).
        "cudnn_conv_algo_search": "HEURISTIC",
        "cudnn_conv_use_max_workspace": "0",
    }
    if limit_bytes is not None:
        cuda["gpu_mem_limit"] = limit_bytes
    return {
        "providers": ["CUDAExecutionProvider", "CPUExecutionProvider"],
        "provider_options": [cuda, {}],
        "intra_op_num_threads": threads,
        # As on the CPU: neither hands anything back.
        "enable_cpu_mem_arena": False,
        "enable_mem_pattern": False,
    }
