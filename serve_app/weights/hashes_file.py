"""The operator's pins for ``weights.source: directory``: a file as ``sha256sum`` writes it.

    <64 hex digits>  <PaddleX model name>/<file>

`ocr-serve weights pin DIR` writes it, `sha256sum -c` in DIR reads it, too. It belongs where those
who can write the models cannot write: in an image, or in a ConfigMap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from serve_app.errors import WeightsError
from serve_app.weights.pins import Pins, pins_of

_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64}) [ *](?P<path>\S.*)")
# By this file PaddleX knows a model directory.
_CONFIG = "inference.yml"


def read(file: Path) -> dict[str, Pins]:
    """Pins by model.

    Raises:
        WeightsError: it cannot be read, or a line is none of ``sha256sum``; the line is named.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise WeightsError(f"weights.hashes_file cannot be read: {reason}") from None
    found: dict[str, dict[str, str]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line)
        path = PurePosixPath(match["path"]) if match else PurePosixPath()
        if match is None or path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
            raise WeightsError(
                f"weights.hashes_file, line {number}: should be a SHA-256, two spaces and "
                "MODEL/FILE, as `ocr-serve weights pin` writes it"
            )
        model, name = path.parts[0], PurePosixPath(*path.parts[1:]).as_posix()
        if name in found.setdefault(model, {}):
            raise WeightsError(f"weights.hashes_file, line {number}: {path} is there twice")
        found[model][name] = match["sha256"]
    return dict(found)


def models_in(directory: Path) -> list[str]:
    """The folders of ``directory`` that are PaddleX models. Raises OSError."""
    return sorted(path.parent.name for path in directory.glob(f"*/{_CONFIG}"))


def lines_of(directory: Path, models: Iterable[str]) -> list[str]:
    """The lines of a file with these models, as they are now. Raises OSError."""
    return write({model: pins_of(directory / model) for model in models})


def write(pins: Mapping[str, Pins]) -> list[str]:
    """The lines of a file with these pins."""
    return [
        f"{sha256}  {model}/{name}"
        for model, files in pins.items()
        for name, sha256 in files.items()
    ]
