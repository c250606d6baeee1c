"""Where no key is asked for: programs and people may ask, foreign web pages may not."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from serve_app.api.app import build_http_app
from serve_app.api.keyless import PASSED_ON, Listening
from serve_app.testing.service import FakeDocumentService, FakeOperatorService, fake_settings
from tests import documents

PNG = documents.picture("png")
PROBES = ("/livez", "/readyz", "/health")
ASKED = (
    ("POST", "/v1/parse"),
    ("POST", "/ocr"),
    ("POST", "/layout-parsing"),
    ("GET", "/v1/models"),
    ("GET", "/v1/memory"),
    ("POST", "/v1/models/ocr/unload"),
    ("GET", "/nothing"),
)
OPERATORS = (("GET", "/v1/memory"), ("GET", "/v1/tasks"), ("POST", "/v1/models/ocr/unload"))


def client(
    *,
    peer: str = "127.0.0.1",
    listening: Listening | None = None,
    operator: FakeOperatorService | None = None,
    base_url: str = "http://localhost:8000",
    **settings: Any,
) -> httpx.AsyncClient:
    app = build_http_app(
        FakeDocumentService(),
        fake_settings(**settings),
        operator=operator or FakeOperatorService(),
        listening=listening,
    )
    transport = httpx.ASGITransport(app, client=(peer, 50_000))
    return httpx.AsyncClient(transport=transport, base_url=base_url)


def code(answer: httpx.Response) -> str:
    body = answer.json()
    return str(body["error"]["code"] if "error" in body else body["errorMsg"])


@pytest.mark.parametrize(("method", "path"), ASKED)
async def test_a_page_whose_name_was_made_to_lead_here_gets_no_answer(
    method: str, path: str
) -> None:
    """DNS rebinding: to the browser the page and this server are the same site."""
    operator = FakeOperatorService()
    headers = {"origin": "http://evil.example:8000", "sec-fetch-site": "same-origin"}
    async with client(base_url="http://evil.example:8000", operator=operator) as http:
        answer = await http.request(method, path, content=PNG, headers=headers)
        for probe in PROBES:
            assert (await http.get(probe)).status_code == 200
    assert answer.status_code == 403
    assert "allowed_hosts" in answer.text
    assert not operator.calls


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "null"},
        {"origin": "http://localhost:3000", "sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize(("method", "path"), ASKED)
async def test_a_page_of_another_site_orders_nothing(
    method: str, path: str, headers: dict[str, str]
) -> None:
    operator = FakeOperatorService()
    async with client(operator=operator) as http:
        answer = await http.request(method, path, content=PNG, headers=headers)
        for probe in PROBES:
            assert (await http.get(probe, headers=headers)).status_code == 200
    assert answer.status_code == 403
    assert "allowed_origins" in answer.text
    assert not operator.calls


@pytest.mark.parametrize(
    "base_url",
    [
        "http://localhost:8000",
        "http://127.0.0.1:8000",
        "http://[::1]:8000",
        "http://10.244.1.7:8000",  # kubelet
        "http://ocr-serve-serve-svc:8000",
        "http://ocr-serve-serve-svc.ocr.svc.cluster.local:8000",
    ],
)
async def test_programs_notice_nothing(base_url: str) -> None:
    async with client(base_url=base_url, peer="10.0.0.9") as http:
        assert (await http.post("/v1/parse", content=PNG)).status_code == 200
        assert (await http.get("/v1/models")).status_code == 200
        assert (await http.get("/docs")).status_code == 200


async def test_our_own_documentation_may_try_things_out() -> None:
    headers = {"origin": "http://localhost:8000", "sec-fetch-site": "same-origin"}
    async with client() as http:
        assert (await http.post("/v1/parse", content=PNG, headers=headers)).status_code == 200


async def test_two_host_headers_are_not_chosen_between() -> None:
    async with client() as http:
        headers = [("host", "localhost"), ("host", "evil.example")]
        answer = await http.get("/v1/models", headers=headers)
    assert (answer.status_code, code(answer)) == (403, "host_refused")


async def test_hosts_and_origins_can_be_allowed() -> None:
    gateway = {
        "allowed_hosts": [".example.com"],
        "allowed_origins": ["https://app.example.com"],
    }
    headers = {"origin": "https://app.example.com", "sec-fetch-site": "cross-site"}
    async with client(base_url="https://ocr.example.com", gateway=gateway) as http:
        answer = await http.post("/v1/parse", content=PNG, headers=headers)
        asked_first = await http.options(
            "/v1/parse",
            headers={
                **headers,
                "access-control-request-method": "POST",
                "access-control-request-headers": "content-type",
            },
        )
        other = await http.post("/v1/parse", content=PNG, headers={"origin": "https://x.example"})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
    assert asked_first.status_code == 200
    assert (other.status_code, code(other)) == (403, "origin_refused")
    assert "access-control-allow-origin" not in other.headers


async def test_the_name_that_is_listened_on_is_ours() -> None:
    listening = Listening("ocr.example.com")
    async with client(base_url="http://ocr.example.com:8000", listening=listening) as http:
        assert (await http.get("/v1/models")).status_code == 200


async def test_with_keys_hosts_and_origins_are_the_clients_own_business(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from serve_app.api.api_keys import new_key

    key, entry = new_key("a", "client")
    monkeypatch.setenv("OCR_SERVE_API_KEYS", f"[{entry.model_dump_json()}]")
    headers = {"origin": "https://any.example", "authorization": f"Bearer {key}"}
    async with client(base_url="http://any.example", auth={"required": True}) as http:
        assert (await http.post("/v1/parse", content=PNG, headers=headers)).status_code == 200


@pytest.mark.parametrize(("method", "path"), OPERATORS)
async def test_without_keys_an_operator_has_to_sit_at_the_machine(method: str, path: str) -> None:
    operator = FakeOperatorService()
    async with client(peer="10.0.0.9", operator=operator) as http:
        answer = await http.request(method, path)
        assert (await http.post("/v1/parse", content=PNG)).status_code == 200
    assert (answer.status_code, code(answer)) == (403, "keys_needed")
    assert "auth.required" in answer.text
    assert not operator.calls
    for peer in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        async with client(peer=peer, operator=operator) as http:
            assert (await http.request(method, path)).status_code == 200
    assert len(operator.calls) == 3


@pytest.mark.parametrize("header", PASSED_ON)
async def test_what_a_proxy_on_this_machine_passes_on_is_not_from_here(header: str) -> None:
    async with client(listening=Listening("127.0.0.1")) as http:
        answer = await http.get("/v1/memory", headers={header: "127.0.0.1"})
    assert (answer.status_code, code(answer)) == (403, "keys_needed")


async def test_where_only_this_machine_is_listened_to_everybody_is_here() -> None:
    for host in ("127.0.0.1", "::1", "localhost"):
        async with client(peer="10.0.0.9", listening=Listening(host, sees_peers=False)) as http:
            assert (await http.get("/v1/memory")).status_code == 200


async def test_behind_haproxy_its_own_address_proves_nothing() -> None:
    async with client(listening=Listening("0.0.0.0", sees_peers=False)) as http:
        answer = await http.get("/v1/memory")
    assert (answer.status_code, code(answer)) == (403, "keys_needed")
