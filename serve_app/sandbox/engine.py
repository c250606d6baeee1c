"""The locks on an engine process: looser, for it parses no stranger's file, and drives a GPU.

Two steps. Before the model is loaded there is one thread, and Landlock holds for those that it
starts; what a load needs of the network and of other programs is barred afterwards, by seccomp.
An engine stays readable by its parent: its peak is read from /proc (``devices/process_memory.py``).
"""

from __future__ import annotations

import contextlib
import os
import resource
import site
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from serve_app.sandbox import kernel, landlock, seccomp
from serve_app.sandbox.kernel import Unavailable
from serve_app.sandbox.syscalls import this_architecture

# Other processes, and what is mounted into pods for others to read.
CLOSED = (Path("/proc"), Path("/run"))
# Of the whole machine, in /proc.
_MACHINE = (
    *("cpuinfo", "meminfo", "stat", "vmstat", "loadavg", "uptime", "version", "zoneinfo"),
    *("sys", "devices", "driver", "filesystems", "modules", "cgroups", "interrupts"),
)


class EngineSandbox:
    """The layers that this kernel has.

    Args:
        gpu: it drives a GPU.
        hub: its weights come from a model hub.
        read: what it may read wherever that is: weights, a font.
    """

    def __init__(self, *, gpu: bool = False, hub: bool = False, read: Sequence[str] = ()) -> None:
        self._gpu, self._hub = gpu, hub
        self._read = [Path(path) for path in read]
        self._own: int | None = None
        #: What could not be had, for the log.
        self.missing: list[str] = []

    def before_load(self) -> None:
        """Files: no home folder and no other process is read, only caches are changed. No TCP."""
        self._try(kernel.no_new_privileges)
        kernel.limit({resource.RLIMIT_CORE: 0})
        self._try(self._enter_landlock)

    def after_load(self) -> None:
        """No program is started, no other process looked into, no socket made."""
        self._try(self._install_filter)

    def _enter_landlock(self) -> None:
        home, caches = Path.home(), cache_folders(Path.home(), self._hub)
        # A client of a hub, and CUDA, may look for settings in the home folder.
        closed = _secrets(home) if self._hub or self._gpu else _homes(home)
        # Its dentry is kept, for a rule is about what was found under the name.
        self._own = os.open("/proc/self", os.O_PATH | os.O_CLOEXEC)
        own = Path(f"/proc/{os.getpid()}")
        rules = landlock.Ruleset(
            read=[*readable_paths(closed), *self._read],
            write=[Path(tempfile.gettempdir()), Path("/dev"), own, *caches],
            # A hub's client may start programs while it loads; seccomp ends that afterwards.
            run=all_but(Path("/"), [*closed, *CLOSED]) if self._hub else [],
            tcp=self._hub,
        )
        self.missing += rules.missing
        try:
            rules.enter()
        finally:
            rules.close()

    def _install_filter(self) -> None:
        machine = this_architecture()
        sockets: seccomp.Sockets = "any" if self._hub else "unix" if self._gpu else "none"
        seccomp.install(machine, seccomp.engine_filter(machine, sockets))

    def _try(self, lock: Callable[[], None]) -> None:
        try:
            lock()
        except (Unavailable, OSError) as why:
            self.missing.append(str(why))


def readable_paths(closed: Iterable[Path]) -> list[Path]:
    """The machine without these folders, but with Python and its packages, wherever they are."""
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    python = [sys.prefix, sys.base_prefix, *site.getsitepackages(), *sys.path[1:], *libraries]
    package = Path(__file__).resolve().parents[1]
    machine = [Path("/proc") / name for name in _MACHINE]
    installed = [Path(path) for path in python if path and not _is_around(path, closed)]
    return [*all_but(Path("/"), [*closed, *CLOSED]), *machine, package, *installed]


def all_but(folder: Path, closed: Sequence[Path]) -> list[Path]:
    """The fewest files and folders that are all below ``folder`` without the closed ones.

    Links are left out: a rule is about what they lead to.
    """
    if folder in closed or folder.is_symlink():
        return []
    if not any(folder in path.parents for path in closed):
        return [folder]
    try:
        inside = list(folder.iterdir())
    except OSError:
        return []
    return [path for child in inside for path in all_but(child, closed)]


def _is_around(path: str, closed: Iterable[Path]) -> bool:
    """Whether what is closed lies in it: a checkout on the path with a home folder in it."""
    return any(Path(path) == folder or Path(path) in folder.parents for folder in closed)


def _homes(home: Path) -> list[Path]:
    """The user's, unless that is no folder of its own (containers), and everybody else's."""
    own = [home] if home != Path("/") else []
    return [*own, Path("/root"), Path("/home")]


def _secrets(home: Path) -> list[Path]:
    """Where tokens and keys are kept."""
    names = (".ray", ".aws", ".azure", ".config/gcloud", ".kube", ".docker", ".ssh", ".gnupg")
    return [home / name for name in names]


def cache_folders(home: Path, hub: bool) -> list[Path]:
    """Where an engine may write: PaddleX's and CUDA's caches; with a hub, all of the user's.

    Those that the libraries would make themselves are made: a rule needs a folder that is there.
    """
    made = [Path(os.environ.get("PADDLE_PDX_CACHE_HOME") or home / ".paddlex")]
    if Path("/dev/nvidiactl").exists():
        made.append(Path(os.environ.get("CUDA_CACHE_PATH") or home / ".nv"))
    if hub:
        hubs = ("XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "MODELSCOPE_CACHE")
        made += [Path(os.environ[name]) for name in hubs if os.environ.get(name)]
        made += [home / ".cache", home / ".modelscope"]
    for folder in made:
        with contextlib.suppress(OSError):  # a home that cannot be written to: nothing is cached
            folder.mkdir(parents=True, exist_ok=True)
    return made
