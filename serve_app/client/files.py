"""Which files a command line means, and where their results go."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = frozenset({".pdf", ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
ENDINGS = {"markdown": "md", "text": "txt"}


@dataclass(frozen=True, slots=True)
class Document:
    """A file, and where its result goes: beside it, or at the same place below another folder."""

    source: Path
    target: Path


def documents(
    given: Iterable[str], out: Path | None, format_: str
) -> tuple[list[Document], list[str]]:
    """The documents, each once; and what there is none for.

    Folders are searched for files with known endings; patterns that the shell has left are
    expanded. A file that is named is taken whatever its ending.
    """
    found: dict[Path, Document] = {}
    missing: list[str] = []
    for text in given:
        sources = list(_sources(text))
        if not sources:
            missing.append(text)
        for source, base in sources:
            target = out / source.relative_to(base) if out else source
            ending = ENDINGS.get(format_, format_)
            document = Document(source, target.with_name(f"{target.name}.{ending}"))
            found.setdefault(source.resolve(), document)
    return list(found.values()), missing


def _sources(text: str) -> Iterator[tuple[Path, Path]]:
    """Files, each with the folder that its place below ``out`` is relative to."""
    path = Path(text)
    if path.is_dir():
        yield from ((file, path) for file in sorted(path.rglob("*")) if _is_known(file))
    elif path.is_file():
        yield path, path.parent
    elif glob.has_magic(text):
        for name in sorted(glob.glob(text, recursive=True)):
            match = Path(name)
            if _is_known(match):
                yield match, match.parent


def _is_known(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and file.is_file()
