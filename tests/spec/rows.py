"""The 14 rows of the specification, and what the tests that are named for them say of each.

A test belongs to row 7 if its name starts with ``test_row_07_``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

#: Number -> requirement and scenario.
ROWS: Mapping[int, tuple[str, str]] = {
    1: ("model manager", "loading a model"),
    2: ("model manager", "reusing a loaded model"),
    3: ("model manager", "unloading an idle model"),
    4: ("service pool", "acquiring a service"),
    5: ("service pool", "releasing a service"),
    6: ("memory monitoring", "warning at 80 %"),
    7: ("memory monitoring", "critical at 95 %"),
    8: ("concurrency control", "limit 2, two running"),
    9: ("resource cleanup", "success"),
    10: ("resource cleanup", "failure"),
    11: ("pooled instances", "task using a pooled service"),
    12: ("PP-StructureV3 under the lifecycle", "idle, and memory pressure"),
    13: ("task resource tracking", "estimated and actual memory"),
    14: ("no permanent loading", "nothing is loaded until first use"),
}

_NAME = re.compile(r"::test_row_(\d\d)_")


@dataclass(slots=True)
class Tally:
    """The tests of one row: how many ran, and how many of them passed."""

    ran: int = 0
    passed: int = 0

    @property
    def result(self) -> str:
        """In words; skipped tests have not run."""
        if not self.ran:
            return "not run"
        return "passed" if self.passed == self.ran else "FAILED"


@dataclass(slots=True)
class Results:
    """Counts the tests of a run by row."""

    rows: dict[int, Tally] = field(default_factory=lambda: {row: Tally() for row in ROWS})

    def add(self, outcome: str, tests: Iterable[str]) -> None:
        """Tests by node id, once each. ``outcome``: pytest's, e.g. passed, failed, error."""
        for test in tests:
            named = _NAME.search(test)
            if named and outcome in ("passed", "failed", "error"):
                tally = self.rows[int(named[1])]
                tally.ran += 1
                tally.passed += outcome == "passed"

    def lines(self) -> Iterator[str]:
        """The table."""
        table = [("row", "requirement", "scenario", "result", "tests")]
        for number, tally in self.rows.items():
            passed = f"{tally.passed}/{tally.ran}" if tally.ran else "-"
            table.append((str(number), *ROWS[number], tally.result, passed))
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for line in table:
            yield "  ".join(map(str.ljust, line, widths)).rstrip()
