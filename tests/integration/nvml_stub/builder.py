"""Builds the stub libnvidia-ml.so.1 and writes what it answers.

A process sees it if it was started with ``stub_environment``: pynvml loads the library by its bare
name, so the search path must be there before the process is. For one process or a Ray cluster.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("nvml_stub.c")
LIBRARY = "libnvidia-ml.so.1"
STATE = "state.txt"

NOT_AVAILABLE = 2**64 - 1  # NVML_VALUE_NOT_AVAILABLE
GPU_IS_LOST = 15
DRIVER_NOT_LOADED = 9
NOT_SUPPORTED = 3
UNKNOWN = 999


@dataclass(frozen=True, slots=True)
class StubProcess:
    """A process with a context on a GPU.

    Attributes:
        told_bytes: what NVML says instead of the truth, e.g. 0 or NOT_AVAILABLE.
        kind: "C" is listed as computing, "G" as drawing.
    """

    pid: int
    held_bytes: int
    told_bytes: int | None = None
    kind: str = "C"


@dataclass(frozen=True, slots=True)
class StubGpu:
    """A GPU, or a MIG instance of the GPU with index ``parent``."""

    uuid: str
    total_bytes: int
    processes: tuple[StubProcess, ...] = ()
    reserved_bytes: int = 0
    parent: int | None = None

    def lines(self) -> list[str]:
        """As nvml_stub.c reads them."""
        place = "gpu" if self.parent is None else f"mig {self.parent}"
        allocated = sum({it.pid: it.held_bytes for it in self.processes}.values())
        return [
            f"{place} {self.uuid} {self.total_bytes} {self.reserved_bytes} {allocated}",
            *(
                f"process {self.uuid} {it.pid} "
                f"{it.held_bytes if it.told_bytes is None else it.told_bytes} {it.kind}"
                for it in self.processes
            ),
        ]


@dataclass(frozen=True, slots=True)
class StubError:
    """The C function answers with this code, for one device or for all."""

    function: str
    code: int
    uuid: str = "*"


def compiler() -> str | None:
    """The C compiler, None if there is none."""
    return shutil.which("gcc") or shutil.which("cc")


def build_stub(directory: Path) -> Path:
    """Compile into ``directory`` and return it. Has no GPU until ``write_state``."""
    cc = compiler()
    assert cc is not None, "no C compiler; skip the test"
    flags = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    name = f"-Wl,-soname,{LIBRARY}"
    subprocess.run([cc, *flags, name, "-o", directory / LIBRARY, SOURCE], check=True)
    write_state(directory)
    return directory


def write_state(
    directory: Path, gpus: Sequence[StubGpu] = (), errors: Sequence[StubError] = ()
) -> None:
    """From now on NVML answers so, in every process that has the stub loaded."""
    lines = [line for gpu in gpus for line in gpu.lines()]
    lines += [f"error {it.function} {it.code} {it.uuid}" for it in errors]
    temporary = directory / f"{STATE}.new"
    temporary.write_text("".join(f"{line}\n" for line in lines))
    os.replace(temporary, directory / STATE)


def stub_environment(directory: Path) -> dict[str, str]:
    """Variables to add to a process's environment, for it to load the stub as NVML."""
    inherited = os.environ.get("LD_LIBRARY_PATH")
    path = os.pathsep.join([str(directory), inherited] if inherited else [str(directory)])
    return {"LD_LIBRARY_PATH": path, "OCR_NVML_STUB_STATE": str(directory / STATE)}
