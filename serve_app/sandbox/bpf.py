"""Programs of the kernel's packet filter over a system call, assembled from a few statements.

Classic BPF as seccomp takes it (Documentation/userspace-api/seccomp_filter.rst of the kernel): each
statement ends the program or falls through to the next one, so that there is no label to get wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

# <linux/seccomp.h>: what becomes of the call.
ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000

# <linux/bpf_common.h>
_LOAD_WORD = 0x20
_JUMP_EQUAL, _JUMP_GREATER, _JUMP_GREATER_EQUAL = 0x15, 0x25, 0x35
_JUMP_ANY_BIT = 0x45
_RETURN = 0x06

# struct seccomp_data: number, architecture, instruction, six arguments.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

_INSTRUCTION = struct.Struct("<HBBI")
MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS


def refuse(errno: int) -> int:
    """The action: the call fails with this error."""
    return _ERRNO | errno


class Program:
    """Statements in order. The accumulator holds the call's number between them."""

    def __init__(self) -> None:
        self._code: list[tuple[int, int, int, int]] = []

    def require_architecture(self, audit: int) -> None:
        """End the process if the call comes by another interface; numbers mean others there."""
        self._code += [
            (_LOAD_WORD, 0, 0, _ARCHITECTURE),
            (_JUMP_EQUAL, 1, 0, audit),
            (_RETURN, 0, 0, KILL_PROCESS),
            (_LOAD_WORD, 0, 0, _NUMBER),
        ]

    def from_number(self, number: int, action: int) -> None:
        """For this number and all above it."""
        self._code += [(_JUMP_GREATER_EQUAL, 0, 1, number), (_RETURN, 0, 0, action)]

    def on(self, numbers: Sequence[int], action: int) -> None:
        """For these calls."""
        for number in numbers:
            self._code += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, action)]

    def above(self, number: int, argument: int, limit: int, action: int) -> None:
        """For this call if its argument, 64 bits unsigned, is above ``limit`` (32 bits)."""
        low = _ARGUMENTS + 8 * argument
        self._code += [
            (_JUMP_EQUAL, 0, 6, number),
            (_LOAD_WORD, 0, 0, low + 4),
            (_JUMP_GREATER, 2, 0, 0),
            (_LOAD_WORD, 0, 0, low),
            (_JUMP_GREATER, 0, 1, limit),
            (_RETURN, 0, 0, action),
            (_LOAD_WORD, 0, 0, _NUMBER),
        ]

    def any_bit(self, number: int, argument: int, bits: int, action: int) -> None:
        """For this call if one of these bits is set in the argument's lower 32."""
        self._code += [
            (_JUMP_EQUAL, 0, 4, number),
            (_LOAD_WORD, 0, 0, _ARGUMENTS + 8 * argument),
            (_JUMP_ANY_BIT, 0, 1, bits),
            (_RETURN, 0, 0, action),
            (_LOAD_WORD, 0, 0, _NUMBER),
        ]

    def unless_equal(self, number: int, argument: int, value: int, action: int) -> None:
        """For this call unless the argument's lower 32 bits are ``value``."""
        self._code += [
            (_JUMP_EQUAL, 0, 4, number),
            (_LOAD_WORD, 0, 0, _ARGUMENTS + 8 * argument),
            (_JUMP_EQUAL, 1, 0, value),
            (_RETURN, 0, 0, action),
            (_LOAD_WORD, 0, 0, _NUMBER),
        ]

    def otherwise(self, action: int) -> bytes:
        """The whole program; ``action`` for every call that came so far."""
        code = [*self._code, (_RETURN, 0, 0, action)]
        assert len(code) <= MAX_INSTRUCTIONS
        return b"".join(_INSTRUCTION.pack(*instruction) for instruction in code)
