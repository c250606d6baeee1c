"""Contender "faster-paddle": the same weights in Rust with ONNX Runtime built in, f32 throughout.

Its package is no dependency of this project: an environment of its own is made for it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.bench.contender import ContenderFailed
from tests.bench.plain import PlainPipeline
from tests.client_environment import python_with

PACKAGES = ("faster-paddle==1.0.4", "pypdfium2==5.0.0", "pillow==12.0.0")
HOST = Path(__file__).with_name("faster_paddle_host.py")


class FasterPaddle(PlainPipeline):
    """One engine with a thread for each core; it reads one picture at a time with all of them."""

    name = "faster-paddle"

    def command(self, fd: int) -> list[str]:
        threads = len(os.sched_getaffinity(0))
        return [str(interpreter()), "-I", str(HOST), str(fd), str(threads)]


def interpreter() -> Path:
    """Of the environment that has it; made when there is none. Raises ContenderFailed."""
    try:
        return python_with(*PACKAGES)
    except pytest.skip.Exception as error:
        raise ContenderFailed(f"{FasterPaddle.name}: {error}") from None
