"""The design note says what the code does, where the code can be asked."""

from __future__ import annotations

from pathlib import Path

from serve_app.policy.admission import table_markdown

DESIGN = Path(__file__).resolve().parents[2] / "serve_app" / "DESIGN.md"


def test_the_admission_table_is_that_of_the_code() -> None:
    assert table_markdown() in DESIGN.read_text(encoding="utf-8")
