"""What a number is worth nothing without: the machine and the versions."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import psutil

from serve_app.devices import cpu

# Those that decide in which precision the networks can be computed, and how fast.
TELLING_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
PACKAGES = (
    "paddlex",
    "paddleocr",
    "paddlepaddle",
    "onnxruntime-openvino",
    "onnxruntime",
    "ray",
    "opencv-contrib-python",
    "numpy",
)


def machine() -> dict[str, str]:
    """CPU, cores, memory, flags."""
    known = cpu.flags()
    return {
        "CPU": _cpu_model(),
        "cores": str(len(os.sched_getaffinity(0))),
        "flags": ", ".join(flag for flag in TELLING_FLAGS if flag in known) or "none of note",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
    }


def versions() -> dict[str, str]:
    """Python and the packages that matter."""
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
