"""The manifest of one unpacked model: which files it has, how long they are, their hashes.

It is written last into a directory, so a directory without one is unfinished. ``is_complete``
compares lengths only and costs one read and one stat per file. It says nothing about who wrote the
files: that is the pins' part (``pins.py``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from serve_app.weights.pins import sha256_of

MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """Length and hash of one file, as written by the pull."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Which model a directory holds.

    Attributes:
        model: PaddleX model name.
        key: version key, see ``BundledModel.key``.
        source: what the files were made from, e.g. "rapidocr==3.10.0".
        files: entry per file name; the manifest itself is not among them.
    """

    model: str
    key: str
    source: str
    files: Mapping[str, FileEntry]


def write_manifest(directory: Path, model: str, key: str, source: str) -> Manifest:
    """Describe all files that lie in ``directory`` now."""
    files = {
        path.name: FileEntry(path.stat().st_size, sha256_of(path))
        for path in sorted(directory.iterdir())
    }
    manifest = Manifest(model, key, source, files)
    text = json.dumps(asdict(manifest), indent=1, ensure_ascii=False)
    (directory / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")
    return manifest


def read_manifest(directory: Path) -> Manifest | None:
    """The manifest of ``directory``, or None when it is absent or not readable as one."""
    try:
        raw = json.loads((directory / MANIFEST_NAME).read_text(encoding="utf-8"))
        files = {
            str(name): FileEntry(int(entry["size_bytes"]), str(entry["sha256"]))
            for name, entry in raw["files"].items()
        }
        return Manifest(str(raw["model"]), str(raw["key"]), str(raw["source"]), files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def is_complete(directory: Path) -> bool:
    """Whether the manifest is there and every file of it has the length written in it."""
    manifest = read_manifest(directory)
    return manifest is not None and not any(_wrong_lengths(directory, manifest))


def _wrong_lengths(directory: Path, manifest: Manifest) -> Iterator[tuple[str, str]]:
    for name, entry in manifest.files.items():
        try:
            found = (directory / name).stat().st_size
        except OSError:
            yield name, "missing"
            continue
        if found != entry.size_bytes:
            yield name, f"{found} bytes, expected {entry.size_bytes}"
