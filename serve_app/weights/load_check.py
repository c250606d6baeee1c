"""Weights are compared with their pins when an engine loads them, and looked at once more after it.

PaddleX opens the files by their paths, after us. So what each file was when it was hashed (device,
inode, length and times of change) must be the same when the pipeline stands: whoever writes or
replaces a file in between changes the time that nobody can set (ctime). What remains is somebody
who exchanges a whole directory and puts the old one back within the load, or is root; against both
the directory is mounted read-only (k8s/).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from serve_app.errors import WeightsError
from serve_app.weights.pins import Pins, differences


@dataclass(frozen=True, slots=True)
class _Identity:
    """What changes when a file is written or replaced."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, facts: os.stat_result) -> _Identity:
        return cls(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


class LoadCheck:
    """The check of one load. Its messages name models and files, no folders: clients see them."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Path, dict[Path, _Identity]]] = {}

    def check(
        self,
        model: str,
        directory: Path,
        pins: Pins,
        remedy: str,
        *,
        ignored: frozenset[str] = frozenset(),
    ) -> None:
        """Compare every file of ``directory`` with ``pins``; once per model.

        Args:
            model: its name, for messages.
            directory: the PaddleX model directory.
            pins: all the files that it may hold.
            remedy: what to do about it, for messages.
            ignored: files that nobody loads.

        Raises:
            WeightsError: a file is missing, has another content, or is one too many.
        """
        if model in self._seen:
            return
        seen: dict[Path, _Identity] = {}
        for name, what in differences(
            directory,
            pins,
            ignored=ignored,
            opened=lambda path, facts: seen.update({path: _Identity.of(facts)}),
        ):
            raise _refusal(model, name, what, remedy)
        self._seen[model] = directory, seen

    def assert_unchanged(self) -> None:
        """After the load: nothing was written, replaced or added since it was hashed.

        Raises:
            WeightsError: something was.
        """
        for model, (directory, seen) in self._seen.items():
            for path, before in seen.items():
                name = path.relative_to(directory).as_posix()
                try:
                    now = _Identity.of(path.stat())
                except OSError:
                    now = None
                if now != before:
                    raise _refusal(model, name, "was changed while it was loaded", "load it again")


def _refusal(model: str, name: str, what: str, remedy: str) -> WeightsError:
    return WeightsError(
        f"the weights of {model} are not those that were pinned: {name} {what}; {remedy}"
    )
