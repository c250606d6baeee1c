"""Our OpenAPI description, fuzzed: every answer is one that it promises, and none is a 5xx."""

from __future__ import annotations

from typing import Any

import pytest

from serve_app.api.app import build_http_app
from serve_app.errors import UnknownModel
from serve_app.messages import TaskKind
from serve_app.testing.service import FakeDocumentService, fake_settings
from tests.fuzz.effort import fuzzed

pytest.importorskip("schemathesis", reason="the lock has it from Python 3.11 on")
from schemathesis.checks import not_a_server_error
from schemathesis.openapi import from_asgi
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

pytestmark = pytest.mark.fuzz

# Not among them: that whatever fits the description is accepted. It has the parameters of all
# pipelines and says nothing of what a file must contain.
PROMISES = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


class Operator:
    """Carries out every order for the models that there are."""

    async def memory(self) -> list[dict[str, Any]]:
        return []

    async def history(self, since: float) -> dict[str, Any]:
        return {"domains": []}

    async def tasks(self, limit: int, kind: TaskKind | None = None) -> list[dict[str, Any]]:
        return []

    async def load(self, model: str, pool: str | None, timeout_s: float) -> dict[str, Any]:
        return self._done(model)

    async def unload(self, model: str, timeout_s: float) -> dict[str, Any]:
        return self._done(model)

    async def pin(self, model: str, pinned: bool) -> None:
        self._done(model)

    def _done(self, model: str) -> dict[str, Any]:
        if model != "ocr":
            raise UnknownModel(f"no model {model!r}")
        return {"model": model, "done": True}


app = build_http_app(FakeDocumentService(keep_calls=False), fake_settings(), operator=Operator())
schema = from_asgi("/openapi.json", app)


@schema.parametrize()
@fuzzed
def test_the_answer_is_one_that_is_described(case: Any) -> None:
    case.call_and_validate(checks=PROMISES)
