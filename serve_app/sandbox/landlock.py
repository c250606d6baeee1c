"""Landlock: a process gives up the right to open files, except below some folders (Linux 5.13).

See Documentation/userspace-api/landlock.rst of the kernel. It holds for the calling thread and what
that starts from then on. It also keeps from tracing processes outside, but not on every kernel from
reading their environment (seen on 6.18): folders of other processes in /proc must not be readable.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from serve_app.sandbox.kernel import Unavailable, syscall

# The same on all architectures.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1  # flag of create_ruleset: tell the version
_PATH_BENEATH = 1

# <linux/landlock.h>: rights on files, by their bit.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = (1 << bit for bit in range(4))
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_FIRST_VERSION = (1 << 13) - 1  # all of version 1
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_READ = _READ_FILE | _READ_DIR
# All but to run a program. Devices may be asked anything: their right (IOCTL_DEV) is not handled.
_READ_WRITE = (_FIRST_VERSION | _REFER | _TRUNCATE) & ~_EXECUTE
_RUN = _READ | _EXECUTE
_BIND_TCP, _CONNECT_TCP = 1, 2  # since version 4
_ABSTRACT_UNIX_SOCKET, _SIGNAL = 1, 2  # since version 6
_VERSION_OF = {"refer": 2, "truncate": 3, "tcp": 4, "scope": 6}


# struct landlock_ruleset_attr (rights on files; since version 4 on ports; since 6 scopes), and the
# packed struct landlock_path_beneath_attr.
_ATTRIBUTES, _PATH_RULE = struct.Struct("=QQQ"), struct.Struct("=Qi")
_ATTRIBUTES_SIZE = ((6, 24), (4, 16), (1, 8))


def version() -> int:
    """Of the kernel's Landlock.

    Raises:
        Unavailable: it has none, or it is switched off.
    """
    try:
        return syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    except OSError as error:
        raise Unavailable(f"landlock: {error.strerror}") from None


class Ruleset:
    """What may be opened. A descriptor, which a process and its forks can enter.

    Args:
        read: files and folders with all below them; those that do not exist are left out.
        write: the same, to be changed, too.
        run: the same, to run programs from.
        tcp: whether TCP ports may be bound and connected to.
        scoped: whether signals to processes outside, and their abstract sockets, are refused.

    Raises:
        Unavailable: the kernel has no Landlock.
    """

    def __init__(
        self,
        *,
        read: Iterable[Path] = (),
        write: Iterable[Path] = (),
        run: Iterable[Path] = (),
        tcp: bool = False,
        scoped: bool = False,
    ) -> None:
        have = version()
        handled = _FIRST_VERSION
        handled |= _REFER if have >= _VERSION_OF["refer"] else 0
        handled |= _TRUNCATE if have >= _VERSION_OF["truncate"] else 0
        #: What was asked for and this version does not have.
        self.missing: list[str] = []
        ports = 0 if tcp else self._have("tcp", have, _BIND_TCP | _CONNECT_TCP)
        scope = self._have("scope", have, _ABSTRACT_UNIX_SOCKET | _SIGNAL) if scoped else 0
        size = next(size for since, size in _ATTRIBUTES_SIZE if have >= since)
        self.fd = _ruleset(_ATTRIBUTES.pack(handled, ports, scope)[:size])
        for paths, rights in ((read, _READ), (write, _READ_WRITE), (run, _RUN)):
            for path in paths:
                self._allow(path, rights & handled)

    def enter(self) -> None:
        """Restrict the calling thread, for good. Needs ``no_new_privileges`` or privileges."""
        try:
            syscall(_RESTRICT_SELF, ctypes.c_int(self.fd), ctypes.c_uint32(0))
        except OSError as error:
            raise Unavailable(f"landlock: {error.strerror}") from None

    def close(self) -> None:
        """Let go of the descriptor; who has entered stays in."""
        os.close(self.fd)

    def _have(self, what: str, version: int, rights: int) -> int:
        if version >= _VERSION_OF[what]:
            return rights
        self.missing.append(f"landlock {version}: no rules for {what}")
        return 0

    def _allow(self, path: Path, rights: int) -> None:
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:  # not there, or not ours to see
            return
        try:
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                rights &= _OF_FILES
            rule = _PATH_RULE.pack(rights, fd)
            syscall(
                _ADD_RULE,
                ctypes.c_int(self.fd),
                ctypes.c_int(_PATH_BENEATH),
                ctypes.c_char_p(rule),
                ctypes.c_uint32(0),
            )
        finally:
            os.close(fd)


def _ruleset(attributes: bytes) -> int:
    """The descriptor of a new one."""
    pointer, size = ctypes.c_char_p(attributes), ctypes.c_size_t(len(attributes))
    try:
        return syscall(_CREATE_RULESET, pointer, size, ctypes.c_uint32(0))
    except OSError as error:
        raise Unavailable(f"landlock: {error.strerror}") from None
