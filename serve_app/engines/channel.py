"""Messages between a parent and its child process: a small JSON header and one binary payload.

A Unix socket of type SOCK_SEQPACKET keeps message borders, so there is no framing to get wrong;
the payload travels as the descriptor of an anonymous memory file, which belongs to nobody's file
system and is gone with its last holder, however that one dies. Nothing is pickled.
"""

from __future__ import annotations

import array
import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

MAX_HEADER_BYTES = 64 * 1024
MAX_PAYLOAD_BYTES = 512 * 2**20

Buffer = bytes | bytearray | memoryview


class ChannelClosed(Exception):
    """The other side has closed the channel, or is gone."""


class ChannelGarbage(Exception):
    """What arrived is not a message of this protocol."""


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """A connected pair of message sockets; both ends are blocking and close on exec."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(sock: socket.socket, header: Mapping[str, Any], parts: Sequence[Buffer] = ()) -> None:
    """Send one message; ``parts`` are concatenated into the payload.

    Raises:
        ChannelClosed: the other side is gone.
        ValueError: the header is larger than ``MAX_HEADER_BYTES``.
    """
    data = json.dumps(header, separators=(",", ":")).encode()
    if len(data) > MAX_HEADER_BYTES:
        raise ValueError(f"header of {len(data)} bytes, at most {MAX_HEADER_BYTES}")
    try:
        if not parts:
            sock.sendmsg([data])
            return
        fd = _memory_file(parts)
        try:
            sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
        finally:
            os.close(fd)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise ChannelClosed(str(error)) from None


def receive(sock: socket.socket) -> tuple[dict[str, Any], bytes]:
    """Receive one message: the header and the payload (empty if there is none).

    Raises:
        ChannelClosed: the other side is gone.
        ChannelGarbage: not a JSON object, too long, or a payload beyond ``MAX_PAYLOAD_BYTES``.
        BlockingIOError: nothing has arrived on a non-blocking socket.
    """
    try:
        data, fds, flags, _ = socket.recv_fds(sock, MAX_HEADER_BYTES, 4)
    except ConnectionResetError as error:
        raise ChannelClosed(str(error)) from None
    try:
        if not data:
            raise ChannelClosed("end of file")
        if flags & socket.MSG_TRUNC or len(fds) > 1:
            raise ChannelGarbage("oversized message")
        header = _parse(data)
        payload = _read_memory_file(fds[0]) if fds else b""
    finally:
        for fd in fds:
            os.close(fd)
    return header, payload


def _parse(data: bytes) -> dict[str, Any]:
    try:
        header = json.loads(data)
    except (ValueError, RecursionError):
        raise ChannelGarbage("header is not JSON") from None
    if not isinstance(header, dict):
        raise ChannelGarbage("header is not an object")
    return header


def _memory_file(parts: Sequence[Buffer]) -> int:
    fd = os.memfd_create("ocr-serve-payload", os.MFD_CLOEXEC)
    try:
        for part in parts:
            view = memoryview(part).cast("B")
            while view:
                view = view[os.write(fd, view) :]
    except BaseException:
        os.close(fd)
        raise
    return fd


def _read_memory_file(fd: int) -> bytes:
    """Copy, not map: a mapped file that its sender truncates would kill the reader (SIGBUS)."""
    size = os.fstat(fd).st_size
    if size > MAX_PAYLOAD_BYTES:
        raise ChannelGarbage(f"payload of {size} bytes, at most {MAX_PAYLOAD_BYTES}")
    try:
        payload = os.pread(fd, size, 0)
    except OSError as error:
        raise ChannelGarbage(f"payload is not a memory file: {error.strerror}") from None
    if len(payload) != size:
        raise ChannelGarbage("payload is shorter than announced")
    return payload
