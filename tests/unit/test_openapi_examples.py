"""The examples of our OpenAPI description are there, and are what their schemas say.

``tests/e2e/test_openapi_examples.py`` sends each to a real server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from serve_app import errors
from serve_app.api.app import build_http_app
from serve_app.errors import OcrServeError
from serve_app.jobs.folder import stores
from serve_app.jobs.service import Jobs
from serve_app.testing.service import FakeDocumentService, FakeOperatorService, fake_settings
from tests.openapi_examples import (
    Operation,
    contents_of,
    differences,
    operations,
    schema_errors,
    text_differs,
)


def description() -> dict[str, Any]:
    """Of everything that there is."""
    settings, service = fake_settings(), FakeDocumentService()
    jobs = Jobs(service, *stores(Path("/nonexistent")), settings)
    app = build_http_app(service, settings, operator=FakeOperatorService(), jobs=jobs)
    return app.openapi()


SPEC = description()
OPERATIONS = operations(SPEC)


def name_of(operation: Operation) -> str:
    return operation.name


def codes() -> dict[str, set[int]]:
    """Codes of our errors, and the statuses that they come with."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    found: dict[str, set[int]] = {"http_error": {400}}
    for kind in kinds:
        if issubclass(kind, OcrServeError):
            found.setdefault(kind.code, set()).add(kind.status)
    return found


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_every_request_and_answer_has_an_example_that_fits(operation: Operation) -> None:
    for body in operation.bodies():
        if body.media_type == "application/json":
            assert body.example is not None
            assert schema_errors(SPEC, body.schema, body.example) == []
    assert operation.answers()
    for status, answer in operation.facts["responses"].items():
        contents = contents_of(answer)
        assert contents, status
        for media_type, content in contents.items():
            assert "example" in content, (status, media_type)
            assert content["schema"], (status, media_type)
            found = schema_errors(SPEC, content["schema"], content["example"])
            assert found == [], status


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_errors_that_are_shown_are_ours(operation: Operation) -> None:
    known = codes()
    for status, answer in operation.facts["responses"].items():
        example = contents_of(answer).get("application/json", {}).get("example", {})
        code = example.get("error", {}).get("code") if isinstance(example, dict) else None
        if int(status) >= 400 and code is not None:
            assert int(status) in known[code], code


def test_operations_have_names_of_their_own() -> None:
    assert len({one.name for one in OPERATIONS}) == len(OPERATIONS) > 40


def test_what_differs_is_found() -> None:
    example = {"a": [{"b": 1}], "c": {"d": None}, "e": True, "open_entries": {"x": 1}}
    good = {"a": [{"z": 0}, {"b": 2.5}], "c": {"d": 4}, "e": False, "open_entries": {"y": 2}}
    assert list(differences(example, {**good, "more": 1})) == []
    for broken in (
        {**good, "a": []},
        {**good, "a": [{"b": "1"}]},
        {**good, "c": {}},
        {**good, "e": 1},
        {"a": good["a"]},
    ):
        assert list(differences(example, broken)), broken
    assert text_differs("<p>…42</p>", "<p>Hello 42</p>") is None
    assert text_differs("<p>…</p>43", "<p>Hello 42</p>") == "</p>43"
