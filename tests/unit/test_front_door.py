"""What the package says of itself (``serve_app/__init__.py``) is so."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path

import serve_app

PACKAGE = Path(serve_app.__file__).parent
TOLD = serve_app.__doc__ or ""
STOP = re.compile(r"^ ?(\d+)\. ``([a-z_/]+\.py)``: ``(\w+)``", re.MULTILINE)
MOST_STOPS = 12
# Here the next stop is in another process, which is sent the page.
SENT = ("run", "_answer_job")


def stops() -> list[tuple[str, str]]:
    """Files and functions of a page's path, in order."""
    _, path = TOLD.split("The path of a page", 1)
    return [(file, function) for _, file, function in STOP.findall(path)]


def body_of(file: str, function: str) -> str:
    """The function's source."""
    source = (PACKAGE / file).read_text(encoding="utf-8")
    (found,) = (
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function
    )
    return ast.get_source_segment(source, found) or ""


def test_the_path_of_a_page_has_few_stops_and_no_climb() -> None:
    told = stops()
    assert len(told) <= MOST_STOPS
    assert len(set(told)) == len(told)
    assert SENT in pairwise(function for _, function in told)
    for (file, function), (_, callee) in pairwise(told):
        if (function, callee) == SENT:
            continue
        assert re.search(rf"\b{callee}\(", body_of(file, function)), f"{function} → {callee}"


def test_every_folder_is_named() -> None:
    folders = {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    assert folders == set(re.findall(r"``([a-z]+)/``", TOLD))


def test_every_file_that_is_named_is_there() -> None:
    named = set(re.findall(r"``([a-z_/]+\.(?:py|md))``", TOLD))
    assert named
    there = {path.name for path in PACKAGE.rglob("*.*")}
    missing = {name for name in named if not (PACKAGE / name).exists() and name not in there}
    assert not missing
