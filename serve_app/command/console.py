"""What ``ocr-serve run`` says in a terminal, and the file for all else that is said.

Ray, Serve and the libraries write to this process's stdout and stderr whatever they think of, pages
of it. People get a dozen lines; everything goes to a file, which does not grow beyond
``MAX_BYTES`` and one older part of it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

MAX_BYTES = 64 * 2**20
LOOK_S = 30.0


class Console:
    """The terminal. Before ``divert`` it is what it always was."""

    def __init__(self) -> None:
        self._out: TextIO | None = None
        self._err: TextIO | None = None
        self.log: Path | None = None

    def say(self, *lines: str) -> None:
        """To whoever started the command."""
        _print(self._out or sys.stdout, lines)

    def fail(self, *lines: str) -> int:
        """Why it ends; the exit code for that."""
        if self.log is not None:
            lines = (*lines, f"all that was said: {self.log}")
        _print(self._err or sys.stderr, lines)
        return 1

    def divert(self, log: Path) -> None:
        """From here on only ``say`` and ``fail`` reach the terminal; children inherit that.

        Raises:
            OSError: the file cannot be written.
        """
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.replace(log, _older(log))
        # Appended to: several processes write, and it is cut from the front.
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        sys.stdout.flush()
        sys.stderr.flush()
        self._out = os.fdopen(os.dup(1), "w", buffering=1)
        self._err = os.fdopen(os.dup(2), "w", buffering=1)
        os.dup2(file, 1)
        os.dup2(file, 2)
        os.close(file)
        self.log = log
        threading.Thread(target=_bound, args=(log,), name="log-bound", daemon=True).start()


def default_log(port: int, environ: Mapping[str, str]) -> Path:
    """Of a server on this port: below the user's folder for state."""
    home = Path(environ.get("HOME") or Path.home())
    state = environ.get("XDG_STATE_HOME") or home / ".local" / "state"
    return Path(state) / "ocr-serve" / "log" / f"{port}.log"


def cut(log: Path, max_bytes: int = MAX_BYTES) -> bool:
    """Move what is in the file to its older part if it is too much; whether it was."""
    if log.stat().st_size <= max_bytes:
        return False
    shutil.copyfile(log, _older(log))
    os.truncate(log, 0)
    return True


def _older(log: Path) -> Path:
    return log.with_name(log.name + ".1")


def _bound(log: Path) -> None:
    wait = threading.Event().wait
    while not wait(LOOK_S):
        try:
            cut(log)
        except OSError as error:  # it was moved away, or the disk is full: nothing to cut
            print(f"ocr-serve: the log is not bounded: {error}", file=sys.stderr, flush=True)
            return


def _print(stream: TextIO, lines: tuple[str, ...]) -> None:
    print("\n".join(f"ocr-serve: {line}" for line in lines), file=stream, flush=True)
