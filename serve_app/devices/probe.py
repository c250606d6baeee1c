"""Which probe reads the memory for a replica: its own device, and its node's RAM."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

from serve_app.devices.gpu import GpuProbe
from serve_app.devices.ram import RamProbe
from serve_app.devices.scripted import SIMULATED_DEVICES, ScriptedProbe
from serve_app.messages import DeviceKind, DomainReading


class MemoryProbe(Protocol):
    """Reads memory domains. Blocks for milliseconds: call it in a thread.

    Every reading is of now; nothing is kept between two but open handles.
    """

    @property
    def reads_resident(self) -> bool:
        """Whether what a process holds on the replica's own device is its resident memory."""
        ...

    def read(self, pids: Collection[int]) -> tuple[DomainReading, ...]:
        """Every domain, the one of the replica's own device first.

        Args:
            pids: our engines' processes; ``ours_bytes`` is their share. Unknown pids hold nothing.

        Raises:
            DeviceError: a device could not be read; the others are not told either.
        """
        ...

    def per_process(self, pids: Collection[int]) -> Mapping[int, int]:
        """Bytes that each process holds on the replica's own device (GPU: device bytes).

        A process that is gone, or of which the device does not tell, is left out.

        Raises:
            DeviceError: as ``read``.
        """
        ...

    def close(self) -> None:
        """Let go of handles. May be called again."""
        ...


class CombinedProbe:
    """Several probes as one; the first is the replica's own device."""

    def __init__(self, own: MemoryProbe, *others: MemoryProbe) -> None:
        self._probes = (own, *others)

    @property
    def reads_resident(self) -> bool:
        """Of the first."""
        return self._probes[0].reads_resident

    def read(self, pids: Collection[int]) -> tuple[DomainReading, ...]:
        """The readings of all, in their order."""
        return tuple(reading for probe in self._probes for reading in probe.read(pids))

    def per_process(self, pids: Collection[int]) -> Mapping[int, int]:
        """Of the first."""
        return self._probes[0].per_process(pids)

    def close(self) -> None:
        """Close all."""
        for probe in self._probes:
            probe.close()


def probe_for(
    device: DeviceKind, node_id: str, environ: Mapping[str, str] | None = None
) -> MemoryProbe:
    """The probe of a replica: a GPU replica reads its GPUs and the node's RAM, others the RAM.

    Reads CUDA_VISIBLE_DEVICES, and OCR_SERVE_SIMULATED_DEVICES (see scripted.py), which takes the
    place of real readings. No device is touched before the first reading.
    """
    environ = os.environ if environ is None else environ
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    ram = RamProbe(node_id)
    gpu = GpuProbe(visible) if device == "gpu" else None
    if script := environ.get(SIMULATED_DEVICES):
        return ScriptedProbe(Path(script), visible, ram=ram, gpu=gpu)
    return CombinedProbe(gpu, ram) if gpu is not None else ram
