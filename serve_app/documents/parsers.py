"""The parent side of parsing: each file or page is parsed by a process of its own, which then ends.

A host (``parser_host.py``) is started when first needed, forks those processes, and is ended when
nothing was asked of it for a while. Needs a running asyncio loop; never blocks it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from serve_app.child import channel
from serve_app.child.channel import Buffer, SealedFile
from serve_app.child.process import GONE_WITHIN_S, ChildFailure, ChildProcess, JobFailed, failure
from serve_app.sandbox.parser import ParserLimits

log = logging.getLogger("ocr_serve.parsers")

HOST = "serve_app.documents.parser_host"
START_TIMEOUT_S = 30.0
STOP_GRACE_S = 0.5
# A fork takes milliseconds.
FORK_TIMEOUT_S = 10.0
ATTEMPTS = 2
# Who takes longer leaves the CPU to the others: most files are read within milliseconds.
PATIENCE_S = 1.0
SLOW_NICENESS = 10
# Of a process that ended under a file: what had taken half of what it may had most likely run out.
_LIKELY_MEMORY = 2
# No pools of threads, and one heap: a thread's own would reserve more than a file may take.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
}
# What the kernel sends at a limit; and what nobody sends himself.
_CPU_LIMIT, _MAPPING_LIMIT = -signal.SIGXCPU, -signal.SIGSYS
_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)


class ParserFailure(Exception):
    """Base of what can go wrong; ``reader.py`` and ``renderer.py`` map it to typed errors."""


class ParserUnavailable(ParserFailure):
    """No process could be had, or it was ended from outside, twice."""


class OutOfMemory(ParserFailure):
    """It took more memory than it may. Args: bytes that it took at least."""


class OutOfTime(ParserFailure):
    """It gave no answer in time, and was ended. Args: seconds."""


class Crashed(ParserFailure):
    """It ended, raised or sent garbage under the file."""


class _Lost(Exception):
    """The process or its host was ended by somebody else; the file is not to blame."""


class Parsers:
    """Runs jobs, each in a process of its own.

    Args:
        name: of the host, for the log.
        factory: import path of what makes the handler of a job (``header_parser.py``).
        spec: for the factory.
        limits: of each job.
        idle_timeout_s: the host is ended after this long without a job.
    """

    def __init__(
        self,
        name: str,
        spec: Mapping[str, Any],
        limits: ParserLimits,
        *,
        idle_timeout_s: float,
        factory: str,
    ) -> None:
        self._name, self._factory = name, factory
        self._spec = {**spec, "parser_limits": asdict(limits)}
        self._limits = limits
        self._idle_timeout_s = idle_timeout_s
        self._starting = asyncio.Lock()
        self._host: ChildProcess | None = None
        self._jobs = 0
        self._closed = False
        self._expiry: asyncio.TimerHandle | None = None
        self._endings: set[asyncio.Task[object]] = set()

    @property
    def host_pid(self) -> int | None:
        """Of the host, if one runs."""
        return self._host.pid if self._host is not None and self._host.alive else None

    async def run(
        self, job: Mapping[str, Any], data: Buffer, *, timeout_s: float
    ) -> tuple[SealedFile, int]:
        """Do one job on a file: the payload of the answer, and the bytes of memory that it took.

        Raises:
            OcrServeError: what the job raised, typed.
            ParserFailure: everything else.
        """
        with self._in_use():
            for _ in range(ATTEMPTS):
                try:
                    return await self._attempt(job, data, timeout_s)
                except _Lost as why:
                    log.warning("parser lost", extra={"host": self._name, "error": str(why)})
        raise ParserUnavailable("ended from outside, twice")

    def prepare(self) -> None:
        """Have the host started, if it does not run; the next job tells if that fails."""
        if self.host_pid is None:
            self._run(self._prepared())

    async def _prepared(self) -> None:
        with self._in_use(), contextlib.suppress(ParserUnavailable):
            await self._started()

    def rest(self) -> None:
        """End the host, unless it is in use; the next job starts another."""
        if not self._jobs:
            self._expire()

    async def close(self) -> None:
        """End the host and with it all its processes; who still waits for one is told."""
        self._closed = True
        async with self._starting:  # one that is being started is ended, too
            self._expire()
        await asyncio.gather(*self._endings, return_exceptions=True)

    async def _attempt(
        self, job: Mapping[str, Any], data: Buffer, timeout_s: float
    ) -> tuple[SealedFile, int]:
        host = await self._started()
        ours, theirs = channel.socket_pair()
        fork = _Fork(ours, job, self._limits)
        try:
            try:
                await host.hand_over({"op": "fork"}, theirs)
            except ChildFailure as error:
                raise _Lost(str(error.args[0])) from None
            answer = await fork.run(data, timeout_s)
        except BaseException:
            await fork.end()  # its memory is back before another one is let in
            raise
        self._run(fork.end())  # which it does by itself: nobody need wait
        return answer

    async def _started(self) -> ChildProcess:
        async with self._starting:
            if self._closed:
                raise ParserUnavailable("the parsers are closed")
            if self._host is not None and self._host.alive:
                return self._host
            host = ChildProcess(self._factory, name=self._name, host=HOST, env=_ENVIRONMENT)
            try:
                await host.start(self._spec, timeout_s=START_TIMEOUT_S)
            except (ChildFailure, OSError) as error:
                log.warning(
                    "parsers did not start", extra={"host": self._name, "error": str(error)}
                )
                raise ParserUnavailable("the parsers did not start") from None
            self._host = host
            return host

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        self._jobs += 1
        try:
            yield
        finally:
            self._jobs -= 1
            if not self._jobs and not self._closed:
                loop = asyncio.get_running_loop()
                self._expiry = loop.call_later(self._idle_timeout_s, self._expire)

    def _expire(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        host, self._host = self._host, None
        if host is not None:
            self._run(host.stop(grace_s=STOP_GRACE_S))

    def _run(self, ending: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(ending)
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)


class _Fork:
    """One process, from the parent's side, through its socket."""

    def __init__(self, sock: socket.socket, job: Mapping[str, Any], limits: ParserLimits) -> None:
        sock.setblocking(False)
        self._sock, self._job, self._limits = sock, job, limits
        self._pidfd: int | None = None
        self._pid = self._file_bytes = 0

    async def run(self, data: Buffer, timeout_s: float) -> tuple[SealedFile, int]:
        try:
            hello, self._pidfd = await self._receive(FORK_TIMEOUT_S)
            self._pid, self._file_bytes = hello["pid"], len(data)
            # Into a thread: filling the memory file with a large document takes milliseconds.
            await asyncio.to_thread(channel.send, self._sock, {"job": self._job}, [data])
            return await self._answer(timeout_s)
        except channel.ChannelClosed:
            raise _Lost("its channel ended") from None
        except (channel.ChannelGarbage, KeyError, TypeError) as error:
            raise self._crashed(f"garbage: {error}") from None
        except asyncio.TimeoutError:
            raise OutOfTime(timeout_s) from None

    async def _answer(self, timeout_s: float) -> tuple[SealedFile, int]:
        deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            answer, fd = await self._receive(min(PATIENCE_S, timeout_s))
        except asyncio.TimeoutError:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self._pid, SLOW_NICENESS)
            answer, fd = await self._receive(deadline - asyncio.get_running_loop().time())
        if "ended" in answer:
            grown_bytes = int(answer["grown_bytes"]) - self._file_bytes
            raise self._ended(int(answer["ended"]), grown_bytes)
        if answer["ok"] is True and fd is not None:
            return SealedFile(fd), int(answer["used_bytes"])
        if fd is not None:
            os.close(fd)
        if answer.get("kind") == "memory":
            raise OutOfMemory(max(int(answer["used_bytes"]), self._limits.memory_bytes))
        # Not kept in this frame, which its traceback holds: a circle, with the file in it.
        raise self._failure(answer)

    def _failure(self, answer: Mapping[str, Any]) -> Exception:
        error = failure(answer)
        return self._crashed(str(error.args[1])) if isinstance(error, JobFailed) else error

    def _ended(self, returncode: int, grown_bytes: int) -> Exception:
        """Why a process ended without an answer."""
        limit = self._limits.memory_bytes
        if returncode == _MAPPING_LIMIT:
            return OutOfMemory(limit)
        if returncode == _CPU_LIMIT:
            return OutOfTime(self._limits.cpu_s)
        if returncode in _FROM_OUTSIDE:
            return _Lost(f"ended with {returncode}")
        if grown_bytes > limit // _LIKELY_MEMORY:
            # Out of memory PDFium aborts, as it does on a bug of its own.
            return OutOfMemory(limit)
        return self._crashed(f"ended with {returncode}")

    def _crashed(self, why: str) -> Crashed:
        fields = {"job": self._job, "pid": self._pid, "error": why}
        log.warning("parser failed", extra=fields)
        return Crashed(why)

    async def _receive(self, within_s: float) -> tuple[dict[str, Any], int | None]:
        """The next message. Raises asyncio.TimeoutError, ChannelClosed, ChannelGarbage."""
        loop, fd = asyncio.get_running_loop(), self._sock.fileno()
        readable: asyncio.Future[None] = loop.create_future()
        loop.add_reader(fd, _set, readable)
        try:
            await asyncio.wait_for(readable, max(within_s, 0.001))
        finally:
            loop.remove_reader(fd)
        return channel.receive_descriptor(self._sock)

    async def end(self) -> None:
        """See to it that the process is gone, and its memory back, whatever it is doing."""
        self._sock.close()
        if self._pidfd is None:  # it never came; should it come yet, its channel is closed
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._pidfd, _set, gone)
        try:
            await asyncio.wait([gone], timeout=GONE_WITHIN_S)
        finally:
            loop.remove_reader(self._pidfd)
            os.close(self._pidfd)


def _set(happened: asyncio.Future[None]) -> None:
    if not happened.done():
        happened.set_result(None)
