"""Fakes of the devices that ship with the package, and the writer of simulated readings."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from serve_app.devices.errors import DeviceError
from serve_app.messages import DomainReading


@dataclass(slots=True)
class FakeDomain:
    """A domain to change between readings.

    Attributes:
        others_bytes: used by everybody else.
        processes: bytes by pid; ours or not is for the caller of ``read`` to say.
    """

    domain: str = "ram:node"
    kind: Literal["gpu", "ram"] = "ram"
    total_bytes: int = 1000
    others_bytes: int = 0
    processes: dict[int, int] = field(default_factory=dict)

    def reading(self, pids: Collection[int]) -> DomainReading:
        """As it is now."""
        used = self.others_bytes + sum(self.processes.values())
        ours = sum(self.processes.get(pid, 0) for pid in set(pids))
        return DomainReading(self.domain, self.kind, self.total_bytes, used, ours)


class FakeProbe:
    """A ``MemoryProbe`` over fake domains; the first is the replica's own device.

    Attributes:
        error: raised by the next readings instead of an answer, until set to None.
        reads: calls of ``read``.
        closed: whether ``close`` was called.
    """

    def __init__(self, *domains: FakeDomain) -> None:
        self.domains = domains or (FakeDomain(),)
        self.reads_resident = self.domains[0].kind == "ram"
        self.error: DeviceError | None = None
        self.reads = 0
        self.closed = False

    def read(self, pids: Collection[int]) -> tuple[DomainReading, ...]:
        """Every domain as it is now."""
        self.reads += 1
        if self.error is not None:
            raise self.error
        return tuple(domain.reading(pids) for domain in self.domains)

    def per_process(self, pids: Collection[int]) -> dict[int, int]:
        """Of the first domain."""
        if self.error is not None:
            raise self.error
        processes = self.domains[0].processes
        return {pid: processes[pid] for pid in pids if pid in processes}

    def close(self) -> None:
        """Remember it."""
        self.closed = True


def write_simulated_devices(
    path: Path,
    *,
    ram: Mapping[str, int] | None = None,
    gpus: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Write the file of OCR_SERVE_SIMULATED_DEVICES in one step; see devices/scripted.py.

    What is None is read for real.
    """
    parts = {"ram": ram, "gpus": gpus}
    content = {name: part for name, part in parts.items() if part is not None}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w") as file:
        json.dump(content, file)
    os.replace(temporary, path)  # in the same folder, so readers see the old or the new file
