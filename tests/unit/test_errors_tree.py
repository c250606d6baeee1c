"""The tree of errors that is drawn in ``serve_app/errors`` is the one that is there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from serve_app import errors
from serve_app.errors import OcrServeError

ROW = re.compile(r"^ {4}(?P<branch>(?:│ {3}| {4})*[├└]── )(?P<name>\w+)(?: +(?P<told>\d{3} \w+))?")


def drawn() -> Iterator[tuple[str, str, str | None]]:
    """Each row: the class, the one that it hangs on, status and code."""
    path = ["OcrServeError"]
    for row in filter(None, map(ROW.match, (errors.__doc__ or "").splitlines())):
        depth = len(row["branch"]) // 4
        path[depth:] = [row["name"]]
        yield row["name"], path[depth - 1], row["told"]


def declared(base: type[OcrServeError] = OcrServeError) -> Iterator[tuple[str, str, str | None]]:
    for kind in base.__subclasses__():
        if kind.__module__.startswith("serve_app.errors"):
            own = {"code", "status"} & vars(kind).keys()
            shown = own and kind.__name__ != "CapacityError"
            yield kind.__name__, base.__name__, f"{kind.status} {kind.code}" if shown else None
            yield from declared(kind)


def test_the_tree_is_drawn_as_it_is() -> None:
    found = {row for row in drawn() if row[0] != "CapacityError"}
    assert found == {row for row in declared() if row[0] != "CapacityError"}
    assert len(found) > 40
