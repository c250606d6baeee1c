"""Every way in, asked by everybody in every spelling: a role is never got by the look of a path."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

import pytest
from fastapi import FastAPI
from starlette.routing import Mount, Route

from serve_app.api.api_keys import new_key
from serve_app.api.app import build_http_app
from serve_app.api.auth import RouteRole, check_roles, role_of
from serve_app.testing.service import FakeDocumentService, FakeOperatorService, fake_settings
from tests import documents

PNG = documents.picture("png")
CLIENT, CLIENT_ENTRY = new_key("alice", "client")
OPERATOR, OPERATOR_ENTRY = new_key("root", "operator")
CALLERS = {"nobody": None, "client": CLIENT, "operator": OPERATOR}
RANKS: dict[str, int] = {"anybody": 0, "client": 1, "operator": 2, "nobody": 0}
METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH")

ANYBODY = {
    *("/livez", "/readyz", "/health", "/version"),
    *("/docs", "/docs/{name}", "/openapi.json"),
    *("/", "/favicon.ico", "/ui", "/ui/{name}", "/ui/vendor/{name}"),
    *("/ui/config.json", "/ui/readme.txt"),
}
OPERATORS = {
    "/v1/memory",
    "/v1/memory/history",
    "/v1/tasks",
    *(f"/v1/models/{{name}}/{order}" for order in ("load", "unload", "pin", "unpin")),
}


@dataclass
class Scene:
    """An application with keys, and what was asked of what is behind it."""

    service: FakeDocumentService = field(default_factory=FakeDocumentService)
    operator: FakeOperatorService = field(default_factory=FakeOperatorService)
    app: FastAPI = field(init=False)

    def __post_init__(self) -> None:
        settings = fake_settings(auth={"required": True})
        self.app = build_http_app(self.service, settings, operator=self.operator)

    async def ask(self, method: str, raw_path: str, key: str | None) -> int:
        """The status of a request whose path goes over the wire as ``raw_path``."""
        headers = [(b"host", b"localhost")]
        if key is not None:
            headers.append((b"authorization", f"Bearer {key}".encode()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(raw_path),
            "raw_path": raw_path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("localhost", 8000),
        }
        sent: list[Any] = []
        body = [{"type": "http.request", "body": PNG, "more_body": False}]

        async def receive() -> Any:
            if not body:
                await asyncio.Event().wait()  # the client stays
            return body.pop()

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return int(sent[0]["status"])


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    entries = [key.model_dump(mode="json") for key in (CLIENT_ENTRY, OPERATOR_ENTRY)]
    monkeypatch.setenv("OCR_SERVE_API_KEYS", json.dumps(entries))
    return Scene()


def paths_of(app: FastAPI) -> dict[str, RouteRole]:
    """Path and role of every way in."""
    roles = {str(getattr(route, "path", route)): role_of(route) for route in app.routes}
    assert None not in roles.values()
    return {path: role for path, role in roles.items() if role is not None}


def spellings(path: str) -> Iterator[str]:
    """How a path can be written so that somebody may take it for this one."""
    yield path
    for end in (
        "/",
        "//",
        "/.",
        "/..",
        "%0A",
        "%0D%0A",
        "%00",
        "%09",
        "%20",
        "%E2%80%A8",
        "%C2%85",
    ):
        yield path + end
    for end in (";", ";x=1", "%3F", "%23", "?", ".json", "%2F", "%5C", "\\"):
        yield path + end
    yield "/" + path
    yield path.replace("/", "//")
    yield path.replace("/", "/./")
    yield "/x/.." + path
    yield "/livez/.." + path
    yield "/livez/%2e%2e" + path
    yield path.replace("/", "%2F")
    yield "/" + path[1:].replace("/", "%2F")
    yield "/" + path[1:].replace("/", "%5c")
    yield "".join(f"%{ord(c):02X}" if c != "/" else c for c in path)
    yield quote(path[:-1]) + f"%{ord(path[-1]):02x}"
    yield path.upper()
    yield "%0A" + path
    yield path.replace("/v1", "/v1%0A", 1)
    yield path + "%250A"


def test_each_route_has_the_role_it_is_documented_with(scene: Scene) -> None:
    roles = paths_of(scene.app)
    assert {path for path, role in roles.items() if role == "anybody"} == ANYBODY
    assert {path for path, role in roles.items() if role == "operator"} == OPERATORS
    assert set(scene.app.openapi()["paths"]) <= set(roles)


@pytest.mark.parametrize("caller", CALLERS)
async def test_no_spelling_of_a_path_gives_more_than_the_key(scene: Scene, caller: str) -> None:
    reached = 0
    for template, role in paths_of(scene.app).items():
        allowed = RANKS[caller] >= RANKS[role]
        for spelling in spellings(template.replace("{name}", "ocr")):
            for method in METHODS:
                status = await scene.ask(method, spelling, CALLERS[caller])
                asked = f"{method} {spelling} by {caller}: {status}"
                called = bool(scene.operator.calls or scene.service.calls)
                reached += called
                assert allowed or not called, asked
                assert allowed or status >= 400, asked
                if scene.operator.calls:
                    assert caller == "operator", asked
                scene.operator.calls.clear()
                scene.service.calls.clear()
    # The walk is worth something only if the same spellings do open what may be opened.
    assert bool(reached) == (caller != "nobody")


@pytest.mark.parametrize("end", ["%0A", "%0D", "%00", "%0A%0A", "%E2%80%A8"])
@pytest.mark.parametrize("path", ["/v1/memory", "/v1/models/ocr/unload", "/v1/parse"])
async def test_a_path_with_control_characters_is_refused_whoever_asks(
    scene: Scene, path: str, end: str
) -> None:
    for key in CALLERS.values():
        assert await scene.ask("POST", path + end, key) == 400


async def test_a_path_with_an_encoded_slash_is_refused(scene: Scene) -> None:
    assert await scene.ask("POST", "/v1/models/ocr%2Funload", OPERATOR) == 400
    assert await scene.ask("POST", "/v1/models/a%5Cb/unload", OPERATOR) == 400
    assert not scene.operator.calls


async def test_a_slash_at_the_end_is_what_it_is_without(scene: Scene) -> None:
    assert await scene.ask("POST", "/v1/parse/", CLIENT) == 200
    assert await scene.ask("GET", "/v1/memory/", CLIENT) == 403
    assert await scene.ask("GET", "/v1/memory/", OPERATOR) == 200


async def test_who_has_no_key_does_not_learn_which_paths_there_are(scene: Scene) -> None:
    for method, path in (("GET", "/nothing"), ("DELETE", "/v1/parse"), ("GET", "/v1/parse")):
        assert await scene.ask(method, path, None) == 401
        assert await scene.ask(method, path, CLIENT) in (404, 405)


def test_an_application_with_an_unguarded_way_in_is_not_built(scene: Scene) -> None:
    async def handler(request: Any) -> None:
        raise AssertionError

    for way_in in (Route("/back-door", handler), Mount("/files", FastAPI())):
        scene.app.router.routes.append(way_in)
        with pytest.raises(RuntimeError, match=getattr(way_in, "path", "")):
            check_roles(scene.app)
        scene.app.router.routes.pop()
    scene.app.add_api_route("/forgotten", handler)
    with pytest.raises(RuntimeError, match="/forgotten"):
        check_roles(scene.app)
