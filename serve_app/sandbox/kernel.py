"""Locks that every Linux has: no new privileges, not readable by others, resource limits."""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Mapping

# <linux/prctl.h>
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38

_LIBC = ctypes.CDLL(None, use_errno=True)


class Unavailable(Exception):
    """The kernel does not have this lock, or does not let us use it. Args: what and why."""


def prctl(option: int, *arguments: int) -> None:
    """Raises OSError."""
    longs = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    if _LIBC.prctl(option, *longs) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")


def syscall(number: int, *arguments: object) -> int:
    """A system call that the C library has no function for. Raises OSError."""
    result = int(_LIBC.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def no_new_privileges() -> None:
    """No program that is started from here gains anything by set-user-id or capabilities."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def not_dumpable() -> None:
    """No core file, and other processes of this user may not read or trace it.

    Its files in /proc belong to root then: the parent, too, can read only what is readable by all
    (``status``, ``stat``), and cannot reset the kernel's peak (``clear_refs``).
    """
    prctl(_PR_SET_DUMPABLE, 0)


def limit(limits: Mapping[int, int | tuple[int, int]]) -> None:
    """Set resource limits; soft and hard ones are the same unless a pair is given.

    None is raised above what it is: that takes privileges.
    """
    for which, wanted in limits.items():
        soft, hard = wanted if isinstance(wanted, tuple) else (wanted, wanted)
        ceiling = resource.getrlimit(which)[1]
        if ceiling != resource.RLIM_INFINITY:
            soft, hard = min(soft, ceiling), min(hard, ceiling)
        resource.setrlimit(which, (soft, hard))
