"""Ask an advisory service for known vulnerabilities of what the locks install: ``make audit``.

pip-audit asks PyPI's service. It exits with 0, too, when the service knew none of the packages, as
behind a mirror that serves files only; that is no audit, and is told as such here.

Exit status: 0 nothing is known against any of them, 1 something is, 2 they could not be audited.
Not a part of ``make lint`` and ``.ci/run``, which need no such service.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCKS = tuple(f"requirements/{name}.lock" for name in ("cpu", "dev", "gpu", "gpu-cuda12"))
TIMEOUT_S = 600.0
CLEAN, VULNERABLE, NOT_AUDITED = 0, 1, 2


def verdict(name: str, report: Mapping[str, Any]) -> tuple[int, list[str]]:
    """The exit status for a report of pip-audit's on the lock ``name``, and what to print."""
    dependencies = report["dependencies"]
    skipped = [one["name"] for one in dependencies if "skip_reason" in one]
    lines = [
        f"{name}: {one['name']} {one['version']}: {known['id']}"
        f" (fixed in {', '.join(known['fix_versions']) or 'no version'})"
        for one in dependencies
        for known in one.get("vulns", ())
    ]
    audited = len(dependencies) - len(skipped)
    if lines:
        return VULNERABLE, [*lines, f"{name}: {len(lines)} advisories in {audited} packages"]
    if skipped or not dependencies:
        return NOT_AUDITED, [
            f"{name}: NOT AUDITED: the service knew {audited} of {len(dependencies)} packages; "
            "the package index of this machine has no advisories"
        ]
    return CLEAN, [f"{name}: nothing is known against {audited} packages"]


def audited(name: str) -> tuple[int, list[str]]:
    """Have pip-audit ask about one lock."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(ROOT / name)]
    command += ["--disable-pip", "--format", "json", "--progress-spinner", "off"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return NOT_AUDITED, [f"{name}: NOT AUDITED: no answer within {TIMEOUT_S:g} s"]
    try:
        return verdict(name, json.loads(asked.stdout))
    except (ValueError, KeyError, TypeError):
        last = (asked.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        return NOT_AUDITED, [f"{name}: NOT AUDITED: {last}"]


def main() -> int:
    """Audit every lock; the worst status."""
    found = [audited(name) for name in LOCKS]
    for _, lines in found:
        print("\n".join(lines))
    statuses = {status for status, _ in found}
    return VULNERABLE if VULNERABLE in statuses else max(statuses)


if __name__ == "__main__":
    sys.exit(main())
