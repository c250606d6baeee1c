"""The child side: one process that holds one loaded pipeline and predicts page after page.

``python -m serve_app.child.host FD PARENT_PID FACTORY`` where FACTORY is ``module:function``;
the function takes the spec (a dict) and returns a ``Handler``.

Before it loads and after it has, it is locked in (``sandbox/engine.py``; ``spec["sandbox"]``).

Messages in: ``load {spec}``, ``job {id, job} + file bytes``, ``trim {id}``, ``exit``.
Messages out: ``{id, ok: true} + payload`` or ``{id, ok: false, kind, message}``. An answer that is
ok has ``device_bytes`` and ``device_peak_bytes`` if the handler holds memory of a device.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from serve_app import errors
from serve_app.child import channel
from serve_app.errors import OcrServeError
from serve_app.sandbox.engine import EngineSandbox
from serve_app.temp_folders import sweep

PR_SET_PDEATHSIG = 1
# Longer than between the pages of a busy engine. The next page pays some 0.1 s a GiB for it.
REST_S = 5.0


class Handler(Protocol):
    """What a factory returns, e.g. ``serve_app.engines.paddle.build``."""

    def handle(self, job: dict[str, Any], data: channel.Buffer) -> Sequence[channel.Buffer]:
        """Do the job; the parts of the answer's payload."""
        ...


@runtime_checkable
class DeviceHandler(Handler, Protocol):
    """A handler that holds memory of a device of its own, beside the process's resident memory."""

    def device_memory(self) -> tuple[int, int] | None:
        """Bytes held by its allocator: now, and the most since the last call; None without one."""
        ...

    def trim_device(self) -> None:
        """Hand what the allocator keeps for later back to the device."""
        ...


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when the thread that started it ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:  # it died before the call above
        os._exit(1)


def watch_for_hangup(sock: socket.socket) -> None:
    """End the process when the parent's end closes, even in the middle of a page.

    The death signal covers a parent that dies; this covers one that lives but let go.
    """
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLRDHUP | select.POLLHUP)
    poll.poll()
    os._exit(0)


def main(argv: list[str]) -> None:
    fd, parent_pid, factory_path = int(argv[1]), int(argv[2]), argv[3]
    die_with_parent(parent_pid)
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C goes to the whole group; the parent drains
    # Third parties print to stdout; it must go where the parent reads.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sock = socket.socket(fileno=fd)
    threading.Thread(target=watch_for_hangup, args=(sock,), daemon=True).start()
    sweep()  # what an engine before this one left, if it was killed
    serve(sock, resolve(factory_path))


def serve(sock: socket.socket, factory: Callable[[dict[str, Any]], Handler]) -> None:
    """Answer messages until ``exit`` or the end of the channel.

    After ``REST_S`` without one its memory is trimmed: what the last page needed is kept for the
    next one, which is faster with it, but not for nobody.
    """
    handler: Handler | None = None
    trimmed = True
    while True:
        if not trimmed and not _has_message(sock, REST_S):
            trim(handler)
            trimmed = True
        try:
            header, payload = channel.receive_view(sock)
        except channel.ChannelClosed:
            return
        match header["op"]:
            case "exit":
                return
            case "load":
                handler = _answer_load(sock, factory, header["spec"])
                trimmed = False
            case "trim":
                trim(handler)
                channel.send(sock, {"id": header["id"], "ok": True, **_device_memory(handler)})
            case "job":
                assert handler is not None, "job before load"
                _answer_job(sock, handler, header, payload)
                payload = b""  # or it would stay until the next message
                trimmed = False


def trim(handler: Handler | None) -> None:
    """Hand the heap's free pages back to the kernel, and those of the handler's device to it."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    if isinstance(handler, DeviceHandler):
        handler.trim_device()


def _device_memory(handler: Handler | None) -> dict[str, int]:
    """For the header of an answer: what the parent may not be able to read from outside."""
    if not isinstance(handler, DeviceHandler):
        return {}
    told = handler.device_memory()
    return {} if told is None else {"device_bytes": told[0], "device_peak_bytes": told[1]}


def _has_message(sock: socket.socket, within_s: float) -> bool:
    """Also True at the end of the channel."""
    return bool(select.select([sock], [], [], within_s)[0])


def _answer_load(
    sock: socket.socket, factory: Callable[[dict[str, Any]], Handler], spec: dict[str, Any]
) -> Handler | None:
    sandbox = EngineSandbox(**spec.get("sandbox", {}))
    sandbox.before_load()
    try:
        handler = factory(spec)
    except BaseException as error:
        channel.send(sock, {"id": 0, "ok": False, **describe(error)})
        _reraise_exit(error)
        return None
    sandbox.after_load()
    # What was loaded stays: so a collection looks at the last page's objects only (0.2 s else).
    gc.collect()
    gc.freeze()
    told = json.dumps({"missing": sandbox.missing}).encode()
    channel.send(sock, {"id": 0, "ok": True, **_device_memory(handler)}, [told])
    return handler


def _answer_job(
    sock: socket.socket, handler: Handler, header: dict[str, Any], payload: channel.Buffer
) -> None:
    _device_memory(handler)  # so that its next peak is this job's
    try:
        parts = handler.handle(header["job"], payload)
    except BaseException as error:
        channel.send(sock, {"id": header["id"], "ok": False, **describe(error)})
        _reraise_exit(error)
        forget(error)
    else:
        answer = {"id": header["id"], "ok": True, **_device_memory(handler)}
        channel.send(sock, answer, parts)


def describe(error: BaseException) -> dict[str, Any]:
    """What the parent may know: our own errors whole, others by type and first line.

    Tracebacks stay out: their frames hold pictures, and their texts may quote the document.
    """
    if isinstance(error, OcrServeError):
        # The parent knows those of ``errors/``, not what a module derives from them.
        known = next(
            kind for kind in type(error).__mro__ if kind.__module__.startswith(errors.__name__)
        )
        return {"kind": "typed", "type": known.__name__, "args": list(error.args)}
    kind = "memory" if is_out_of_memory(error) else "exception"
    return {"kind": kind, "message": f"{type(error).__name__}: {str(error).splitlines()[:1]}"[:500]}


OUT_OF_MEMORY = (
    *("out of memory", "resourceexhausted", "bad_alloc", "cannot allocate memory"),
    # ONNX Runtime's arenas, at their limit or the device's; cuDNN and cuBLAS.
    *("failed to allocate memory", "is smaller than requested bytes", "_alloc_failed"),
)


def is_out_of_memory(error: BaseException) -> bool:
    """Host or device memory ran out (Paddle and ONNX Runtime raise plain errors for it)."""
    if isinstance(error, MemoryError):
        return True
    text = str(error).lower()
    return any(mark in text for mark in OUT_OF_MEMORY)


def _reraise_exit(error: BaseException) -> None:
    """A SystemExit in the pipeline ends this process, as it asked for; the parent was told."""
    if not isinstance(error, Exception):
        raise SystemExit(70) from None


def forget(error: BaseException) -> None:
    """Break the cycle error → traceback → frames → pictures, or a failed page stays in memory."""
    seen: BaseException | None = error
    while seen is not None:
        following = seen.__cause__ or seen.__context__
        seen.__traceback__ = seen.__cause__ = seen.__context__ = None
        seen = following
    gc.collect()


def resolve(path: str) -> Callable[[dict[str, Any]], Handler]:
    module, _, name = path.partition(":")
    factory: Callable[[dict[str, Any]], Handler] = getattr(importlib.import_module(module), name)
    return factory


if __name__ == "__main__":
    main(sys.argv)
