"""The locks on a process that parses one untrusted file (``documents/parser_host.py``).

Prepared once in the host, entered by each process that it forks, after it has the file and before
it looks at it. A layer that is not there is named by ``missing``, and the others hold.
"""

from __future__ import annotations

import os
import resource
import site
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from serve_app.sandbox import kernel, landlock, seccomp
from serve_app.sandbox.kernel import Unavailable
from serve_app.sandbox.syscalls import Architecture, this_architecture

# Where PDFium looks for the fonts that a PDF names and does not bring (CFX_LinuxFontInfo).
FONT_FOLDERS = (
    "/usr/share/fonts",
    "/usr/share/X11/fonts",
    "/usr/local/share/fonts",
)
MAX_DESCRIPTORS = 64
# Decoders fail softly where memory is refused, and the page would look sound. So the kernel's limit
# is above ours by the largest single mapping, which another lock bounds: who was refused memory has
# passed our limit before, and ``used_bytes`` tells.
SLACK = 4  # a quarter


@dataclass(frozen=True, slots=True)
class ParserLimits:
    """Of one file or page.

    Attributes:
        memory_bytes: address space beyond what the process had when it was given the file; a
            quarter more is where the kernel refuses.
        cpu_s: seconds of CPU.
        answer_bytes: of the largest file that it may write, which is its answer.
    """

    memory_bytes: int
    cpu_s: int
    answer_bytes: int

    @property
    def largest_mapping_bytes(self) -> int:
        """Of a single piece of memory."""
        return self.memory_bytes // SLACK

    @property
    def hard_memory_bytes(self) -> int:
        """The most that it can ever take."""
        return self.memory_bytes + self.largest_mapping_bytes


class ParserSandbox:
    """The layers that this kernel has."""

    def __init__(self, limits: ParserLimits) -> None:
        self.limits = limits
        #: What could not be had, for the log.
        self.missing: list[str] = []
        self._rules: landlock.Ruleset | None = None
        self._machine: Architecture | None = None
        try:
            self._rules = landlock.Ruleset(read=readable_paths(), scoped=True)
            self.missing += self._rules.missing
        except Unavailable as why:
            self.missing.append(str(why))
        try:
            self._machine = this_architecture()
            self._filter = seccomp.parser_filter(self._machine, limits.largest_mapping_bytes)
        except Unavailable as why:
            self.missing.append(str(why))

    def enter(self) -> MemoryUse:
        """Lock this process in, for good. What fails now is added to ``missing``."""
        limits = self.limits
        use = MemoryUse()
        self._try(kernel.no_new_privileges)
        self._try(kernel.not_dumpable)
        kernel.limit(
            {
                resource.RLIMIT_AS: use.start_bytes + limits.hard_memory_bytes,
                resource.RLIMIT_CPU: (limits.cpu_s, limits.cpu_s + 1),
                resource.RLIMIT_CORE: 0,
                resource.RLIMIT_FSIZE: limits.answer_bytes,
                resource.RLIMIT_NOFILE: MAX_DESCRIPTORS,
            }
        )
        if self._rules is not None:
            self._try(self._rules.enter)
        if self._machine is not None:
            machine = self._machine
            self._try(lambda: seccomp.install(machine, self._filter))
        return use

    def _try(self, lock: Callable[[], None]) -> None:
        try:
            lock()
        except (Unavailable, OSError) as why:
            self.missing.append(str(why))


class MemoryUse:
    """Address space of this process, readable to the end: its file is opened before the locks."""

    def __init__(self) -> None:
        self._status = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
        self.start_bytes = self._field(b"VmSize:")

    def used_bytes(self) -> int:
        """The most that was taken beyond the start. The kernel resets its mark with a fork."""
        return max(self._field(b"VmPeak:") - self.start_bytes, 0)

    def _field(self, name: bytes) -> int:
        status = os.pread(self._status, 4096, 0)
        return int(status.partition(name)[2].split(None, 1)[0]) * 1024


def readable_paths() -> list[Path]:
    """The interpreter's own files, the packages', and the system's fonts: nothing of anybody's.

    Of a folder that is on the path because this very package is in it, only the package.
    """
    package = Path(__file__).resolve().parents[1]
    libraries = {
        sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")
    }
    libraries |= {*site.getsitepackages(), f"{sys.base_prefix}/lib", f"{sys.prefix}/lib"}
    system = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
    places = (*libraries, *system, *FONT_FOLDERS, "/etc/ld.so.cache", "/dev/urandom", "/dev/null")
    return [package, *(Path(place) for place in places)]
