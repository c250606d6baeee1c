"""The table at the end of `make spec`."""

from __future__ import annotations

import pytest

from tests.spec.rows import ROWS, Results


def row(results: Results, number: int) -> list[str]:
    """Result and count of tests."""
    lines = list(results.lines())
    assert len(lines) == 1 + len(ROWS) == 15
    return lines[number].split()[-2:]


@pytest.mark.parametrize(
    ("outcomes", "shown"),
    [
        ({}, ["run", "-"]),
        ({"skipped": 1}, ["run", "-"]),
        ({"passed": 2}, ["passed", "2/2"]),
        ({"passed": 2, "failed": 1}, ["FAILED", "2/3"]),
        ({"error": 1}, ["FAILED", "0/1"]),
    ],
)
def test_a_row_passes_if_it_has_tests_and_all_of_them_do(
    outcomes: dict[str, int], shown: list[str]
) -> None:
    results = Results()
    for outcome, count in outcomes.items():
        results.add(outcome, [f"tests/spec/test_x.py::test_row_07_a[{i}]" for i in range(count)])
    assert row(results, 7) == shown


def test_tests_of_no_row_are_not_counted() -> None:
    results = Results()
    results.add("failed", ["tests/spec/test_x.py::test_something_else"])
    assert all(row(results, number) == ["run", "-"] for number in ROWS)
