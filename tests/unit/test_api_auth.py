from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_app.api.api_keys import ApiKey, ApiKeysError, new_key
from serve_app.api.app import build_http_app
from serve_app.api.request_path import PathMiddleware
from serve_app.settings import AppSettings
from serve_app.testing.service import FakeDocumentService, FakeOperatorService, fake_settings
from tests import documents
from tests.http_client import http_client

PNG = documents.picture("png")
CLIENT, CLIENT_ENTRY = new_key("alice", "client")
OPERATOR, OPERATOR_ENTRY = new_key("root", "operator")

Keys = Callable[..., AppSettings]


@pytest.fixture
def with_keys(monkeypatch: pytest.MonkeyPatch) -> Keys:
    """Settings that ask for a key; the client's with the given limits."""

    def settings(**limits: float) -> AppSettings:
        client: ApiKey = CLIENT_ENTRY.model_copy(update=limits)
        entries = [key.model_dump(mode="json") for key in (client, OPERATOR_ENTRY)]
        monkeypatch.setenv("OCR_SERVE_API_KEYS", json.dumps(entries))
        return fake_settings(auth={"required": True})

    return settings


def bearer(key: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"authorization": f"{scheme} {key}"}


async def parse(client: httpx.AsyncClient, headers: dict[str, str] | None = None) -> httpx.Response:
    return await client.post("/v1/parse", content=PNG, headers=headers)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "token", "Token"])
async def test_a_known_key_is_let_in_by_every_scheme(with_keys: Keys, scheme: str) -> None:
    async with http_client(settings=with_keys()) as client:
        assert (await parse(client, bearer(CLIENT, scheme))).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        None,
        bearer(""),
        bearer("ocrs_wrong"),
        bearer(CLIENT, "Basic"),
        bearer(CLIENT_ENTRY.sha256),
        {"authorization": CLIENT},
        {"x-api-key": CLIENT},
    ],
)
@pytest.mark.parametrize("path", ["/v1/parse", "/ocr", "/v1/memory", "/nothing"])
async def test_without_a_known_key_nothing_is_answered(
    with_keys: Keys, path: str, headers: dict[str, str] | None
) -> None:
    async with http_client(settings=with_keys()) as client:
        answer = await client.post(path, content=PNG, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["x-request-id"]
    told = answer.json()
    assert "API key" in (told["error"]["message"] if "error" in told else told["errorMsg"])


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health", "/docs", "/openapi.json"])
async def test_probes_and_documentation_need_no_key(with_keys: Keys, path: str) -> None:
    async with http_client(settings=with_keys()) as client:
        assert (await client.get(path)).status_code == 200


async def test_keys_are_not_asked_for_by_default() -> None:
    async with http_client() as client:
        assert (await parse(client)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/memory"),
        ("GET", "/v1/tasks"),
        ("POST", "/v1/models/ocr/load"),
        ("POST", "/v1/models/ocr/unload"),
        ("POST", "/v1/models/ocr/pin"),
    ],
)
async def test_operator_routes_need_an_operators_key(
    with_keys: Keys, method: str, path: str
) -> None:
    operator = FakeOperatorService()
    async with http_client(settings=with_keys(), operator=operator) as client:
        refused = await client.request(method, path, headers=bearer(CLIENT))
        assert not operator.calls
        passed = await client.request(method, path, headers=bearer(OPERATOR))
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "forbidden"
    assert passed.status_code == 200
    assert operator.calls == [path.rpartition("/")[2]]


async def test_operator_routes_are_guarded_below_a_prefix_too(with_keys: Keys) -> None:
    app = build_http_app(FakeDocumentService(), with_keys(), operator=FakeOperatorService())
    transport = httpx.ASGITransport(app, root_path="/prefix")
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/prefix/v1/memory", headers=bearer(CLIENT))
        livez = await client.get("/prefix/livez")
    assert (answer.status_code, livez.status_code) == (403, 200)


async def test_a_client_may_list_the_models(with_keys: Keys) -> None:
    async with http_client(settings=with_keys()) as client:
        assert (await client.get("/v1/models", headers=bearer(CLIENT))).status_code == 200


async def test_above_its_rate_a_key_is_told_when_to_come_back(with_keys: Keys) -> None:
    async with http_client(settings=with_keys(requests_per_minute=2)) as client:
        statuses = [(await parse(client, bearer(CLIENT))).status_code for _ in range(2)]
        refused = await parse(client, bearer(CLIENT))
        other = await parse(client, bearer(OPERATOR))
    assert statuses == [200, 200]
    assert refused.status_code == 429
    assert 29 <= int(refused.headers["retry-after"]) <= 30
    error = refused.json()["error"]
    assert (error["code"], error["limit"]) == ("too_many_requests", 2)
    assert error["config_key"] == "requests_per_minute"
    assert other.status_code == 200


async def test_requests_at_once_are_bounded_and_counted_down_however_they_end(
    with_keys: Keys,
) -> None:
    settings = with_keys(max_concurrent_requests=1)
    failing = RuntimeError("the request failed")
    service = FakeDocumentService(settings=settings, blocked=asyncio.Event(), errors={0: failing})
    async with http_client(service, settings) as client:
        first = asyncio.create_task(parse(client, bearer(CLIENT)))
        await service.begun.wait()
        refused = await parse(client, bearer(CLIENT))
        assert service.blocked is not None
        service.blocked.set()
        failed = await first
        service.errors = {}
        after = await parse(client, bearer(CLIENT))
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"
    assert "at once" in refused.json()["error"]["message"]
    assert failed.status_code == 500
    assert after.status_code == 200


async def test_the_log_names_the_key_and_never_quotes_it(
    with_keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    settings = with_keys()
    with caplog.at_level(logging.DEBUG):
        async with http_client(settings=settings) as client:
            await parse(client, bearer(CLIENT))
            await parse(client, bearer("ocrs_guess"))
    lines = [record for record in caplog.records if record.message == "request"]
    assert [getattr(line, "api_key", None) for line in lines] == ["alice", None]
    everything = "".join(str(vars(record)) for record in caplog.records)
    assert CLIENT not in everything
    assert "ocrs_guess" not in everything


def test_an_application_that_needs_keys_does_not_start_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OCR_SERVE_API_KEYS", raising=False)
    settings = fake_settings(auth={"required": True})
    with pytest.raises(ApiKeysError, match="no API keys"):
        build_http_app(FakeDocumentService(), settings)


async def test_other_scopes_pass() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def unused(*args: Any) -> Any:
        raise AssertionError

    await PathMiddleware(app)({"type": "lifespan"}, unused, unused)
    assert seen == ["lifespan"]


def from_address(settings: AppSettings, address: str) -> httpx.ASGITransport:
    app = build_http_app(FakeDocumentService(settings=settings), settings)
    return httpx.ASGITransport(app, client=(address, 50_000))


async def test_an_address_that_keeps_failing_is_told_when_to_come_back(with_keys: Keys) -> None:
    settings = with_keys()
    settings = settings.model_copy(
        update={"auth": settings.auth.model_copy(update={"failures_per_minute": 3.0})}
    )
    guessing = from_address(settings, "10.0.0.1")
    async with httpx.AsyncClient(transport=guessing, base_url="http://test") as client:
        wrong = [await parse(client, bearer("ocrs_wrong")) for _ in range(3)]
        bare = await parse(client)
        refused = await parse(client, bearer("ocrs_wrong"))
        valid = await parse(client, bearer(CLIENT))
        guessing.client = ("10.0.0.2", 50_000)
        elsewhere = await parse(client, bearer("ocrs_wrong"))
        valid_elsewhere = await parse(client, bearer(CLIENT))
    assert [answer.status_code for answer in wrong] == [401, 401, 401]
    assert (bare.status_code, refused.status_code) == (429, 429)
    assert 19 <= int(refused.headers["retry-after"]) <= 20
    error = refused.json()["error"]
    assert (error["code"], error["config_key"]) == (
        "too_many_requests",
        "auth.failures_per_minute",
    )
    assert elsewhere.status_code == 401
    assert (valid.status_code, valid_elsewhere.status_code) == (200, 200)


@pytest.mark.parametrize(("auth", "most"), [({}, 3), ({"max_concurrent_requests": 2}, 2)])
async def test_one_key_leaves_places_to_others(
    monkeypatch: pytest.MonkeyPatch, auth: dict[str, int], most: int
) -> None:
    entries = [key.model_dump(mode="json") for key in (CLIENT_ENTRY, OPERATOR_ENTRY)]
    monkeypatch.setenv("OCR_SERVE_API_KEYS", json.dumps(entries))
    settings = fake_settings(auth={"required": True, **auth}, gateway={"max_ongoing_requests": 4})
    service = FakeDocumentService(settings=settings, blocked=asyncio.Event())
    async with http_client(service, settings) as client:
        greedy = [asyncio.create_task(parse(client, bearer(CLIENT))) for _ in range(8)]
        for _ in range(1000):
            if len(service.calls) == most and sum(one.done() for one in greedy) == 8 - most:
                break
            await asyncio.sleep(0)
        other = asyncio.create_task(parse(client, bearer(OPERATOR)))
        for _ in range(1000):
            if len(service.calls) == most + 1:
                break
            await asyncio.sleep(0)
        assert service.blocked is not None
        service.blocked.set()
        statuses = sorted([(await one).status_code for one in greedy])
        assert (await other).status_code == 200
    assert statuses == [200] * most + [429] * (8 - most)


async def test_an_operator_hears_that_the_list_of_keys_is_broken(tmp_path: Path) -> None:
    entries = [key.model_dump(mode="json") for key in (CLIENT_ENTRY, OPERATOR_ENTRY)]
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(entries))
    settings = fake_settings(auth={"required": True, "keys_file": file})
    looks: list[bool] = []
    clock = [0.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("serve_app.clock.time.monotonic", lambda: clock[0])
        app = build_http_app(
            FakeDocumentService(settings=settings),
            settings,
            on_keys_look=looks.append,
        )
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            whole = await client.get("/readyz", headers=bearer(OPERATOR))
            file.write_text("- {")
            clock[0] = 5.0
            told = await client.get("/readyz", headers=bearer(OPERATOR))
            others = [await client.get("/readyz", headers=h) for h in (None, bearer(CLIENT))]
            served = await parse(client, bearer(CLIENT))
            file.write_text("[]")
            clock[0] = 10.0
            revoked = await parse(client, bearer(CLIENT))
    assert "api_keys" not in whole.json()
    assert "cannot be read" in told.json()["api_keys"]
    assert all("api_keys" not in answer.json() for answer in others)
    assert (looks[0], looks[-1]) == (True, False)
    assert (served.status_code, revoked.status_code) == (200, 401)


async def test_doclings_header_is_taken_on_its_routes_only(with_keys: Keys) -> None:
    async with http_client(settings=with_keys()) as client:
        for key, status in ((CLIENT, 200), ("ocrs_wrong", 401)):
            answer = await client.post(
                "/v1/convert/file", files={"files": ("a.png", PNG)}, headers={"x-api-key": key}
            )
            assert answer.status_code == status, answer.text


async def test_the_description_says_who_is_asked_for_a_key(with_keys: Keys) -> None:
    async with http_client(settings=with_keys()) as client:
        spec = (await client.get("/openapi.json")).json()
    assert set(spec["components"]["securitySchemes"]) == {"bearer", "key"}
    assert spec["security"] == [{"bearer": []}]
    assert spec["paths"]["/livez"]["get"]["security"] == []
    assert "security" not in spec["paths"]["/v1/parse"]["post"]
    assert {"key": []} in spec["paths"]["/v1/convert/file"]["post"]["security"]
