"""The private folder of one run of Ray, for its sessions: sockets, logs, spilled objects.

    <temporary files>/ocr-serve-<uid>/   0700; it must be a folder of this user
        .lock                            held while a run's folder is made or swept
        <random>/                        0700; one run
        <random>/.owner                  locked by its process for as long as it lives
        <random>/ray/                    Ray's own

Ray opens what it makes to everybody (0777, so that users can share a cluster), below a folder that
anybody may have made first. Not in $XDG_RUNTIME_DIR: that is memory, and Ray spills objects and
writes logs there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path

from serve_app.weights.cache_lock import exclusive
from serve_app.weights.errors import CacheBusy

# sockaddr_un(7): a path of 108 bytes, its end included.
SOCKET_PATH_BYTES = 107
# The longest that Ray puts below its temporary folder; a pid has seven digits at most.
LONGEST_SOCKET = "/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
# What is left for the folder of a run, with Ray's own folder `ray` in it.
MAX_PATH_BYTES = SOCKET_PATH_BYTES - len(LONGEST_SOCKET) - len("/ray")
FALLBACK = Path("/tmp")  # nosec B108  # what is made in it is checked

REMOVE_TIMEOUT_S = 3.0
LOCK_TIMEOUT_S = 30.0  # another start that removes the files of a dead run
_OWNER, _LOCK = ".owner", ".lock"


class RuntimeFolderError(RuntimeError):
    """There is no place for Ray's files that is private and short enough. Args: the message."""


class RuntimeFolder:
    """A run's folder, held until ``close``. Made by ``open_folder``."""

    def __init__(self, path: Path, owner: int) -> None:
        self.path = path
        self._owner = owner

    @property
    def ray(self) -> Path:
        """What Ray is given as its temporary folder."""
        return self.path / "ray"

    def close(self, *, keep: bool) -> None:
        """Remove it; ``keep``: leave that to the next start, for a look at the logs."""
        if not keep:
            _remove(self.path)
        os.close(self._owner)


def open_folder(base: Path | None = None) -> RuntimeFolder:
    """A new folder for this process, after those of dead ones have been removed.

    ``base``: where this user's folder is, or is to be; default: the system's folder for temporary
    files, or /tmp where that one's path is too long.

    Raises:
        RuntimeFolderError: no folder could be made, or it is not this user's alone.
    """
    home = _home(base)
    try:
        with exclusive(home / _LOCK, LOCK_TIMEOUT_S):
            _sweep(home)
            path = Path(tempfile.mkdtemp(dir=home, prefix=""))  # 0700, and eight random letters
            owner = os.open(path / _OWNER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (OSError, CacheBusy) as error:
        raise RuntimeFolderError(f"no folder for Ray's files: {error}") from None
    return RuntimeFolder(path, owner)


def _home(base: Path | None) -> Path:
    """This user's folder, made if it is not there."""
    name, random_bytes = f"ocr-serve-{os.getuid()}", len("/abcdefgh")
    places = [base] if base is not None else [Path(tempfile.gettempdir()), FALLBACK]
    short = [p for p in places if len(os.fsencode(p / name)) + random_bytes <= MAX_PATH_BYTES]
    if not short:
        raise RuntimeFolderError(
            f"{places[0] / name} is too long a path: Ray's sockets in it may have "
            f"{SOCKET_PATH_BYTES} bytes, which leaves {MAX_PATH_BYTES - random_bytes} for it; "
            "set TMPDIR to a shorter one"
        )
    home = short[0] / name
    try:
        home.mkdir(mode=0o700, exist_ok=True)
        facts = home.lstat()
    except OSError as error:
        raise RuntimeFolderError(f"no folder for Ray's files: {error}") from None
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise RuntimeFolderError(
            f"{home} is not a folder of yours: remove it, or set TMPDIR to another place"
        )
    home.chmod(0o700)
    return home


def _sweep(home: Path) -> None:
    """Remove the folders whose owner is dead: nobody holds their lock."""
    for path in home.iterdir():
        if path.is_dir() and not path.is_symlink() and _is_orphan(path):
            shutil.rmtree(path, ignore_errors=True)


def _is_orphan(path: Path) -> bool:
    try:
        descriptor = os.open(path / _OWNER, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return True  # its process ended between making the folder and this file
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _remove(path: Path) -> None:
    """Ray's last processes may still write a log line: tried again until a deadline."""
    deadline = time.monotonic() + REMOVE_TIMEOUT_S
    while True:
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists() or time.monotonic() > deadline:
            return
        time.sleep(0.1)
