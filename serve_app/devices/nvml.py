"""NVML through ``pynvml``, with typed errors and no more than the probe needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import pynvml

from serve_app.devices.errors import DeviceError, GpuLost, GpuNotFound, NvmlUnavailable

Handle = Any  # an opaque pointer of NVML's; valid while a session is open

_ERRORS: Mapping[int, type[DeviceError]] = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: NvmlUnavailable,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: NvmlUnavailable,
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: NvmlUnavailable,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: NvmlUnavailable,
    pynvml.NVML_ERROR_NOT_FOUND: GpuNotFound,
    pynvml.NVML_ERROR_GPU_NOT_FOUND: GpuNotFound,
    pynvml.NVML_ERROR_GPU_IS_LOST: GpuLost,
    pynvml.NVML_ERROR_RESET_REQUIRED: GpuLost,
}
_NOT_TOLD = (
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_NO_PERMISSION,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
)


class Session:
    """From nvmlInit to nvmlShutdown. NVML counts: each session must be closed, and once."""

    def __init__(self) -> None:
        with _typed("starting NVML"):
            pynvml.nvmlInit()

    def close(self) -> None:
        """Handles are void afterwards. Never raises: after a driver's end NVML is shut already."""
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()

    def count(self) -> int:
        """GPUs that NVML sees; in a container those that it was given."""
        with _typed("counting GPUs"):
            return int(pynvml.nvmlDeviceGetCount())

    def by_index(self, index: int) -> Handle:
        """The GPU of this index in the order of PCI addresses; in MIG mode its first instance."""
        if index >= self.count():
            raise GpuNotFound(f"there is no GPU {index}: NVML sees {self.count()}")
        with _typed(f"finding GPU {index}"):
            return _usable(pynvml.nvmlDeviceGetHandleByIndex(index))

    def by_uuid(self, uuid: str) -> Handle:
        """The MIG instance ("MIG-…") or GPU ("GPU-…"; its first characters are enough)."""
        with _typed(f"finding {uuid}"):
            try:
                return _usable(pynvml.nvmlDeviceGetHandleByUUID(uuid))
            except (pynvml.NVMLError_NotFound, pynvml.NVMLError_InvalidArgument):
                pass  # not a whole UUID
        matches = [index for index in range(self.count()) if self._uuid_of(index).startswith(uuid)]
        if len(matches) != 1:
            raise GpuNotFound(f"{uuid} names {len(matches)} of the {self.count()} GPUs of NVML")
        return self.by_index(matches[0])

    def uuid(self, handle: Handle) -> str:
        """As nvidia-smi writes it."""
        with _typed("reading a GPU's UUID"):
            return str(pynvml.nvmlDeviceGetUUID(handle))

    def memory(self, handle: Handle) -> tuple[int, int]:
        """Bytes: total, and used = total - free.

        So what the driver reserves for itself is used, whichever version of the structure says so:
        version 1 has it in ``used``, version 2 beside it (nvml.h, nvmlMemory_v2_t).
        """
        with _typed("reading a GPU's memory"):
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        return int(memory.total), int(memory.total - memory.free)

    def processes(self, handle: Handle) -> dict[int, int] | None:
        """Device bytes by pid, both as the driver tells them; see gpu.py for what that is worth.

        Returns:
            None if the driver does not list processes; 0 bytes where it lists one without its
            memory.
        """
        try:
            computing = pynvml.nvmlDeviceGetComputeRunningProcesses_v3(handle)
        except pynvml.NVMLError as error:
            if error.value in _NOT_TOLD:
                return None
            raise _translated("listing a GPU's processes", error) from None
        drawing: list[Any] = []
        with suppress(pynvml.NVMLError):  # not every GPU can draw
            drawing = pynvml.nvmlDeviceGetGraphicsRunningProcesses_v3(handle)
        held: dict[int, int] = {}
        for process in (*computing, *drawing):
            # The larger one, not the sum: who does both is in both lists with its whole memory.
            held[process.pid] = max(process.usedGpuMemory or 0, held.get(process.pid, 0))
        return held

    def _uuid_of(self, index: int) -> str:
        """Empty for a GPU that does not answer: the one looked for may be another."""
        try:
            return str(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(index)))
        except pynvml.NVMLError:
            return ""


def _usable(gpu: Handle) -> Handle:
    """The GPU itself, or in MIG mode its first instance.

    CUDA takes the first one if it sees several (MIG user guide, "CUDA visible devices").
    """
    try:
        mode, _ = pynvml.nvmlDeviceGetMigMode(gpu)
    except pynvml.NVMLError:  # most GPUs have no such mode, and an instance has none
        return gpu
    if mode != pynvml.NVML_DEVICE_MIG_ENABLE:
        return gpu
    for number in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
        with suppress(pynvml.NVMLError_NotFound):  # numbers have gaps
            return pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, number)
    raise GpuNotFound("the GPU is in MIG mode and has no instance")


def _translated(doing: str, error: Any) -> DeviceError:
    return _ERRORS.get(error.value, DeviceError)(f"{doing} failed: {error} (NVML {error.value})")


@contextmanager
def _typed(doing: str) -> Iterator[None]:
    try:
        yield
    except pynvml.NVMLError as error:
        raise _translated(doing, error) from None
