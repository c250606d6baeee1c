"""The real documents, which are kept outside of the repository; see their README.md."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CORPUS = Path(
    os.environ.get("OCR_SERVE_CORPUS", Path(__file__).resolve().parents[2] / "shared" / "corpus")
)


def corpus_file(name: str) -> bytes:
    """The bytes of one document; skips the test where it is not there."""
    path = CORPUS / name
    if not path.is_file():
        pytest.skip(f"no {name} in {CORPUS}; set OCR_SERVE_CORPUS")
    return path.read_bytes()
