"""What every answer says to a browser that may show it."""

from __future__ import annotations

import httpx
import pytest

from serve_app.testing.service import FakeDocumentService
from tests import documents
from tests.http_client import b64, http_client

PNG = documents.picture("png")


async def answers() -> list[httpx.Response]:
    broken = FakeDocumentService(inspect_error=RuntimeError("secret"))
    async with http_client() as http, http_client(broken) as failing:
        return [
            await http.get("/livez"),
            await http.get("/readyz"),
            await http.get("/docs"),
            await http.get("/openapi.json"),
            await http.get("/v1/models"),
            await http.get("/nothing"),
            await http.get("/v1/parse"),
            await http.get("/v1/parse%00"),
            await http.post("/v1/parse", content=PNG),
            await http.post("/v1/parse?format=text", content=PNG),
            await http.post("/v1/parse?format=json", content=PNG),
            await http.post("/v1/parse", content=b"no picture"),
            await http.post("/ocr", json={"file": b64(PNG)}),
            await http.post("/ocr", json={"file": "!"}),
            await failing.post("/v1/parse", content=PNG),
        ]


async def test_no_answer_is_to_be_taken_for_anything_else_than_it_is() -> None:
    for answer in await answers():
        where = f"{answer.request.method} {answer.request.url} {answer.status_code}"
        assert answer.headers["x-content-type-options"] == "nosniff", where
        assert answer.headers["cross-origin-resource-policy"] == "same-origin", where
        assert answer.headers["referrer-policy"] == "no-referrer", where
        assert answer.headers["content-type"], where
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy, where
        if answer.request.url.path != "/docs":
            assert "sandbox" in policy, where
            assert "default-src 'none'" in policy, where


@pytest.mark.parametrize(
    ("query", "disposition"),
    [("", 'attachment; filename="document.md"'), ("?format=text", None), ("?format=json", None)],
)
async def test_markdown_is_stored_rather_than_shown(query: str, disposition: str | None) -> None:
    async with http_client() as http:
        answer = await http.post(f"/v1/parse{query}", content=PNG)
    assert answer.headers.get("content-disposition") == disposition
