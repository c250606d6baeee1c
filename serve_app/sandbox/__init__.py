"""What a child process may do: its environment, and the kernel's locks on it.

- ``environment.py``: the variables that a child gets; all others stay with the parent.
- ``kernel.py``: no new privileges, not readable by others, resource limits.
- ``landlock.py``: which files it may open.
- ``seccomp.py``, ``bpf.py``, ``syscalls.py``: which system calls it may make.
- ``parser.py``, ``engine.py``: these put together for the two kinds of children.

A layer that the kernel does not have is left out; who starts the child logs which. Not covered:
what the parent does with a child's answers (``documents/parsers.py``, ``child/process.py``).
"""
