"""seccomp: which system calls a process may make. One filter for parsers, one for engines.

Written by hand: the binding for libseccomp that the package index has (pyseccomp) was last released
in 2021 and needs a library that slim images lack, for two fixed lists.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from typing import Literal

from serve_app.sandbox import bpf
from serve_app.sandbox.bpf import Program, refuse
from serve_app.sandbox.kernel import Unavailable, syscall
from serve_app.sandbox.syscalls import Architecture

_SET_MODE_FILTER = 1
# Flags: for all threads; without the slow-down against speculation that kernels before 5.16 add.
_TSYNC, _SPEC_ALLOW = 1, 4

_AF_UNIX = 1
_CLONE_NEW = 0x7E020080  # <linux/sched.h>: all CLONE_NEW*
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

# What PDFium, OpenCV, Pillow and Python need once all of them are loaded. No process, thread,
# socket or program can be made, nobody signalled, no limit or lock changed.
PARSER_MAY = (
    # memory; large mappings and executable ones are cut out below
    *("brk", "madvise", "mmap", "mprotect", "mremap", "munmap"),
    # files; those that write are cut out below
    *("access", "close", "dup", "faccessat", "faccessat2", "fcntl", "fstat", "fstatfs", "getcwd"),
    *(
        "getdents64",
        "lseek",
        "lstat",
        "newfstatat",
        "open",
        "openat",
        "pread64",
        "read",
        "readlink",
    ),
    *("readlinkat", "readv", "stat", "statfs", "statx"),
    # the answer: an anonymous file, sent through the socket that it was started with
    *("ftruncate", "memfd_create", "poll", "ppoll", "pselect6", "pwrite64", "recvfrom", "recvmsg"),
    *("select", "sendmsg", "write", "writev"),
    # itself, and time
    *("arch_prctl", "clock_getres", "clock_gettime", "clock_nanosleep", "exit", "exit_group"),
    *("futex", "getcpu", "getegid", "geteuid", "getgid", "getpid", "getppid", "getrandom"),
    *("getrusage", "gettid", "gettimeofday", "getuid", "membarrier", "nanosleep"),
    *("restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn"),
    *("sched_getaffinity", "sched_yield", "set_robust_list", "sigaltstack", "sysinfo", "time"),
    *("times", "uname"),
)

# What no engine does once its model is loaded, and what an exploit would do next.
ENGINE_MUST_NOT = (
    *("execve", "execveat", "uselib"),
    # other processes
    *("kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace"),
    # the kernel's larger surfaces
    *("bpf", "io_uring_enter", "io_uring_register", "io_uring_setup", "perf_event_open"),
    *("userfaultfd", "add_key", "keyctl", "request_key"),
    # namespaces and file systems
    *("chroot", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount"),
    *("name_to_handle_at", "open_by_handle_at", "open_tree", "pivot_root", "setns", "umount2"),
    "unshare",
    # the machine
    *("acct", "adjtimex", "clock_adjtime", "clock_settime", "delete_module", "finit_module"),
    *("init_module", "ioperm", "iopl", "kexec_file_load", "kexec_load", "lookup_dcookie"),
    *("nfsservctl", "personality", "quotactl", "quotactl_fd", "reboot", "setdomainname"),
    *("sethostname", "settimeofday", "swapoff", "swapon", "syslog", "vhangup"),
)

_DENIED = refuse(errno.EPERM)
MAX_MAPPING_BYTES = 2**32 - 1  # what the filter can compare with


def parser_filter(machine: Architecture, largest_mapping_bytes: int) -> bytes:
    """Only ``PARSER_MAY``; other calls fail with EPERM, so that a library can do without.

    A mapping larger than ``largest_mapping_bytes`` ends the process (SIGSYS). Were it refused, a
    decoder would leave the picture out, and the page would look sound.
    """
    program = _begin(machine)
    largest = min(largest_mapping_bytes, MAX_MAPPING_BYTES)
    for name, argument in (("mmap", 1), ("mremap", 2)):
        program.above(_number(machine, name), argument, largest, bpf.KILL_PROCESS)
    for name, argument in (("mmap", 2), ("mprotect", 2)):
        program.any_bit(_number(machine, name), argument, mmap.PROT_EXEC, _DENIED)
    program.any_bit(_number(machine, "openat"), 2, _WRITING, _DENIED)
    if (old_open := machine.number("open")) is not None:
        program.any_bit(old_open, 1, _WRITING, _DENIED)
    program.on(_numbers(machine, PARSER_MAY), bpf.ALLOW)
    return program.otherwise(_DENIED)


Sockets = Literal["none", "unix", "any"]


def engine_filter(machine: Architecture, sockets: Sockets) -> bytes:
    """Everything but ``ENGINE_MUST_NOT`` and other new sockets (CUDA's services use Unix ones)."""
    program = _begin(machine)
    program.on(_numbers(machine, ENGINE_MUST_NOT), _DENIED)
    # Its flags lie in memory, where a filter cannot look; the C library then uses clone.
    program.on([_number(machine, "clone3")], refuse(errno.ENOSYS))
    program.any_bit(_number(machine, "clone"), 0, _CLONE_NEW, _DENIED)
    if sockets == "none":
        program.on([_number(machine, "socket")], _DENIED)
    elif sockets == "unix":
        program.unless_equal(_number(machine, "socket"), 0, _AF_UNIX, _DENIED)
    return program.otherwise(bpf.ALLOW)


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install(machine: Architecture, program: bytes) -> None:
    """Hold the whole process to the filter, for good. Needs ``no_new_privileges``.

    Raises:
        Unavailable: the kernel refuses.
    """
    wanted = _FilterProgram(len(program) // 8, program)
    flags = _TSYNC | _SPEC_ALLOW
    try:
        refused_by = syscall(
            machine.seccomp,
            ctypes.c_uint(_SET_MODE_FILTER),
            ctypes.c_uint(flags),
            ctypes.byref(wanted),
        )
    except OSError as error:
        raise Unavailable(f"seccomp: {error.strerror}") from None
    if refused_by:
        raise Unavailable("seccomp: a thread has another filter")


def _begin(machine: Architecture) -> Program:
    program = Program()
    program.require_architecture(machine.audit)
    if machine.other_abi_from is not None:
        program.from_number(machine.other_abi_from, _DENIED)
    return program


def _number(machine: Architecture, name: str) -> int:
    number = machine.number(name)
    assert number is not None, name
    return number


def _numbers(machine: Architecture, names: tuple[str, ...]) -> list[int]:
    """Those that this machine has."""
    return [number for name in names if (number := machine.number(name)) is not None]
