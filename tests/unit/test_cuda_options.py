"""What CUDA's provider is told, and how an engine's budget becomes limits of its sessions."""

from __future__ import annotations

import pytest

from serve_app.errors import EngineUnavailable
from serve_app.weights.cuda_options import (
    OUTSIDE_BYTES,
    PARTS,
    SMALLEST_BYTES,
    arena_limits,
    cuda_config,
)

OCR = ["DocOrientationClassify", "TextDetection", "TextLineOrientation", "TextRecognition"]
STRUCTURE = [*OCR, "LayoutDetection", *(f"table {number}" for number in range(4))]
GIB = 2**30


@pytest.mark.parametrize("modules", [OCR, STRUCTURE])
@pytest.mark.parametrize("budget_bytes", [int(1.9 * GIB), 2 * GIB, 8 * GIB, 80 * GIB])
def test_the_limits_stay_within_the_budget_and_use_it(
    modules: list[str], budget_bytes: int
) -> None:
    """Also in 2 GiB of a card whose last 5 % are nobody's."""
    limits = arena_limits(budget_bytes, modules)
    assert set(limits) == set(modules)
    assert min(limits.values()) >= SMALLEST_BYTES
    total = OUTSIDE_BYTES + sum(limits.values())
    assert budget_bytes - 64 < total <= budget_bytes


def test_what_looks_at_pages_gets_more() -> None:
    limits = arena_limits(4 * GIB, STRUCTURE)
    smallest = limits["TextLineOrientation"]
    assert {name: limits[name] // smallest for name in PARTS} == dict(PARTS)


def test_a_module_that_is_there_twice_is_counted_twice() -> None:
    """The OCR of seals has a detection and a recognition of its own."""
    twice = ["TextDetection", "TextRecognition"] * 2
    limits = arena_limits(4 * GIB, twice)
    assert OUTSIDE_BYTES + 2 * sum(limits.values()) <= 4 * GIB


def test_too_little_is_an_error_that_names_what_is_needed() -> None:
    needed = OUTSIDE_BYTES + 20 * SMALLEST_BYTES
    assert min(arena_limits(needed, OCR).values()) == SMALLEST_BYTES
    with pytest.raises(EngineUnavailable, match=f"4 sessions need {needed // 2**20} MiB"):
        arena_limits(needed - 1, OCR)


def test_without_onnx_modules_there_is_nothing_to_split() -> None:
    assert arena_limits(4 * GIB, []) == {}


def test_cuda_takes_no_more_than_it_needs_and_searches_nothing() -> None:
    config = cuda_config(3, 5 * GIB)
    cuda, cpu = config["provider_options"]
    assert config["providers"] == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert cuda == {
        "device_id": 0,
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "cudnn_conv_use_max_workspace": "0",
        "gpu_mem_limit": 5 * GIB,
    }
    assert cpu == {}
    assert config["intra_op_num_threads"] == 3
    assert not config["enable_mem_pattern"]


def test_no_budget_is_no_limit() -> None:
    assert "gpu_mem_limit" not in cuda_config(1, None)["provider_options"][0]
