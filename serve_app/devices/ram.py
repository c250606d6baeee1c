"""A node's memory as a domain: its cgroup's limit if there is one, else the whole machine."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import psutil

from serve_app.devices import cgroup
from serve_app.devices.errors import DeviceError
from serve_app.messages import DomainReading


def host_memory() -> tuple[int, int]:
    """Bytes of the machine: total, and used = total - available, so without the page cache."""
    try:
        memory = psutil.virtual_memory()
    except (OSError, RuntimeError) as error:
        raise DeviceError(f"reading the machine's memory failed: {error}") from None
    return memory.total, memory.total - memory.available


class RamProbe:
    """Reads one domain, "ram:<node id>". Any thread."""

    #: See ``probe.MemoryProbe``.
    reads_resident = True

    def __init__(
        self,
        node_id: str,
        root: Path = Path("/"),
        host: Callable[[], tuple[int, int]] = host_memory,
    ) -> None:
        self._domain = f"ram:{node_id}"
        self._root, self._host = root, host

    def read(self, pids: Collection[int]) -> tuple[DomainReading, ...]:
        """One reading; the machine's own if the limit is above what it has."""
        total, used = self._host()
        limit = cgroup.tightest(self._root)
        if limit is not None and limit.limit_bytes < total:
            total, used = limit.limit_bytes, limit.used_bytes
        ours = min(sum(self.per_process(pids).values()), used)
        return (DomainReading(self._domain, "ram", total, used, ours),)

    def per_process(self, pids: Collection[int]) -> dict[int, int]:
        """Bytes that ending the process gives back: RssAnon + RssShmem (proc_pid_status(5)).

        Measured with two engines of the bundled PP-StructureV3 after two pages each, in MB:
        RSS 1399, PSS 1136, RssAnon 1072; ending them gave back 927 and 1038. RSS counts 326 MB of
        libraries and weights in every engine that are in memory once and stay in the page cache.
        PSS is close, but takes 16 to 70 ms per engine under its memory lock, against 0.2 ms.
        Engines have no child processes.
        """
        held = {pid: self._unshared_bytes(pid) for pid in pids}
        return {pid: value for pid, value in held.items() if value is not None}

    def close(self) -> None:
        """Nothing is held open."""

    def _unshared_bytes(self, pid: int) -> int | None:
        try:
            status = (self._root / f"proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        except OSError as error:
            raise DeviceError(f"reading the memory of process {pid} failed: {error}") from None
        fields = dict(line.split(":", 1) for line in status.splitlines() if line.startswith("Rss"))
        if not fields:  # a zombie
            return None
        return sum(int(fields[name].split()[0]) * 1024 for name in ("RssAnon", "RssShmem"))
