"""The files of the pages, with what a browser needs to keep them: type, hash, and packed."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FOLDER = Path(__file__).parent / "static"
TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class StaticFile:
    """One file; read when it is first asked for, then kept: all of them are 2 MB, packed 0.6."""

    path: Path

    @property
    def media_type(self) -> str:
        """By its name."""
        return TYPES[self.path.suffix]

    @cached_property
    def packed(self) -> bytes:
        """Its content by gzip; the same for the same content."""
        return gzip.compress(self.path.read_bytes(), mtime=0)

    @cached_property
    def etag(self) -> str:
        """Of its content."""
        return f'"{hashlib.sha256(self.packed).hexdigest()[:32]}"'

    @property
    def content(self) -> bytes:
        """As it is."""
        return gzip.decompress(self.packed)


def files_below(folder: Path) -> dict[str, StaticFile]:
    """By name; what is not in here is not served, whatever a path looks like."""
    return {path.name: StaticFile(path) for path in folder.iterdir() if path.suffix in TYPES}
