"""Temporary folders that name their owner, so that those of killed processes can be swept.

``ocr-serve.<pid namespace>.<pid>.<start>.<random>`` in the system's folder for temporary files. The
start time tells two processes with the same pid apart; the namespace keeps containers that share
the folder out of each other's way, since a pid says nothing about another namespace.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = re.compile(r"ocr-serve\.(?P<namespace>\d+)\.(?P<pid>\d+)\.(?P<start>\d+)\..+")

# Fields of /proc/<pid>/stat after the command's name (proc(5): the third and the 22nd of all).
_STATE, _START = 0, 19


@contextmanager
def temp_folder() -> Iterator[Path]:
    """An empty folder of this process, removed at the end of the block."""
    pid = os.getpid()
    prefix = f"ocr-serve.{_namespace()}.{pid}.{_start_of(pid)}."
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        yield Path(folder)


def sweep() -> int:
    """Remove the folders of this user's dead processes, as far as that goes; how many.

    Safe beside other servers and other sweeps: an owner that is dead does not come back.
    """
    try:
        orphans = [path for path in Path(tempfile.gettempdir()).iterdir() if _is_orphan(path)]
    except OSError:  # a folder that cannot be listed is no reason not to start
        return 0
    for path in orphans:
        shutil.rmtree(path, ignore_errors=True)
    return len(orphans)


def _is_orphan(path: Path) -> bool:
    name = _NAME.fullmatch(path.name)
    if name is None or int(name["namespace"]) != _namespace():
        return False
    try:
        facts = path.lstat()
    except FileNotFoundError:  # another sweep was faster
        return False
    ours = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid()
    return ours and _start_of(int(name["pid"])) != int(name["start"])


def _start_of(pid: int) -> int | None:
    """When the process started, in clock ticks since the boot; None if it is dead."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = line.rpartition(")")[2].split()  # the command may hold spaces and parentheses
    return None if fields[_STATE] in "ZX" else int(fields[_START])


def _namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino
