"""Where results go: raw numbers as JSON (not in git), tables into RESULTS.md (in git)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from tests.bench.session import Outcome

HERE = Path(__file__).resolve().parent
RAW = HERE / "results"
TABLES = HERE / "RESULTS.md"
TITLE = """# Bench results

Written by `python -m tests.bench --write`: one section for each kind of machine, replaced by the
next run on that kind. What the columns mean is in `tests/bench/README.md`.
"""


def save_raw(outcomes: Mapping[str, Outcome], facts: Mapping[str, Mapping[str, str]]) -> Path:
    """All blocks with their facts; the file."""
    path = raw_file()
    pipelines = {name: asdict(outcome) for name, outcome in outcomes.items()}
    path.write_text(json.dumps({**facts, "pipelines": pipelines}, indent=1), encoding="utf-8")
    return path


def raw_file(prefix: str = "") -> Path:
    """A file for raw numbers, not yet there; its name begins so, and tells the time."""
    RAW.mkdir(exist_ok=True)
    return RAW / time.strftime(f"{prefix}%Y%m%d-%H%M%S.json")


def write_tables(machine: str, section: str, file: Path = TABLES) -> None:
    """Replace the section of this kind of machine, or add it."""
    text = file.read_text(encoding="utf-8") if file.exists() else TITLE
    heading = f"## {machine}\n"
    section = f"{heading}\n{section.strip()}\n"
    start = text.find(heading)
    if start < 0:
        text = f"{text.rstrip()}\n\n{section}"
    else:
        following = re.search(r"^## ", text[start + len(heading) :], re.MULTILINE)
        end = start + len(heading) + following.start() if following else len(text)
        text = f"{text[:start]}{section}\n{text[end:]}".rstrip() + "\n"
    file.write_text(text, encoding="utf-8")
