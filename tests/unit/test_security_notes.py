"""SECURITY.md names tests and files that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
FINDINGS = TEXT.split("## Findings")[1]
ROWS = [line for line in FINDINGS.splitlines() if line.startswith("| ")][2:]


def test_every_finding_has_a_test() -> None:
    assert len(ROWS) > 10
    assert [row for row in ROWS if "`tests/" not in row.split(" | ")[-1]] == []


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(tests/[\w/.:]+)`", TEXT))))
def test_a_test_that_is_named_is_there(name: str) -> None:
    file, _, test = name.partition("::")
    text = (ROOT / file).read_text(encoding="utf-8")
    assert not test or re.search(rf"^(async )?def {test}\(", text, re.MULTILINE), name


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w/-]+\.(?:py|env|yaml|sh))`", TEXT))))
def test_a_file_that_is_named_is_there(name: str) -> None:
    places = (ROOT, ROOT / "serve_app")
    assert any((place / name).is_file() for place in places), name
