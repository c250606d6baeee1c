"""The locks on an engine process: looser, for it parses no untrusted file, and drives a GPU.

Two steps. Before the model is loaded there is one thread, and Landlock holds for those that it
starts; what a load needs of the network and of other programs is barred afterwards, by seccomp.
An engine stays readable by its parent: its peak is read from /proc (``devices/process_memory.py``).
"""

from __future__ import annotations

import contextlib
import os
import resource
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from serve_app.sandbox import kernel, landlock, seccomp
from serve_app.sandbox.kernel import Unavailable
from serve_app.sandbox.syscalls import this_architecture

# Other processes, and what is mounted into containers for one program to read.
CLOSED = (Path("/proc"), Path("/run/secrets"))
# Where a user keeps tokens and keys, in the home folder.
SECRETS = (
    *(".ray", ".aws", ".azure", ".config/gcloud", ".kube", ".docker", ".ssh", ".gnupg"),
    *(".netrc", ".pypirc", ".git-credentials"),
)
# Of the whole machine, in /proc.
_MACHINE = (
    *("cpuinfo", "meminfo", "stat", "vmstat", "loadavg", "uptime", "version", "zoneinfo"),
    *("sys", "devices", "driver", "filesystems", "modules", "cgroups", "interrupts"),
)


# Of NVIDIA's driver; under WSL it is the second.
GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg")


class EngineSandbox:
    """The layers that this kernel has.

    Args:
        gpu: it drives a GPU.
        hub: its weights come from a model hub.
    """

    def __init__(self, *, gpu: bool = False, hub: bool = False) -> None:
        self._gpu, self._hub = gpu, hub
        self._own: int | None = None
        #: What could not be had, for the log.
        self.missing: list[str] = []

    def before_load(self) -> None:
        """Files: no secrets and no other process are read, only caches are changed. No TCP."""
        self._try(kernel.no_new_privileges)
        kernel.limit({resource.RLIMIT_CORE: 0})
        self._try(self._enter_landlock)

    def after_load(self) -> None:
        """No program is started, no other process looked into, no socket made."""
        self._try(self._install_filter)

    def _enter_landlock(self) -> None:
        home = Path.home().resolve()
        caches = cache_folders(home, self._hub)
        # Its dentry is kept, for a rule is about what was found under the name.
        self._own = os.open("/proc/self", os.O_PATH | os.O_CLOEXEC)
        rules = landlock.Ruleset(
            # Libraries run programs while they load (to ask for fonts, for instance); seccomp ends
            # that afterwards.
            run=readable_paths(home),
            write=[
                *(Path(tempfile.gettempdir()), Path("/dev"), Path(f"/proc/{os.getpid()}")),
                *caches,
            ],
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


def readable_paths(home: Path) -> list[Path]:
    """The whole machine but what is known to hold secrets.

    Not a list of what is needed: libraries look for settings in many places, and take a file that
    is there and cannot be opened for an error.
    """
    closed = [*(home / name for name in SECRETS), *CLOSED]
    return [*all_but(Path("/"), closed), *(Path("/proc") / name for name in _MACHINE)]


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


def cache_folders(home: Path, hub: bool) -> list[Path]:
    """Where an engine may write: caches of Paddle, its plots and CUDA; with a hub all of the user.

    Those that the libraries would make themselves are made: a rule needs a folder that is there.
    """
    made = [
        Path(os.environ.get("PADDLE_PDX_CACHE_HOME") or home / ".paddlex"),
        Path(os.environ.get("MPLCONFIGDIR") or home / ".cache" / "matplotlib"),
        home / ".cache" / "paddle",
    ]
    if any(Path(device).exists() for device in GPU_DEVICES):
        made.append(Path(os.environ.get("CUDA_CACHE_PATH") or home / ".nv"))
    if hub:
        hubs = ("XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "MODELSCOPE_CACHE")
        made += [Path(os.environ[name]) for name in hubs if os.environ.get(name)]
        made += [home / ".cache", home / ".modelscope"]
    for folder in made:
        with contextlib.suppress(OSError):  # a home that cannot be written to: nothing is cached
            folder.mkdir(parents=True, exist_ok=True)
    return made
