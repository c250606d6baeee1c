"""The locks on an engine process: looser, for it parses no stranger's file, and drives a GPU.

Two steps. Before the model is loaded there is one thread, and Landlock holds for those that it
starts; what a load needs of the network and of other programs is barred afterwards, by seccomp.
An engine stays readable by its parent: its peak is read from /proc (``devices/process_memory.py``).
"""

from __future__ import annotations

import contextlib
import os
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path

from serve_app.sandbox import kernel, landlock, seccomp
from serve_app.sandbox.kernel import Unavailable
from serve_app.sandbox.syscalls import this_architecture


class EngineSandbox:
    """Args: ``gpu``: it drives a GPU; ``hub``: its weights come from a model hub."""

    def __init__(self, *, gpu: bool, hub: bool) -> None:
        self._gpu, self._hub = gpu, hub
        #: What could not be had, for the log.
        self.missing: list[str] = []

    def before_load(self) -> None:
        """No files are changed but temporary ones, caches and devices; no TCP."""
        self._try(kernel.no_new_privileges)
        kernel.limit({resource.RLIMIT_CORE: 0})
        self._try(self._enter_landlock)

    def after_load(self) -> None:
        """No program is started, no other process looked into, no socket made."""
        self._try(self._install_filter)

    def _enter_landlock(self) -> None:
        root, caches = Path("/"), cache_folders(Path.home(), self._hub)
        # A hub's client may start programs while it loads; seccomp ends that afterwards.
        rules = landlock.Ruleset(
            read=[root],
            write=[Path(tempfile.gettempdir()), Path("/dev"), Path("/proc/self"), *caches],
            run=[root] if self._hub else [],
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
