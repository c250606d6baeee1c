"""The child side of parsing: a host that forks one process for each file or page, and never parses.

``python -m serve_app.documents.parser_host FD PARENT_PID FACTORY``, as ``child/host.py``.

The host loads the libraries once; a fork has them for milliseconds of time and a few MiB of memory.
What a file does to its process (memory it takes, a crash, an exploit) ends with that process: it
never sees another file.

Messages to the host: ``load {spec}``, ``fork`` with a socket, ``exit``. On that socket the fork
says ``{pid}`` with a pidfd of its own, gets ``{job}`` with the file, locks itself in
(``sandbox/parser.py``) and answers ``{ok: true, used_bytes}`` with the payload or ``{ok: false,
kind, …}``; then the host says ``{ended, grown_bytes}`` there.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from serve_app.child import channel
from serve_app.child.host import Handler, describe, die_with_parent, resolve
from serve_app.sandbox.parser import ParserLimits, ParserSandbox

Factory = Callable[[dict[str, Any]], Handler]


class ParserHost:
    """Single-threaded, since it forks; it notices the end of its channel in its loop."""

    def __init__(self, sock: socket.socket, factory: Factory) -> None:
        self._sock, self._factory = sock, factory
        self._handler: Handler | None = None
        self._sandbox: ParserSandbox | None = None
        #: Resident memory of this process, which its forks start with.
        self._resident_bytes = 0
        #: The sockets of the processes that run, by pid.
        self._running: dict[int, socket.socket] = {}
        # A byte for each child that ended.
        self._ended, self._on_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def serve(self) -> None:
        """Until ``exit`` or the end of the channel; all forks end then, by their death signal."""
        signal.signal(signal.SIGCHLD, lambda *_: None)  # so that its number is written
        signal.set_wakeup_fd(self._on_end, warn_on_full_buffer=False)
        while True:
            ready, _, _ = select.select([self._sock.fileno(), self._ended], [], [])
            if self._ended in ready:
                os.read(self._ended, 4096)
                self._reap()
            if self._sock.fileno() in ready and not self._message():
                return

    def _message(self) -> bool:
        """Act on one message; False at the end."""
        try:
            header, fd = channel.receive_descriptor(self._sock)
        except channel.ChannelClosed:
            return False
        match header["op"]:
            case "load":
                self._load(header["spec"])
            case "fork":
                assert fd is not None, "fork without a socket"
                self._fork(socket.socket(fileno=fd))
            case "exit":
                return False
        return True

    def _load(self, spec: dict[str, Any]) -> None:
        try:
            self._handler = self._factory(spec)
            self._sandbox = ParserSandbox(ParserLimits(**spec["parser_limits"]))
            _assert_one_thread()
        except Exception as error:
            channel.send(self._sock, {"id": 0, "ok": False, **describe(error)})
            return
        # The forks' collections leave what was loaded alone, and so its pages stay shared.
        gc.collect()
        gc.freeze()
        self._resident_bytes = _resident_bytes()
        told = json.dumps({"missing": _missing(self._sandbox)}).encode()
        channel.send(self._sock, {"id": 0, "ok": True}, [told])

    def _fork(self, sock: socket.socket) -> None:
        host_pid = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            with sock:
                print(f"fork: {error}", file=sys.stderr, flush=True)
            return  # the end of its channel says that there is no process
        if pid == 0:
            self._be_the_fork(sock, host_pid)
        self._running[pid] = sock

    def _be_the_fork(self, sock: socket.socket, host_pid: int) -> NoReturn:
        code = 70
        try:
            die_with_parent(host_pid)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for other in (self._sock, *self._running.values()):
                other.close()
            for fd in (self._ended, self._on_end):
                os.close(fd)
            assert self._handler is not None, "fork before load"
            assert self._sandbox is not None
            parse_one(sock, self._handler, self._sandbox)
            code = 0
        finally:
            os._exit(code)  # no clean-up of what belongs to the host

    def _reap(self) -> None:
        while self._running:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            grown_bytes = usage.ru_maxrss * 1024 - self._resident_bytes
            ended = {"ended": os.waitstatus_to_exitcode(status), "grown_bytes": grown_bytes}
            with self._running.pop(pid) as sock:
                try:
                    channel.send(sock, ended)
                except channel.ChannelClosed:  # nobody waits for it any more
                    pass


def parse_one(sock: socket.socket, handler: Handler, sandbox: ParserSandbox) -> None:
    """The whole life of a fork, from its first message to its answer."""
    pidfd = os.pidfd_open(os.getpid())
    channel.send_descriptor(sock, {"pid": os.getpid()}, pidfd)
    os.close(pidfd)
    try:
        header, file = channel.receive_view(sock)
    except channel.ChannelClosed:
        return
    use = sandbox.enter()
    parts: Sequence[channel.Buffer] = ()
    try:
        parts = handler.handle(header["job"], file)
        answer: dict[str, Any] = {"ok": True}
    except Exception as error:
        answer = {"ok": False, **describe(error)}
    used = use.used_bytes()
    if used > sandbox.limits.memory_bytes or answer.get("kind") == "memory":
        # Whatever came out: a decoder that was refused memory leaves pictures out.
        answer, parts = {"ok": False, "kind": "memory"}, ()
    channel.send(sock, {**answer, "used_bytes": used}, parts)


def _missing(sandbox: ParserSandbox) -> list[str]:
    """What the sandbox of a fork lacks: tried in one, for entering cannot be undone."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            sandbox.enter()
            os.write(theirs, json.dumps(sandbox.missing).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as told:
        answer = told.read()
    os.waitpid(pid, 0)
    return list(json.loads(answer)) if answer else ["a parser ended while it was locked in"]


def _resident_bytes() -> int:
    """Not the kernel's mark of the most (ru_maxrss): that starts as the parent's, before exec."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def _assert_one_thread() -> None:
    """A fork has only the thread that forked, and whatever locks the others held."""
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(f"{threads} threads in a process that forks")


def main(argv: list[str]) -> None:
    fd, parent_pid, factory_path = int(argv[1]), int(argv[2]), argv[3]
    die_with_parent(parent_pid)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as engines do
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    ParserHost(socket.socket(fileno=fd), resolve(factory_path)).serve()


if __name__ == "__main__":
    main(sys.argv)
