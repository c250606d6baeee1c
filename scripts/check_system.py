"""What the machine must bring before the locked requirements can work, named with its remedy.

Standard library only: it runs before anything is installed. ``--apt`` prints the apt packages
that are missing, one a line, with ``--tests`` those of programs that only tests run, too;
``--imports`` is for the finished environment and loads the native modules for real.
"""

from __future__ import annotations

import argparse
import ctypes
import glob
import importlib
import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path

SUPPORTED_PYTHONS = ((3, 10), (3, 11), (3, 12))
# Of onnxruntime-gpu.
GPU_PYTHONS = ((3, 11), (3, 12))
# The newest manylinux tag among the locked wheels is 2_28.
MINIMUM_GLIBC = (2, 28)

# Found with ldd over the wheels' own libraries: what they need and do not carry themselves.
SYSTEM_LIBRARIES = (
    ("libGL.so.1", "libgl1", "opencv-contrib-python"),
    ("libgthread-2.0.so.0", "libglib2.0-0", "opencv-contrib-python"),
    ("libgomp.so.1", "libgomp1", "paddlepaddle"),
    ("libstdc++.so.6", "libstdc++6", "ray, paddlepaddle"),
)


# Programs that tests run, and skip themselves without; their packages.
TEST_PROGRAMS = (
    ("chromium", "chromium"),
    ("pdftotext", "poppler-utils"),
    ("postgres", "postgresql"),
    ("promtool", "prometheus"),
    ("redis-server", "redis-server"),
)
# Debian keeps some of them out of PATH, by version.
PROGRAM_FOLDERS = "/usr/lib/postgresql/*/bin"


def python_problems(*, gpu: bool = False) -> list[str]:
    """Problems with this interpreter; ``gpu``: for an environment with onnxruntime-gpu."""
    version, possible = sys.version_info[:2], GPU_PYTHONS if gpu else SUPPORTED_PYTHONS
    if version in possible:
        return []
    supported = ", ".join(f"{major}.{minor}" for major, minor in possible)
    return [
        f"Python {version[0]}.{version[1]} ({sys.executable}) is not one of {supported}: "
        "name another one, as in `make PYTHON=python3.11 serve`"
    ]


def platform_problems(cpu_info: Path = Path("/proc/cpuinfo")) -> list[str]:
    """Problems that no package can solve: the wheels are not made for this machine."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return [
            f"the lock is for Linux on x86-64, this is {sys.platform} on {platform.machine()}: "
            "use a container (paddlepaddle has no wheel for this machine)"
        ]
    problems = []
    library, version = platform.libc_ver()
    if library != "glibc" or tuple(map(int, version.split(".")[:2])) < MINIMUM_GLIBC:
        needed = ".".join(map(str, MINIMUM_GLIBC))
        problems.append(f"glibc {needed} or newer is needed, this is {library or 'not glibc'}")
    # paddlepaddle's wheel ends with an illegal instruction where there is no AVX.
    if cpu_info.exists() and " avx" not in cpu_info.read_text(encoding="utf-8", errors="replace"):
        problems.append("the processor has no AVX, which paddlepaddle's wheel needs")
    return problems


def missing_packages() -> list[tuple[str, str]]:
    """(what is missing and for whom, its apt package) of everything apt can bring."""
    missing = []
    for library, package, user in SYSTEM_LIBRARIES:
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append((f"{library} ({user} needs it)", package))
    # Debian splits both off Python; without ensurepip a venv has no pip.
    if any(importlib.util.find_spec(name) is None for name in ("venv", "ensurepip")):
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        missing.append((f"Python's venv module ({sys.executable})", f"python{version}-venv"))
    return missing


def missing_for_tests() -> list[str]:
    """The apt packages of programs that only tests run."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *glob.glob(PROGRAM_FOLDERS)])
    return [
        package for program, package in TEST_PROGRAMS if shutil.which(program, path=path) is None
    ]


def problems(*, gpu: bool = False) -> list[str]:
    """Everything that keeps set-up from working here, as messages with the remedy."""
    found = python_problems(gpu=gpu) + platform_problems()
    missing = missing_packages()
    found += [f"missing: {what}, in the apt package {package}" for what, package in missing]
    if missing:
        packages = " ".join(package for _, package in missing)
        found.append(f"remedy: sudo apt-get update && sudo apt-get install -y {packages}")
    return found


def import_problems(*, gpu: bool = False) -> list[str]:
    """Load what is native in the finished environment; for the environment's own Python."""
    provider, package = (
        ("CUDAExecutionProvider", "onnxruntime-gpu")
        if gpu
        else ("OpenVINOExecutionProvider", "onnxruntime-openvino")
    )
    found = []
    for name in ("cv2", "onnxruntime", "paddle", "ray"):
        try:
            importlib.import_module(name)
        except Exception as error:
            found.append(f"import {name}: {type(error).__name__}: {error}")
    runtime = sys.modules.get("onnxruntime")
    if runtime and provider not in runtime.get_available_providers():
        found.append(
            f"onnxruntime has no {provider}: another package was installed over "
            f"{package}; remove the environment (make clean) and start again"
        )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--apt", action="store_true", help="print the missing apt packages only")
    parser.add_argument("--tests", action="store_true", help="with --apt: those of tests, too")
    parser.add_argument("--imports", action="store_true", help="load the installed native modules")
    parser.add_argument("--gpu", action="store_true", help="of an environment for GPUs")
    options = parser.parse_args()
    if options.apt:
        packages = [package for _, package in missing_packages()]
        print(*packages, *(missing_for_tests() if options.tests else ()), sep="\n")
        return 0
    found = (import_problems if options.imports else problems)(gpu=options.gpu)
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
