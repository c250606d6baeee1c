"""The GPUs that this process may use, each a memory domain of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import psutil

from serve_app.devices import nvml
from serve_app.devices.errors import DeviceError
from serve_app.messages import DomainReading

log = logging.getLogger("ocr_serve.devices")


def visible_names(value: str | None) -> tuple[str, ...] | None:
    """What CUDA_VISIBLE_DEVICES names: indexes, "GPU-…" and "MIG-…"; None for all.

    As in CUDA the list ends where an entry is neither ("-1", "", "NoDevFiles"), so that an empty
    value means none (CUDA programming guide, "CUDA environment variables").
    """
    if value is None:
        return None
    names: list[str] = []
    for entry in value.split(","):
        name = entry.strip()
        if not (name.isdecimal() or name.startswith(("GPU-", "MIG-"))):
            break
        names.append(name)
    return tuple(names)


@dataclass(frozen=True, slots=True)
class _Gpu:
    handle: nvml.Handle
    domain: str


class GpuProbe:
    """Reads the domains "gpu:<uuid>". Any thread, one at a time (others wait).

    NVML is started with the first reading and kept; after a failed reading it is shut down and the
    next one starts anew, which is what finds a GPU again after a reset or a new driver.

    Whose memory it is, is not always known. The driver may list no processes, or list ours without
    their memory (0 or "not available": WSL, and containers under some drivers, see
    NVIDIA/open-gpu-kernel-modules#614), or list pids of the host in a container with pids of its
    own (NVIDIA/nvidia-docker#1483; ``hostPID: true`` helps). Then ours counts as 0, ``per_process``
    leaves the process out, and the log says so once; ``used_bytes`` is right in all these cases.
    The replica then goes by what its engines' allocators tell (``worker/engine_memory.py``).
    """

    #: See ``probe.MemoryProbe``.
    reads_resident = False

    def __init__(self, visible: str | None) -> None:
        """``visible``: the value of CUDA_VISIBLE_DEVICES, None if it is not set.

        NVML counts in the order of PCI addresses, CUDA only with CUDA_DEVICE_ORDER=PCI_BUS_ID: on
        a machine with different GPUs, set that or name them by UUID.
        """
        self._names = visible_names(visible)
        self._lock = threading.Lock()
        self._session: nvml.Session | None = None
        self._gpus: tuple[_Gpu, ...] = ()
        self._said_unknown = False

    def read(self, pids: Collection[int]) -> tuple[DomainReading, ...]:
        """One reading per visible GPU, in CUDA's order.

        Raises:
            NvmlUnavailable, GpuNotFound, GpuLost, DeviceError.
        """
        return tuple(reading for reading, _ in self._read_all(pids))

    def per_process(self, pids: Collection[int]) -> dict[int, int]:
        """Device bytes over all visible GPUs; a pid is left out where they are not known."""
        total: dict[int, int] = {}
        for _, ours in self._read_all(pids):
            for pid, held in ours.items():
                total[pid] = total.get(pid, 0) + held
        return total

    def close(self) -> None:
        """Shut NVML down. May be called again, and a later reading starts it anew."""
        with self._lock:
            self._end_session()

    def _read_all(self, pids: Collection[int]) -> list[tuple[DomainReading, dict[int, int]]]:
        if self._names == ():
            return []
        with self._lock:
            try:
                session = self._session or self._begin_session()
                return [self._read_one(session, gpu, pids) for gpu in self._gpus]
            except DeviceError:
                self._end_session()
                raise

    def _begin_session(self) -> nvml.Session:
        self._session = session = nvml.Session()
        names = self._names
        if names is None:
            names = tuple(str(index) for index in range(session.count()))
        handles = [_find(session, name) for name in names]
        self._gpus = tuple(_Gpu(handle, f"gpu:{session.uuid(handle)}") for handle in handles)
        return session

    def _end_session(self) -> None:
        self._gpus = ()
        if self._session is not None:
            self._session.close()
            self._session = None

    def _read_one(
        self, session: nvml.Session, gpu: _Gpu, pids: Collection[int]
    ) -> tuple[DomainReading, dict[int, int]]:
        total, used = session.memory(gpu.handle)
        ours = self._ours(session.processes(gpu.handle), pids)
        held = min(sum(ours.values()), used)
        return DomainReading(gpu.domain, "gpu", total, used, held), ours

    def _ours(self, listed: Mapping[int, int] | None, pids: Collection[int]) -> dict[int, int]:
        if listed is None:
            self._say_unknown("the driver does not list processes")
            return {}
        ours = {pid: listed[pid] for pid in pids if pid in listed}
        if not all(ours.values()):
            self._say_unknown("the driver lists our processes without their memory")
        elif pids and not ours and not all(psutil.pid_exists(pid) for pid in listed):
            # Otherwise it is too early to tell: our engines may not have touched the GPU yet.
            self._say_unknown("the driver lists pids of another namespace (hostPID: true helps)")
        return {pid: held for pid, held in ours.items() if held}

    def _say_unknown(self, reason: str) -> None:
        if not self._said_unknown:
            self._said_unknown = True
            log.warning(
                "the driver does not tell our share of GPU memory", extra={"reason": reason}
            )


def _find(session: nvml.Session, name: str) -> nvml.Handle:
    return session.by_index(int(name)) if name.isdecimal() else session.by_uuid(name)
