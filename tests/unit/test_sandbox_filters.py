"""The filters of system calls, run here by a small interpreter of the kernel's packet filter."""

from __future__ import annotations

import errno
import mmap
import os
import struct

import pytest

from serve_app.sandbox import bpf
from serve_app.sandbox.parser import ParserLimits
from serve_app.sandbox.seccomp import (
    ENGINE_MUST_NOT,
    PARSER_MAY,
    engine_filter,
    parser_filter,
)
from serve_app.sandbox.syscalls import AARCH64, X86_64, Architecture

MIB = 2**20
LARGEST = 64 * MIB
EPERM = bpf.refuse(errno.EPERM)
BOTH = pytest.mark.parametrize("machine", [X86_64, AARCH64], ids=lambda m: m.machine)

LOAD, EQUAL, GREATER, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06


def outcome(program: bytes, number: int, *arguments: int, audit: int) -> int:
    """What the kernel would do with this call."""
    padded = [argument % 2**64 for argument in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    data = struct.pack("<IIQ6Q", number, audit, 0, *padded)
    code = list(struct.iter_unpack("<HBBI", program))
    accumulator, at = 0, 0
    while True:
        operation, yes, no, value = code[at]
        at += 1
        if operation == RETURN:
            return int(value)
        if operation == LOAD:
            (accumulator,) = struct.unpack_from("<I", data, value)
            continue
        taken = {
            EQUAL: accumulator == value,
            GREATER: accumulator > value,
            AT_LEAST: accumulator >= value,
            ANY_BIT: accumulator & value != 0,
        }[operation]
        at += yes if taken else no


def parser_outcome(machine: Architecture, name: str, *arguments: int) -> int:
    number = machine.number(name)
    assert number is not None
    program = parser_filter(machine, LARGEST)
    return outcome(program, number, *arguments, audit=machine.audit)


def engine_outcome(machine: Architecture, name: str, *arguments: int, sockets: str = "none") -> int:
    number = machine.number(name)
    assert number is not None
    program = engine_filter(machine, sockets)  # type: ignore[arg-type]
    return outcome(program, number, *arguments, audit=machine.audit)


@BOTH
def test_a_parser_may_read_write_and_exit(machine: Architecture) -> None:
    for name in ("read", "write", "sendmsg", "memfd_create", "exit_group", "futex", "munmap"):
        assert parser_outcome(machine, name) == bpf.ALLOW, name


@BOTH
@pytest.mark.parametrize("name", [*ENGINE_MUST_NOT, "clone", "clone3", "socket"])
def test_a_parser_makes_no_process_and_no_socket_and_asks_nothing_of_the_kernel(
    machine: Architecture, name: str
) -> None:
    if machine.number(name) is None:
        assert name in {"uselib", "ioperm", "iopl"}, "this machine has no such call"
        return
    assert parser_outcome(machine, name) == EPERM


@BOTH
def test_a_number_that_nobody_has_listed_is_refused_to_a_parser(machine: Architecture) -> None:
    program = parser_filter(machine, LARGEST)
    assert outcome(program, 460, audit=machine.audit) == EPERM
    assert outcome(program, 2**31, audit=machine.audit) == EPERM


@BOTH
@pytest.mark.parametrize(("name", "length_at"), [("mmap", 1), ("mremap", 2)])
def test_a_parser_that_wants_too_much_memory_at_once_is_ended(
    machine: Architecture, name: str, length_at: int
) -> None:
    def wanting(length: int) -> int:
        return parser_outcome(machine, name, *([0] * length_at), length)

    assert wanting(LARGEST) == bpf.ALLOW
    assert wanting(LARGEST + 1) == bpf.KILL_PROCESS
    assert wanting(2**32) == bpf.KILL_PROCESS, "the lower half of its length is zero"
    assert wanting(2**63) == bpf.KILL_PROCESS


@BOTH
@pytest.mark.parametrize("name", ["mmap", "mprotect"])
def test_a_parser_gets_no_executable_memory(machine: Architecture, name: str) -> None:
    assert parser_outcome(machine, name, 0, 4096, mmap.PROT_READ | mmap.PROT_WRITE) == bpf.ALLOW
    assert parser_outcome(machine, name, 0, 4096, mmap.PROT_READ | mmap.PROT_EXEC) == EPERM


@BOTH
@pytest.mark.parametrize(
    "flags", [os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_CREAT, os.O_RDONLY | os.O_TRUNC]
)
def test_a_parser_opens_files_for_reading_only(machine: Architecture, flags: int) -> None:
    assert parser_outcome(machine, "openat", 0, 0, os.O_RDONLY | os.O_CLOEXEC) == bpf.ALLOW
    assert parser_outcome(machine, "openat", 0, 0, flags) == EPERM
    if machine.number("open") is not None:
        assert parser_outcome(machine, "open", 0, flags) == EPERM


@BOTH
def test_another_interface_of_the_kernel_is_no_way_round(machine: Architecture) -> None:
    other = AARCH64 if machine is X86_64 else X86_64
    i386 = 0x40000003
    for program in (parser_filter(machine, LARGEST), engine_filter(machine, "none")):
        assert outcome(program, 0, audit=other.audit) == bpf.KILL_PROCESS
        assert outcome(program, 0, audit=i386) == bpf.KILL_PROCESS


def test_x32_calls_are_refused() -> None:
    execve = X86_64.number("execve")
    assert execve is not None
    for program in (parser_filter(X86_64, LARGEST), engine_filter(X86_64, "none")):
        assert outcome(program, 0x40000000 | execve, audit=X86_64.audit) == EPERM


@BOTH
def test_an_engine_computes_and_starts_threads(machine: Architecture) -> None:
    thread = 0x3D0F00  # what pthread_create asks of clone
    assert engine_outcome(machine, "clone", thread) == bpf.ALLOW
    for name in ("mmap", "mprotect", "openat", "futex", "sched_getaffinity"):
        assert engine_outcome(machine, name, 0, 0, 0xFFFF) == bpf.ALLOW, name


@BOTH
def test_an_engine_starts_no_program_and_looks_into_no_process(machine: Architecture) -> None:
    for name in ("execve", "execveat", "ptrace", "process_vm_readv", "pidfd_getfd", "bpf"):
        assert engine_outcome(machine, name) == EPERM, name


@BOTH
def test_an_engine_makes_no_namespace(machine: Architecture) -> None:
    new_user = 0x10000000
    assert engine_outcome(machine, "clone", new_user) == EPERM
    assert engine_outcome(machine, "clone3") == bpf.refuse(errno.ENOSYS), "falls back to clone"
    assert engine_outcome(machine, "unshare", new_user) == EPERM


@BOTH
def test_sockets_of_an_engine_are_for_those_who_need_them(machine: Architecture) -> None:
    unix, inet = 1, 2
    assert engine_outcome(machine, "socket", unix) == EPERM
    assert engine_outcome(machine, "socket", unix, sockets="unix") == bpf.ALLOW
    assert engine_outcome(machine, "socket", inet, sockets="unix") == EPERM
    assert engine_outcome(machine, "socket", inet, sockets="any") == bpf.ALLOW


@BOTH
def test_the_list_of_a_parser_holds_nothing_that_an_engine_must_not_do(
    machine: Architecture,
) -> None:
    assert set(PARSER_MAY).isdisjoint(ENGINE_MUST_NOT)
    assert set(PARSER_MAY).isdisjoint({"clone", "clone3", "socket", "kill", "tgkill", "prctl"})
    assert set(PARSER_MAY).isdisjoint({"ioctl", "prlimit64", "setrlimit", "connect", "sendto"})


def test_who_was_refused_memory_has_passed_the_limit_before() -> None:
    """The most that is granted at once is what lies between our limit and the kernel's."""
    limits = ParserLimits(memory_bytes=256 * MIB, cpu_s=10, answer_bytes=MIB)
    assert limits.hard_memory_bytes - limits.largest_mapping_bytes == limits.memory_bytes
