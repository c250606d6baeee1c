"""Messages between a parent and its child process: a small JSON header and one binary payload.

A Unix socket of type SOCK_SEQPACKET keeps message borders, so there is no framing to get wrong;
the payload travels as the descriptor of an anonymous memory file, which belongs to nobody's file
system and is gone with its last holder, however that one dies. Nothing is pickled.
"""

from __future__ import annotations

import array
import errno
import fcntl
import json
import mmap
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

MAX_HEADER_BYTES = 64 * 1024
MAX_PAYLOAD_BYTES = 512 * 2**20

Buffer = bytes | bytearray | memoryview

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


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
    if not parts:
        send_descriptor(sock, header, None)
        return
    fd = _memory_file(parts)
    try:
        send_descriptor(sock, header, fd)
    finally:
        os.close(fd)


def send_descriptor(sock: socket.socket, header: Mapping[str, Any], fd: int | None) -> None:
    """Send one message with a descriptor, which stays the sender's, too. Raises as ``send``."""
    data = json.dumps(header, separators=(",", ":")).encode()
    if len(data) > MAX_HEADER_BYTES:
        raise ValueError(f"header of {len(data)} bytes, at most {MAX_HEADER_BYTES}")
    rights = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
    try:
        sock.sendmsg([data], rights)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise ChannelClosed(str(error)) from None
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        # Our own end, closed by who has seen the other side go.
        raise ChannelClosed("closed") from None


def receive(sock: socket.socket) -> tuple[dict[str, Any], bytes]:
    """Receive one message: the header and the payload (empty if there is none).

    Raises:
        ChannelClosed: the other side is gone.
        ChannelGarbage: not a JSON object, too long, or a payload beyond ``MAX_PAYLOAD_BYTES``.
        BlockingIOError: nothing has arrived on a non-blocking socket.
    """
    header, fd = receive_descriptor(sock)
    if fd is None:
        return header, b""
    try:
        return header, _read_memory_file(fd)
    finally:
        os.close(fd)


def receive_view(sock: socket.socket) -> tuple[dict[str, Any], Buffer]:
    """As ``receive``, without a copy of a payload that is sealed.

    What is written to the view is seen by nobody else. Its memory goes with the last reference.
    """
    header, fd = receive_descriptor(sock)
    if fd is None:
        return header, b""
    try:
        size = _sealed_size(fd)
        # An empty file cannot be mapped.
        return header, memoryview(mmap.mmap(fd, size, mmap.MAP_PRIVATE)) if size else b""
    finally:
        os.close(fd)


def receive_descriptor(sock: socket.socket) -> tuple[dict[str, Any], int | None]:
    """Receive one message; the descriptor that came with it is the caller's to close.

    Raises as ``receive``; nothing stays open then.
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
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise
    return header, fds[0] if fds else None


class SealedFile:
    """A payload that is handed on unread. Nobody can change it, nor cut it short under a reader."""

    def __init__(self, fd: int) -> None:
        """Takes over the descriptor.

        Raises:
            ChannelGarbage: it is no sealed memory file, or larger than ``MAX_PAYLOAD_BYTES``; it is
                closed.
        """
        self._fd: int | None = fd
        try:
            self.size_bytes = _sealed_size(fd)
        except BaseException:
            self.close()
            raise

    @property
    def fd(self) -> int:
        """Still open; see ``close``."""
        assert self._fd is not None, "closed"
        return self._fd

    def read(self) -> bytes:
        """A copy of the whole."""
        return _read_memory_file(self.fd)

    def close(self) -> None:
        """Let go of it; safe to call again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _sealed_size(fd: int) -> int:
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError:
        raise ChannelGarbage("payload is not a memory file") from None
    size = os.fstat(fd).st_size
    if seals & _SEALS != _SEALS or size > MAX_PAYLOAD_BYTES:
        raise ChannelGarbage(f"payload of {size} bytes is not sealed, or too large")
    return size


def _parse(data: bytes) -> dict[str, Any]:
    try:
        header = json.loads(data)
    except (ValueError, RecursionError):
        raise ChannelGarbage("header is not JSON") from None
    if not isinstance(header, dict):
        raise ChannelGarbage("header is not an object")
    return header


def _memory_file(parts: Sequence[Buffer]) -> int:
    fd = os.memfd_create("ocr-serve-payload", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        for part in parts:
            view = memoryview(part).cast("B")
            while view:
                view = view[os.write(fd, view) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
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
