"""The parent side: a child process that answers one job at a time, with deadlines that kill.

Used for engines (``process.py``) and the hosts of parsers (``documents/parsers.py``).
Needs a running asyncio loop; never blocks it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from serve_app import errors
from serve_app.child import channel
from serve_app.sandbox.environment import child_environment

log = logging.getLogger("ocr_serve.child")

ENGINE_HOST = "serve_app.child.host"
GONE_WITHIN_S = 5.0  # for the kernel to end a killed process, and for us to hear of it
LAST_LINES_WITHIN_S = 1.0
MAX_LOG_LINE = 2000


#: What goes with a job: pieces of memory, or a file that is handed on.
Payload = Sequence[channel.Buffer] | channel.SealedFile


class ChildFailure(Exception):
    """Base of what can go wrong with a child; callers map it to their typed errors."""


class ChildCrashed(ChildFailure):
    """The process ended. Args: message, returncode (negative: signal)."""


class ChildHung(ChildFailure):
    """No answer within the deadline; the process was killed."""


class ChildGarbage(ChildFailure):
    """It sent something that is no message; the process was killed."""


class JobFailed(ChildFailure):
    """The job raised. Args: kind ("memory" or "exception"), message."""


class ChildProcess:
    """One child; at most one job at a time (callers hold a lease on it)."""

    def __init__(
        self,
        factory: str,
        *,
        name: str,
        env: Mapping[str, str] | None = None,
        host: str = ENGINE_HOST,
        hub: bool = False,
    ) -> None:
        self._factory, self._host, self.name = factory, host, name
        inherited = child_environment(os.environ, hub=hub)
        self._env = {**inherited, **(env or {}), "PYTHONPATH": _python_path()}
        self._next_id = 0
        self._answer: asyncio.Future[tuple[dict[str, Any], bytes]] | None = None
        self._popen: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._pidfd: int | None = None
        self._log_task: asyncio.Task[None] | None = None
        self.killed = False
        #: What the allocator of its device held, and had held at most, when it last answered.
        self.device_bytes = self.device_peak_bytes = 0
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def pid(self) -> int:
        assert self._popen is not None, "not started"
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen is not None and not self.exited.done()

    async def start(self, spec: Mapping[str, Any], *, timeout_s: float) -> None:
        """Spawn the process and have it load.

        Raises:
            ChildCrashed, ChildHung, ChildGarbage, JobFailed or a typed error of the factory;
            the process is gone in each of these cases.
        """
        loop = asyncio.get_running_loop()
        try:
            ours, theirs = channel.socket_pair()
            self._sock = ours
            ours.setblocking(False)
            spawned = _spawn(self._command(theirs), theirs, self._env)
            try:
                self._popen = await asyncio.shield(asyncio.wrap_future(spawned))
            except asyncio.CancelledError:
                spawned.add_done_callback(_kill_unwanted)
                raise
            self._pidfd = os.pidfd_open(self._popen.pid)
            loop.add_reader(self._pidfd, self._on_exit)
            loop.add_reader(ours.fileno(), self._on_readable)
            self._log_task = asyncio.create_task(self._copy_log())
            told = await self._ask({"op": "load", "spec": spec}, (), timeout_s)
            _log_missing_locks(self.name, told)
        except BaseException:
            self.kill()
            # Killed is not gone: until then it is in the process list, and holds its memory.
            await asyncio.wait([self.exited], timeout=GONE_WITHIN_S)
            raise

    async def run(self, job: Mapping[str, Any], payload: Payload, *, timeout_s: float) -> bytes:
        """Do one job and return the payload of its answer. Raises as ``start`` does.

        After JobFailed or a typed error the child lives on; after the others it is gone.
        """
        return await self._ask({"op": "job", "job": job}, payload, timeout_s)

    async def trim(self, *, timeout_s: float = 10.0) -> None:
        """Have it collect garbage and hand free memory back to the kernel and its device."""
        await self._ask({"op": "trim"}, (), timeout_s)

    async def hand_over(self, header: Mapping[str, Any], end: socket.socket) -> None:
        """Send a message that has no answer, with a socket; our copy of that is closed.

        Raises:
            ChildCrashed: it is gone.
        """
        with end:
            if not self.alive or self._sock is None:
                raise ChildCrashed(f"{self.name} is gone", self._returncode())
            try:
                channel.send_descriptor(self._sock, header, end.fileno())
            except (channel.ChannelClosed, BlockingIOError):
                raise ChildCrashed(f"{self.name} takes no messages", self._returncode()) from None

    async def stop(self, *, grace_s: float) -> int:
        """Ask it to exit, kill it after ``grace_s``; the return code."""
        if self.alive and self._answer is None and self._sock is not None:
            with contextlib.suppress(channel.ChannelClosed, BlockingIOError):
                channel.send(self._sock, {"op": "exit"})
            await asyncio.wait([self.exited], timeout=grace_s)
        self.kill()
        returncode = await asyncio.shield(self.exited)
        if self._log_task is not None:  # its last lines; a process that it had forked may hold on
            await asyncio.wait([self._log_task], timeout=LAST_LINES_WITHIN_S)
        return returncode

    def kill(self) -> None:
        """End the process at once; ``exited`` is set when the kernel says so."""
        self.killed = True
        if self._popen is None:
            if not self.exited.done():
                self.exited.set_result(-signal.SIGKILL)
            self._close()
        elif not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                self._popen.kill()

    def _command(self, theirs: socket.socket) -> list[str]:
        numbers = [str(theirs.fileno()), str(os.getpid())]
        return [sys.executable, "-m", self._host, *numbers, self._factory]

    async def _ask(self, header: dict[str, Any], payload: Payload, timeout_s: float) -> bytes:
        assert self._answer is None, "one job at a time"
        if not self.alive or self._sock is None:
            raise ChildCrashed(f"{self.name} is gone", self._returncode())
        header["id"] = 0 if header["op"] == "load" else self._new_id()
        self._answer = asyncio.get_running_loop().create_future()
        try:
            # Into a thread: filling the memory file with a large document takes milliseconds.
            await asyncio.to_thread(_send, self._sock, header, payload)
            await asyncio.wait([self._answer], timeout=timeout_s)
            if not self._answer.done():
                self.kill()
                raise ChildHung(f"{self.name} gave no answer within {timeout_s:g} s")
            answer, result = self._answer.result()
        except channel.ChannelClosed:
            await asyncio.wait([self.exited], timeout=GONE_WITHIN_S)
            raise ChildCrashed(f"{self.name} is gone", self._returncode()) from None
        except asyncio.CancelledError:
            self.kill()  # a half-done job cannot be taken back; who wants it finished shields
            raise
        finally:
            if self._answer.done() and not self._answer.cancelled():
                self._answer.exception()  # nobody asks for it if the job was not even sent
            self._answer = None
        return self._check(header, answer, result)

    def _check(self, header: dict[str, Any], answer: dict[str, Any], payload: bytes) -> bytes:
        if answer.get("id") != header["id"] or not isinstance(answer.get("ok"), bool):
            self.kill()
            raise ChildGarbage(f"{self.name} sent an answer that nobody asked for")
        if answer["ok"]:
            self.device_bytes = _count(answer.get("device_bytes"))
            self.device_peak_bytes = _count(answer.get("device_peak_bytes"))
            return payload
        raise failure(answer)

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id

    def _on_readable(self) -> None:
        assert self._sock is not None
        try:
            message = channel.receive(self._sock)
        except BlockingIOError:
            return
        except channel.ChannelClosed:
            self._remove_reader()  # the pidfd tells when it is really gone
            return
        except channel.ChannelGarbage as error:
            self.kill()
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(ChildGarbage(f"{self.name}: {error}"))
            return
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(message)
        else:
            log.warning("unexpected message", extra={"child": self.name, "pid": self.pid})
            self.kill()

    def _on_exit(self) -> None:
        assert self._popen is not None
        if self._answer is not None and not self._answer.done() and self._sock is not None:
            with contextlib.suppress(Exception):
                self._on_readable()  # an answer may have been sent just before the end
        returncode = self._popen.wait()
        self._close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(
                ChildCrashed(f"{self.name} ended with {returncode}", returncode)
            )
        self.exited.set_result(returncode)

    def _returncode(self) -> int | None:
        return self.exited.result() if self.exited.done() else None

    def _remove_reader(self) -> None:
        if self._sock is not None and self._sock.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._sock.fileno())

    def _close(self) -> None:
        self._remove_reader()
        if self._sock is not None:
            self._sock.close()
        if self._pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    async def _copy_log(self) -> None:
        """Each line that the child prints becomes one log record."""
        assert self._popen is not None
        assert self._popen.stderr is not None
        reader = asyncio.StreamReader(limit=2**16)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._popen.stderr
        )
        try:
            while True:
                try:
                    line = await reader.readline()
                except ValueError:  # longer than the limit; the reader dropped it
                    continue
                if not line:
                    return
                text = line.decode(errors="replace").rstrip()[:MAX_LOG_LINE]
                # What a library prints may quote the document.
                log.debug("child output", extra={"child": self.name, "pid": self.pid, "line": text})
        finally:
            transport.close()


def failure(answer: Mapping[str, Any]) -> Exception:
    """What a child says that went wrong (``host.describe``): one of our errors, or JobFailed."""
    if answer.get("kind") == "typed":
        kind = getattr(errors, str(answer.get("type")), None)
        if isinstance(kind, type) and issubclass(kind, errors.OcrServeError):
            try:
                error: errors.OcrServeError = kind(*answer["args"])
            except (TypeError, KeyError):
                return JobFailed("exception", "arguments of an error that it does not have")
            return error
    return JobFailed(str(answer.get("kind")), str(answer.get("message")))


def _log_missing_locks(name: str, told: bytes) -> None:
    """What the kernel could not give a child's sandbox: one line per kind of child."""
    missing = tuple(json.loads(told)["missing"]) if told else ()
    if missing and (name, missing) not in _told:
        _told.add((name, missing))
        log.warning("sandbox incomplete", extra={"child": name, "missing": list(missing)})


_told: set[tuple[str, tuple[str, ...]]] = set()


def _send(sock: socket.socket, header: Mapping[str, Any], payload: Payload) -> None:
    if isinstance(payload, channel.SealedFile):
        channel.send_descriptor(sock, header, payload.fd)
    else:
        channel.send(sock, header, payload)


def _count(told: object) -> int:
    """The bytes that a child told; 0 for anything else."""
    return told if isinstance(told, int) and told >= 0 else 0


def _python_path() -> str:
    """Let the child import this very package, also where Ray put it on ``sys.path`` by itself."""
    root = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join([root, inherited] if inherited else [root])


class _Spawner:
    """Starts children from one thread that lives as long as this process.

    The death signal of a child is tied to the thread that started it, and event loops or executor
    threads may end before their process does.
    """

    def __init__(self) -> None:
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._main, name="child-spawner", daemon=True).start()

    def submit(  # takes over ``keep``
        self, command: list[str], keep: socket.socket, env: Mapping[str, str]
    ) -> Future[subprocess.Popen[bytes]]:
        future: Future[subprocess.Popen[bytes]] = Future()
        self._requests.put((future, command, keep, env))
        return future

    def _main(self) -> None:
        while True:
            future, command, keep, env = self._requests.get()
            try:
                with keep:
                    popen = subprocess.Popen(
                        command,
                        env=env,
                        pass_fds=(keep.fileno(),),
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.PIPE,
                    )
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(popen)


def _kill_unwanted(spawned: Future[subprocess.Popen[bytes]]) -> None:
    """The child of a start that was cancelled before it had a process."""
    if spawned.exception() is None:
        popen = spawned.result()
        popen.kill()
        popen.wait()


_spawner: _Spawner | None = None


def _spawn(
    command: list[str], keep: socket.socket, env: Mapping[str, str]
) -> Future[subprocess.Popen[bytes]]:
    global _spawner
    if _spawner is None:
        _spawner = _Spawner()
    return _spawner.submit(command, keep, env)
