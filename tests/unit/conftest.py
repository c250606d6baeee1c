"""Unit tests: every warning is an error, and Ray is not started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent

# Third parties' own warnings, raised while they are imported.
STRICT = pytest.mark.filterwarnings(
    "error",
    r"ignore::DeprecationWarning:ray\.",
    r"ignore::FutureWarning:ray\.",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:  # of the whole session, not only of this folder
        if HERE in item.path.parents:
            item.add_marker(STRICT, append=False)  # first, so that a test's own marks win


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster takes seconds and leaves processes: that is for tests/integration."""

    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("a unit test must not start Ray")

    monkeypatch.setattr("ray.init", refuse)
