"""The configurations that come with the package: it needs no checkout."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "configs"
DEFAULT = "local"


def names() -> list[str]:
    """Of all of them."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def file_of(name: str) -> Path:
    """Its file; there is one for each of ``names``."""
    return FOLDER / f"{name}.yaml"
