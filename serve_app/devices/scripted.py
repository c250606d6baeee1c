"""Simulated readings from a file, for tests that run real engines on a real Ray cluster.

OCR_SERVE_SIMULATED_DEVICES names a JSON file, which is read anew for every reading:

    {
      "ram":  {"total_bytes": 8000000000, "used_bytes": 7000000000},
      "gpus": [
        {"uuid": "GPU-a", "total_bytes": 8000000000, "others_bytes": 1000000000},
        {"uuid": "GPU-b", "total_bytes": 8000000000, "used_bytes": 0}
      ]
    }

``used_bytes`` is the whole of what is used, whatever we hold. With ``others_bytes`` in its place
used is that plus what the reading replica's own engines hold, so that an unload shows. Either of
``ram`` and ``gpus`` may be missing: that kind is then read for real. CUDA_VISIBLE_DEVICES picks
from ``gpus`` by position or UUID. What an engine holds on a simulated GPU is its resident memory.

Writers must replace the file (``os.replace``), so that no reading sees half of it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from serve_app.devices.errors import GpuNotFound, SimulationInvalid
from serve_app.devices.gpu import visible_names
from serve_app.messages import DomainReading

if TYPE_CHECKING:
    from serve_app.devices.probe import MemoryProbe

log = logging.getLogger("ocr_serve.devices")

SIMULATED_DEVICES = "OCR_SERVE_SIMULATED_DEVICES"

Bytes = Annotated[int, Field(ge=0)]


class SimulatedMemory(BaseModel):
    """A domain; see the module's docstring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    total_bytes: Annotated[int, Field(gt=0)]
    used_bytes: Bytes | None = None
    others_bytes: Bytes | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> SimulatedMemory:
        if (self.used_bytes is None) == (self.others_bytes is None):
            raise ValueError("give either used_bytes or others_bytes")
        return self

    def reading(self, domain: str, kind: Literal["gpu", "ram"], ours: int) -> DomainReading:
        """As the device would tell it while our engines hold ``ours`` bytes."""
        if self.used_bytes is not None:
            used = self.used_bytes
        else:
            used = min((self.others_bytes or 0) + ours, self.total_bytes)
        return DomainReading(domain, kind, self.total_bytes, used, min(ours, used))


class SimulatedGpu(SimulatedMemory):
    """A GPU; its domain is "gpu:<uuid>"."""

    uuid: str


class SimulatedDevices(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ram: SimulatedMemory | None = None
    gpus: tuple[SimulatedGpu, ...] | None = None


class ScriptedProbe:
    """Reads the file; a kind of device that it does not name goes to the real probe."""

    def __init__(
        self, path: Path, visible: str | None, *, ram: MemoryProbe, gpu: MemoryProbe | None
    ) -> None:
        """``ram`` and ``gpu`` are the real ones; without ``gpu`` only RAM is read."""
        self._path, self._names = path, visible_names(visible)
        self._ram, self._gpu = ram, gpu
        log.warning("memory readings are simulated", extra={"file": str(path)})

    @property
    def reads_resident(self) -> bool:
        """Unless the GPU is a real one."""
        return self._gpu is None or self._load().gpus is not None

    def read(self, pids: Collection[int]) -> tuple[DomainReading, ...]:
        """The visible GPUs if this is a GPU replica, then the RAM.

        Raises:
            SimulationInvalid, GpuNotFound, and the errors of the real probes.
        """
        script = self._load()
        return (*self._read_gpus(script, pids), *self._read_ram(script, pids))

    def per_process(self, pids: Collection[int]) -> Mapping[int, int]:
        """Real: resident bytes, except on a GPU that is not simulated."""
        if self._gpu is not None and not self.reads_resident:
            return self._gpu.per_process(pids)
        return self._ram.per_process(pids)

    def close(self) -> None:
        """Close the real ones."""
        self._ram.close()
        if self._gpu is not None:
            self._gpu.close()

    def _load(self) -> SimulatedDevices:
        try:
            return SimulatedDevices.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError) as error:
            raise SimulationInvalid(f"{SIMULATED_DEVICES}={self._path}: {error}") from None

    def _read_gpus(
        self, script: SimulatedDevices, pids: Collection[int]
    ) -> tuple[DomainReading, ...]:
        if self._gpu is None:
            return ()
        if script.gpus is None:
            return self._gpu.read(pids)
        ours = sum(self._ram.per_process(pids).values())
        gpus = _visible(script.gpus, self._names)
        return tuple(gpu.reading(f"gpu:{gpu.uuid}", "gpu", ours) for gpu in gpus)

    def _read_ram(
        self, script: SimulatedDevices, pids: Collection[int]
    ) -> tuple[DomainReading, ...]:
        readings = self._ram.read(pids)
        if script.ram is None:
            return readings
        return tuple(script.ram.reading(it.domain, "ram", it.ours_bytes) for it in readings)


def _visible(
    gpus: Sequence[SimulatedGpu], names: tuple[str, ...] | None
) -> tuple[SimulatedGpu, ...]:
    if names is None:
        return tuple(gpus)
    chosen: list[SimulatedGpu] = []
    for name in names:
        if name.isdecimal():
            matches = list(gpus[int(name) : int(name) + 1])
        else:
            matches = [gpu for gpu in gpus if gpu.uuid.startswith(name)]
        if len(matches) != 1:
            raise GpuNotFound(f"{name} names {len(matches)} of {len(gpus)} simulated GPUs")
        chosen += matches
    return tuple(chosen)
