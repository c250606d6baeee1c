"""PaddleOCR's official models, fetched once into a directory: ``weights.source: directory``.

PaddleX's own code fetches them, from whichever hub it finds; there are no hashes of theirs in this
code. So the first fetch is trusted, and pinned (`ocr-serve weights pin`); every later one has to
bring the same bytes. Needs PaddleX, unlike the rest of `ocr-serve weights`.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from serve_app.settings import ModelSettings
from serve_app.weights.errors import FetchFailed, HashMismatch
from serve_app.weights.pins import Pins, differences
from serve_app.weights.pipeline_config import Weights, build_config, resolve_runtime

# Brings the model of this name, and returns its folder.
HubDownload = Callable[[str], Path]


def fetch(
    names: Iterable[str],
    directory: Path,
    pins: Mapping[str, Pins] | None,
    download: HubDownload,
    on_ready: Callable[[str], object] = lambda name: None,
) -> dict[str, Path]:
    """Bring what is missing of ``names`` to ``directory``; the folder of each.

    Args:
        names: PaddleX names.
        directory: made if it is not there. A model appears in it by one rename.
        pins: what each must be; None: whatever comes, to be pinned afterwards.
        download: brings one model.
        on_ready: told of each model that is there.

    Raises:
        FetchFailed: the hub has not brought it.
        HashMismatch: it is not what was pinned, or is not pinned at all. OSError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    there = {}
    for name in dict.fromkeys(names):
        target = directory / name
        if pins is not None and name not in pins:
            raise HashMismatch(f"no file of {name} is pinned")
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=directory, prefix=".partial-") as work:
                _bring(name, target, pins, download, Path(work))
        elif pins is not None:
            _compare(name, target, pins[name])
        there[name] = target
        on_ready(name)
    return there


def _bring(
    name: str, target: Path, pins: Mapping[str, Pins] | None, download: HubDownload, work: Path
) -> None:
    try:
        fetched = download(name)
    except Exception as error:  # a hub's client raises whatever its own libraries do
        reason = f"{type(error).__name__}: {error}"
        raise FetchFailed(f"the hub has not brought {name}: {reason}") from error
    made = work / "made"
    for file in _plain_files(fetched):
        (made / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(fetched / file, made / file)
    if not (made / "inference.yml").is_file():
        raise FetchFailed(f"what the hub has brought for {name} has no inference.yml")
    if pins is not None:
        _compare(name, made, pins[name])
    made.rename(target)


def _plain_files(folder: Path) -> Iterator[Path]:
    """Below ``folder``, without hidden ones: hubs keep notes of the download in them."""
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in below.parts):
            yield below


def _compare(name: str, folder: Path, pins: Pins) -> None:
    for file, message in differences(folder, pins):
        raise HashMismatch(f"{name}: {file} {message}")


def paddlex_download(name: str) -> Path:
    """PaddleX's own download, below the folder of ``keep_paddlex_below``."""
    from paddlex.inference.utils.official_models import official_models

    return Path(official_models.get_model_path(name))


def keep_paddlex_below(folder: Path) -> None:
    """Have PaddleX keep its files there; before it is imported, which is when it decides."""
    assert "paddlex" not in sys.modules, "it has decided already"
    os.environ["PADDLE_PDX_CACHE_HOME"] = str(folder)


def models_of(settings: Iterable[ModelSettings]) -> list[str]:
    """The PaddleX models that the pipelines with these settings load, the bundled ones apart."""
    from paddlex.inference import load_pipeline_config

    names: dict[str, None] = {}

    def note(name: str) -> Weights:
        names[name] = None
        return Weights(None, "paddle")

    for one in settings:
        if one.weights.source != "bundled":
            defaults = load_pipeline_config(one.pipeline)
            build_config(one, defaults, note, resolve_runtime(one.engine, "cpu", ()))
    return list(names)
