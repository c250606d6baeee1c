from __future__ import annotations

import json
import subprocess
import sys

import httpx
import pytest

from serve_app.api.app import build_http_app
from serve_app.testing.service import FakeDocumentService, fake_settings
from tests.http_client import http_client


def test_the_edge_needs_neither_ray_nor_paddle() -> None:
    code = (
        "import sys, serve_app.api.app;"
        "print([name for name in ('ray', 'paddle', 'paddlex') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


async def test_livez() -> None:
    async with http_client() as client:
        response = await client.get("/livez")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
async def test_readyz_has_the_facts_per_pool(ready: bool, status: int) -> None:
    async with http_client(FakeDocumentService(ready=ready)) as client:
        response = await client.get("/readyz")
    assert response.status_code == status
    pools = {"cpu": {"ready": ready, "replicas": int(ready)}}
    assert response.json() == {"ready": ready, "pools": pools}


async def test_models_are_listed() -> None:
    async with http_client() as client:
        body = (await client.get("/v1/models")).json()
    unused = {"state": "UNLOADED", "engines": [], "references": 0, "loads": 0}
    for model in body["models"]:
        assert model.pop("scripts") == ["Latin", "Han", "Hiragana", "Katakana", "Greek"]
        assert {"zh", "ja", "en", "de", "pl", "tr"} < set(model.pop("languages"))
    assert body["models"] == [
        {"name": "ocr", "pipeline": "OCR", **unused},
        {"name": "structure", "pipeline": "PP-StructureV3", **unused},
    ]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/parse", 405, "method_not_allowed"),
        ("POST", "/readyz", 405, "method_not_allowed"),
    ],
)
async def test_our_paths_answer_in_our_envelope(
    method: str, path: str, status: int, code: str
) -> None:
    async with http_client() as client:
        response = await client.request(method, path, headers={"x-request-id": "r1"})
    assert response.status_code == status
    error = response.json()["error"]
    assert (error["code"], error["request_id"]) == (code, "r1")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("PUT", "/x", 404), ("GET", "/ocr", 405)],
)
async def test_other_paths_answer_in_paddlex_envelope(method: str, path: str, status: int) -> None:
    async with http_client() as client:
        response = await client.request(method, path)
    assert response.status_code == status
    body = response.json()
    assert list(body) == ["logId", "errorCode", "errorMsg"]
    assert body["errorCode"] == status


async def test_routes_of_models_that_are_not_declared_are_absent() -> None:
    settings = fake_settings(models={"ocr-latin": {"pipeline": "OCR"}})
    async with http_client(settings=settings) as client:
        for path in ("/ocr", "/layout-parsing", "/paddleocr"):
            assert (await client.post(path, json={})).status_code == 404


async def test_docs_and_openapi_are_served() -> None:
    async with http_client() as client:
        assert (await client.get("/docs")).status_code == 200
        spec = (await client.get("/openapi.json")).json()
    assert set(spec["paths"]) == {
        "/v1/parse",
        "/v1/models",
        "/v1/ocr",
        "/v1/convert/file",
        "/v1/convert/source",
        "/version",
        "/process",
        "/tika/text",
        "/ocr",
        "/layout-parsing",
        "/paddleocr",
        "/health",
        "/livez",
        "/readyz",
    }


async def test_every_operation_has_an_example_of_its_answer() -> None:
    spec = build_http_app(FakeDocumentService(), fake_settings()).openapi()
    for path, methods in spec["paths"].items():
        for operation in methods.values():
            contents = operation["responses"]["200"]["content"].values()
            assert all("example" in content for content in contents), path
    json.dumps(spec)


@pytest.mark.parametrize("path", ["/ocr", "/layout-parsing", "/paddleocr"])
async def test_the_documented_requests_work(path: str) -> None:
    app = build_http_app(FakeDocumentService(), fake_settings())
    content = app.openapi()["paths"][path]["post"]["requestBody"]["content"]
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for example in content["application/json"]["examples"].values():
            response = await client.post(path, json=example["value"])
            assert response.status_code == 200
            assert response.json()["result"]["dataInfo"]["width"] == 150


async def test_an_unexpected_error_is_answered_with_its_id() -> None:
    service = FakeDocumentService(inspect_error=RuntimeError("secret"))
    async with http_client(service) as client:
        response = await client.post("/v1/parse", content=b"x", headers={"x-request-id": "r1"})
    assert response.status_code == 500
    assert response.headers["x-request-id"] == "r1"
    assert response.json()["error"] == {
        "code": "internal",
        "message": "Internal server error",
        "request_id": "r1",
    }
