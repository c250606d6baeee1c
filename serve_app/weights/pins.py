"""What a model directory must hold, by name and SHA-256, and how it differs from that.

Pins come from the code (``bundled_pins.py``) or from a file of the operator's (``hashes_file.py``),
never from the directory itself: whoever can change a model can change what lies beside it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

_CHUNK_BYTES = 1 << 20


# Path below the model's directory, with slashes → SHA-256 in hex of the file.
Pins = Mapping[str, str]


def sha256_of(path: Path) -> str:
    """Hash of a file, in constant memory."""
    with path.open("rb") as stream:
        return sha256_of_stream(stream)


def sha256_of_stream(stream: BinaryIO) -> str:
    """Hash of what is left to read of an open file, in constant memory."""
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def pins_of(directory: Path) -> dict[str, str]:
    """The pins of what a directory holds now. Raises OSError."""
    return {name: sha256_of(directory / name) for name in sorted(files_of(directory))}


def files_of(directory: Path) -> Iterator[str]:
    """Path below the directory of everything in it that is no folder; links are not followed."""
    for folder, folders, names in os.walk(directory):
        for name in [*names, *(one for one in folders if os.path.islink(Path(folder, one)))]:
            yield Path(folder, name).relative_to(directory).as_posix()


def differences(
    directory: Path,
    pins: Pins,
    *,
    ignored: frozenset[str] = frozenset(),
    opened: Callable[[Path, os.stat_result], object] = lambda path, facts: None,
) -> Iterator[tuple[str, str]]:
    """Yield (file, what is wrong with it) for everything that is not as pinned.

    A file too many is a difference: which files are there decides how PaddleX reads the others.

    Args:
        directory: the model's.
        pins: all that it may hold.
        ignored: files that nobody loads.
        opened: told of each file before it is read, with what the kernel says of it then.
    """
    for name in sorted(set(files_of(directory)) - set(pins) - ignored):
        yield name, "is not one of the model's files"
    for name, sha256 in pins.items():
        try:
            with (directory / name).open("rb") as stream:
                opened(directory / name, os.fstat(stream.fileno()))
                found = sha256_of_stream(stream)
        except FileNotFoundError:
            yield name, "is missing"
            continue
        except OSError:
            yield name, "cannot be read"
            continue
        if found != sha256:
            yield name, "has another SHA-256 than the pinned one"
