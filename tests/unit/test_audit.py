"""``make audit``: what counts as audited, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

import audit

CLEAN = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
UNKNOWN = {"name": "c", "skip_reason": "Dependency not found on PyPI and could not be audited"}


@pytest.mark.parametrize(
    ("dependencies", "status", "says"),
    [
        ([CLEAN], audit.CLEAN, "x.lock: nothing is known against 1 packages"),
        ([CLEAN, BAD], audit.VULNERABLE, "x.lock: b 2: PYSEC-1 (fixed in 3)"),
        ([BAD, UNKNOWN], audit.VULNERABLE, "x.lock: b 2: PYSEC-1 (fixed in 3)"),
        ([CLEAN, UNKNOWN], audit.NOT_AUDITED, "NOT AUDITED: the service knew 1 of 2 packages"),
        ([], audit.NOT_AUDITED, "NOT AUDITED: the service knew 0 of 0 packages"),
    ],
)
def test_what_no_service_knew_is_no_audit(
    dependencies: list[dict[str, Any]], status: int, says: str
) -> None:
    found, lines = audit.verdict("x.lock", {"dependencies": dependencies})
    assert found == status
    assert says in "\n".join(lines)


def test_the_worst_of_the_locks_is_the_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = [(audit.NOT_AUDITED, ["one"]), (audit.VULNERABLE, ["two"])]
    monkeypatch.setattr(audit, "LOCKS", ("one.lock", "two.lock"))
    monkeypatch.setattr(audit, "audited", lambda name: answers.pop(0))
    assert audit.main() == audit.VULNERABLE
    assert capsys.readouterr().out == "one\ntwo\n"
