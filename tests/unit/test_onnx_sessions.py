"""Sessions of ONNX Runtime: a silent fall-back to the CPU is found, an arena is made to shrink."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve_app.engines.onnx_sessions import (
    CUDA,
    GPU_ARENA,
    SHRINK,
    WEIGHTS_OUTSIDE,
    ShrinkingSession,
    assert_providers,
    load_cuda,
    weights_outside_arenas,
)
from serve_app.errors import EngineUnavailable

CPU = "CPUExecutionProvider"


class FakeSession:
    """What a session of ONNX Runtime is asked here."""

    def __init__(self, providers: Sequence[str] = (CPU,)) -> None:
        self.providers = list(providers)
        self.runs: list[tuple[tuple[int, ...], Any]] = []

    def get_providers(self) -> list[str]:
        return self.providers

    def run(self, outputs: Any, feeds: dict[str, np.ndarray], options: Any = None) -> list[str]:
        self.runs.append((feeds["x"].shape, options))
        return ["answer"]


class FakeRunner:
    """PaddleX's runner of one module."""

    model_dir = Path("/weights/PP-OCRv6_small_det/7443b110cf157508")

    def __init__(self, wanted: str, used: Sequence[str]) -> None:
        self._config = {"providers": [wanted, CPU]}
        self.session = FakeSession(used)


class FakeOptions:
    """Session options, or run options."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}

    def add_session_config_entry(self, name: str, value: str) -> None:
        self.entries[name] = value

    add_run_config_entry = add_session_config_entry


class FakeRuntime:
    """The module ``onnxruntime``."""

    def __init__(self, providers: Sequence[str]) -> None:
        self._providers, self.loaded = providers, False

    def get_available_providers(self) -> list[str]:
        return list(self._providers)

    def preload_dlls(self) -> None:
        self.loaded = True


def test_sessions_that_compute_where_they_should_pass() -> None:
    assert_providers([FakeRunner(CUDA, [CUDA, CPU])] * 2, on_gpu=True)
    assert_providers([FakeRunner(CPU, [CPU])], on_gpu=False)
    assert_providers([], on_gpu=False)


def test_a_session_that_fell_back_to_the_cpu_is_an_error_with_its_name() -> None:
    runners = [FakeRunner(CUDA, [CUDA, CPU]), FakeRunner(CUDA, [CPU])]
    with pytest.raises(EngineUnavailable) as caught:
        assert_providers(runners, on_gpu=True)
    told = str(caught.value)
    assert told.startswith(
        f"PP-OCRv6_small_det/7443b110cf157508 would compute on the CPU: {CUDA} did not load"
    )
    assert "driver" in told


def test_so_it_is_with_openvino_without_speaking_of_cuda() -> None:
    with pytest.raises(EngineUnavailable, match="OpenVINOExecutionProvider did not") as caught:
        assert_providers([FakeRunner("OpenVINOExecutionProvider", [CPU])], on_gpu=False)
    assert "CUDA" not in str(caught.value)


def test_a_model_of_which_nothing_computes_on_the_gpu_is_an_error() -> None:
    with pytest.raises(EngineUnavailable, match=r"engine\.provider: paddle"):
        assert_providers([], on_gpu=True)


def test_cudas_libraries_are_loaded_first_where_there_is_cuda() -> None:
    runtime = FakeRuntime([CUDA, CPU])
    load_cuda(runtime)
    assert runtime.loaded


def test_a_runtime_without_cuda_is_an_error_that_names_the_extra() -> None:
    runtime = FakeRuntime(["OpenVINOExecutionProvider", CPU])
    with pytest.raises(EngineUnavailable, match="extra `gpu`"):
        load_cuda(runtime)
    assert not runtime.loaded


def test_sessions_made_meanwhile_keep_their_weights_outside_of_the_arena() -> None:
    class Runner:
        def _build_session_options(self) -> FakeOptions:
            return FakeOptions()

    with weights_outside_arenas(Runner):
        assert Runner()._build_session_options().entries == {WEIGHTS_OUTSIDE: "1"}
    assert Runner()._build_session_options().entries == {}


def test_an_arena_shrinks_after_a_run_over_the_smallest_shape_seen() -> None:
    inner, options = FakeSession([CUDA, CPU]), FakeOptions()
    session = ShrinkingSession(inner, options)
    assert session.get_providers() == [CUDA, CPU]
    session.shrink()
    assert inner.runs == [], "it has no memory yet"
    for side in (64, 32, 128):
        assert session.run(["y"], {"x": np.ones((1, side), np.float32)}) == ["answer"]
    session.shrink()
    session.shrink()
    assert inner.runs[-1] == ((1, 32), options)
    assert len(inner.runs) == 4, "nothing has run since"
    assert options.entries == {SHRINK: GPU_ARENA}
