"""A server on all addresses without keys: what is passed on, and what is asked from here.

Whom the gateway sees is Serve's matter, with its own proxy and with HAProxy, so it is asked for on
a real server. Only the loopback interface is used.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.server import Server, checkout_importable, running
from tests.e2e.waiting import eventually
from tests.faults.scene import code_of, fault_config, page

pytestmark = [pytest.mark.faults, pytest.mark.slow]


@pytest.fixture(scope="module", params=["serve", "haproxy"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[Server, bool]]:
    config = fault_config()
    config["http_options"]["host"] = "0.0.0.0"
    haproxy = request.param == "haproxy"
    more = {"RAY_SERVE_ENABLE_HA_PROXY": "1"} if haproxy else {}
    with running(config, {**checkout_importable(), **more}) as server:
        eventually(lambda: server.parse(page()).status_code == 200, 60, "a page is answered")
        yield server, haproxy


def test_an_operator_on_this_machine_is_known_only_where_peers_are_seen(
    server: tuple[Server, bool],
) -> None:
    http, haproxy = server[0].http, server[1]
    answer = http.get("/v1/memory")
    if haproxy:
        assert (answer.status_code, code_of(answer)) == (403, "keys_needed")
    else:
        assert answer.status_code == 200
    spoofed = http.get("/v1/memory", headers={"x-forwarded-for": "127.0.0.1"})
    assert (spoofed.status_code, code_of(spoofed)) == (403, "keys_needed")


def test_pages_of_strangers_are_refused_and_probes_answered(server: tuple[Server, bool]) -> None:
    http = server[0].http
    for headers, code in (
        ({"host": "evil.example"}, "host_refused"),
        ({"origin": "https://evil.example"}, "origin_refused"),
        ({"sec-fetch-site": "cross-site"}, "origin_refused"),
    ):
        for method, path in (("POST", "/v1/parse"), ("POST", "/v1/models/ocr/unload")):
            answer = http.request(method, path, content=page(), headers=headers)
            assert (answer.status_code, code_of(answer)) == (403, code)
        for probe in ("/livez", "/readyz", "/health"):
            assert http.get(probe, headers=headers).status_code == 200


def test_answers_carry_their_headers_through_the_proxy(server: tuple[Server, bool]) -> None:
    answer = server[0].parse(page())
    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


def test_headers_beyond_haproxys_buffer_reach_nobody(server: tuple[Server, bool]) -> None:
    answer = server[0].http.get("/livez", headers={"x-long": "a" * 20_000})
    assert answer.status_code == (400 if server[1] else 200)
