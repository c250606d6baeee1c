"""Which environment a configuration needs on this machine: cpu, or the one of its NVIDIA driver.

Standard library only: it runs before anything is installed, on the machine's own Python. Prints the
name of a lock in requirements/ (``--name auto`` looks; another name is taken as it is), or a line
for each thing that is missing.
"""

from __future__ import annotations

import argparse
import ctypes
import re
import sys
from collections.abc import Callable
from pathlib import Path

import check_system

# (lock, CUDA version that the driver must speak, oldest driver that does), the best first.
BUILDS = (("gpu", (13, 0), 580), ("gpu-cuda12", (12, 0), 525))
GPU_POOL = re.compile(r"^\s+device:\s*[\"']?gpu[\"']?\s*(#.*)?$", re.MULTILINE)
# Of CUDA's driver interface.
SUCCESS, NO_DEVICE = 0, 100


class NoGpu(Exception):
    """There is none that could be used; the message says why and what to do."""


def cuda_version(load: Callable[[str], ctypes.CDLL] = ctypes.CDLL) -> tuple[int, int]:
    """The newest CUDA version that the driver speaks.

    Raises:
        NoGpu: there is no driver, or it has no GPU.
    """
    try:
        driver = load("libcuda.so.1")
    except OSError:
        raise NoGpu(
            "no NVIDIA driver (libcuda.so.1): install one of version "
            f"{BUILDS[0][2]} or newer; in a container, start it with NVIDIA's container toolkit"
        ) from None
    if (code := driver.cuInit(0)) == NO_DEVICE:
        raise NoGpu("the NVIDIA driver finds no GPU: none is here, or none is given to us")
    if code != SUCCESS:
        raise NoGpu(f"the NVIDIA driver does not start (cuInit: CUDA error {code})")
    version = ctypes.c_int()
    if (code := driver.cuDriverGetVersion(ctypes.byref(version))) != SUCCESS:
        raise NoGpu(f"the NVIDIA driver tells no version (CUDA error {code})")
    return version.value // 1000, version.value % 1000 // 10


def lock_for(version: tuple[int, int]) -> str:
    """The lock whose CUDA libraries this driver can run.

    Raises:
        NoGpu: the driver is too old.
    """
    for name, needed, _ in BUILDS:
        if version >= needed:
            return name
    _, needed, driver = BUILDS[-1]
    raise NoGpu(
        f"the NVIDIA driver is too old: it speaks CUDA {version[0]}.{version[1]}, and "
        f"{needed[0]}.{needed[1]} is needed (driver {driver} or newer)"
    )


def find(config: Path) -> tuple[str, list[str]]:
    """The lock for this configuration here, and what is missing (then the lock means nothing)."""
    if not GPU_POOL.search(config.read_text(encoding="utf-8")):
        return "cpu", []
    missing = check_system.python_problems(gpu=True)
    try:
        return lock_for(cuda_version()), missing
    except NoGpu as problem:
        return "gpu", [str(problem), *missing]


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("config", type=Path)
    parser.add_argument("--name", default="auto")
    options = parser.parse_args()
    try:
        name, missing = (options.name, []) if options.name != "auto" else find(options.config)
    except OSError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    if missing:
        for problem in missing:
            print(f"set-up: {problem}", file=sys.stderr)
        without = f"`make serve EXTRA=cpu CONFIG={options.config}` if its GPU pool may be empty"
        print(f"set-up: without a GPU: {without}, else `make serve`", file=sys.stderr)
        return 1
    print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
