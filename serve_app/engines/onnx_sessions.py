"""ONNX Runtime's sessions in an engine: that they compute where they should, and CUDA's memory.

A missing library of CUDA's is a line on stderr for ONNX Runtime, and the session computes on the
CPU, fifty times as slowly. Here that is an error of the load.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from serve_app.errors import EngineUnavailable

CUDA = "CUDAExecutionProvider"
GPU_ARENA = "gpu:0"
# Names of ONNX Runtime's options.
WEIGHTS_OUTSIDE = "session.use_device_allocator_for_initializers"
SHRINK = "memory.enable_memory_arena_shrinkage"


def load_cuda(runtime: Any) -> None:
    """Load CUDA's libraries from the installed packages, before the first session.

    Args:
        runtime: the module ``onnxruntime``.

    Raises:
        EngineUnavailable: it was built without CUDA.
    """
    if CUDA not in runtime.get_available_providers():
        raise EngineUnavailable(
            "this environment computes on CPUs only: its onnxruntime has no CUDA (extra `gpu`)"
        )
    # It prints what it does not find; ``assert_providers`` sees what comes of it.
    runtime.preload_dlls()


def assert_providers(runners: Sequence[Any], *, on_gpu: bool) -> None:
    """Have each session compute with the provider that it was made for.

    Args:
        runners: PaddleX's, of all modules in ONNX.
        on_gpu: whether there must be one with CUDA.

    Raises:
        EngineUnavailable: a session fell back to the CPU, or nothing computes on the GPU.
    """
    for runner in runners:
        wanted = runner._config["providers"][0]
        if wanted not in (used := runner.session.get_providers()):
            raise EngineUnavailable(
                f"{_name(runner)} would compute on the CPU: {wanted} did not load, only "
                f"{', '.join(used)}" + (_WHY if wanted == CUDA else "")
            )
    if on_gpu and not runners:
        raise EngineUnavailable(
            "nothing of this model would compute on the GPU: its weights are in Paddle's format, "
            "which needs engine.provider: paddle (extra `gpu-paddle`)"
        )


# What ONNX Runtime has said of it is in the log.
_WHY = " (no driver, one that is too old, or CUDA's libraries: extras `gpu`, `gpu-cuda12`)"


def _name(runner: Any) -> str:
    """The model's; a bundled one's folder is named by what it holds, and lies below the model's."""
    return "/".join(runner.model_dir.parts[-2:])


@contextlib.contextmanager
def weights_outside_arenas(runner: Any) -> Iterator[None]:
    """Sessions made meanwhile keep their weights outside of their arena, which can shrink then.

    Args:
        runner: PaddleX's class of runners, which passes no configuration entries.
    """
    original = runner._build_session_options

    def with_entry(self: Any) -> Any:
        options = original(self)
        options.add_session_config_entry(WEIGHTS_OUTSIDE, "1")
        return options

    runner._build_session_options = with_entry
    try:
        yield
    finally:
        runner._build_session_options = original


class ShrinkingSession:
    """A session that can hand its arena's unused memory back to the device.

    That is done at the end of a run only; so it runs once more, over zeros in the smallest shape
    that it has seen.
    """

    def __init__(self, session: Any, run_options: Any, arena: str = GPU_ARENA) -> None:
        run_options.add_run_config_entry(SHRINK, arena)
        self._session, self._shrinking = session, run_options
        self._smallest: dict[str, np.ndarray] | None = None
        self._has_run = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, outputs: Sequence[str] | None, feeds: dict[str, np.ndarray]) -> Any:
        """As ONNX Runtime's."""
        self._has_run = True
        if self._smallest is None or _size(feeds) < _size(self._smallest):
            self._smallest = {name: np.zeros_like(value) for name, value in feeds.items()}
        return self._session.run(outputs, feeds)

    def shrink(self) -> None:
        """Hand back what the last runs needed and nothing holds now."""
        if self._has_run and self._smallest is not None:
            self._session.run(None, self._smallest, self._shrinking)
        self._has_run = False


def _size(feeds: dict[str, np.ndarray]) -> int:
    return sum(value.size for value in feeds.values())
