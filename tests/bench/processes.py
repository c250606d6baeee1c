"""Processes that contenders start: frozen while others are measured, found again, and ended.

Every process inherits one environment variable, by which even an orphan is found; nothing is ever
ended by name. Should the bench itself be killed, ``guard.py`` does the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil

TAG = "OCR_SERVE_BENCH_PROCESS"
SESSION = uuid.uuid4().hex

# Settings of this shell must not tilt the comparison: each contender sets its own.
_NOT_INHERITED = ("RAY_", "OMP_", "MKL_", "OPENBLAS_", "KMP_", "MALLOC_", "FLAGS_", "PADDLE_")


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without thread, allocator and Ray settings, plus ``extra``."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)}
    # Without the variable, PaddleX waits at import for model hubs that nobody needs here.
    return {**kept, "PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK": "True", **(extra or {})}


class Tree:
    """A command with all that it starts.

    Args:
        command: to run.
        log: where its stdout and stderr go.
        stop_signal: asks it to end.
        env: added to ``clean_environment()``.
        pass_fds: descriptors that it inherits.
        cwd: where it runs; None: here.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        cwd: Path | None = None,
    ) -> None:
        self._command, self._log, self._stop_signal = command, log, stop_signal
        self._pass_fds, self._cwd = pass_fds, cwd
        self._tag = f"{SESSION}/{uuid.uuid4().hex}"
        self._env = clean_environment({**(env or {}), TAG: self._tag})
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the command."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=self._env,
                cwd=self._cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=self._pass_fds,
                start_new_session=True,
                preexec_fn=_prepare_child,
            )

    @property
    def ended(self) -> bool:
        """Whether the command itself has ended."""
        return self._process is None or self._process.returncode is not None

    def members(self) -> list[psutil.Process]:
        """The command and everything below it."""
        if self._process is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            top = psutil.Process(self._process.pid)
            return [top, *top.children(recursive=True)]
        return []

    def last_words(self) -> str:
        """The end of its log, for messages."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-3000:]

    async def stop(self, timeout_s: float = 60.0) -> None:
        """Ask the command to end, wait, and kill what is left of the tree."""
        if self._process is None:
            return
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(self._stop_signal)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._process.wait(), timeout_s)
        kill_all(tagged(self._tag))
        await self._process.wait()


def tagged(prefix: str) -> list[psutil.Process]:
    """All processes whose tag begins so, orphans too."""
    return [process for process in psutil.process_iter() if _tag_of(process).startswith(prefix)]


def freeze(processes: Iterable[psutil.Process]) -> None:
    """Stop them from running; they keep their memory."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()


def thaw(processes: Iterable[psutil.Process]) -> None:
    """Let them run again."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """End these at once; psutil makes sure that a pid still means the same process."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """CPU time that these processes and their ended children have used so far."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def python(*arguments: str) -> list[str]:
    """This interpreter with arguments."""
    return [sys.executable, *arguments]


def _prepare_child() -> None:
    # A shell without job control leaves SIGINT ignored in what it starts.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _tag_of(process: psutil.Process) -> str:
    try:
        return str(process.environ().get(TAG, ""))
    except psutil.Error:  # gone, a zombie, or somebody else's
        return ""
