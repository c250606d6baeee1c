"""What answers do not tell: paths, process ids, texts of exceptions, or ninety thousand errors."""

from __future__ import annotations

import json
import logging
import time

import httpx
import pytest

from serve_app import errors
from serve_app.api.app import build_http_app
from serve_app.api.errors import to_http
from serve_app.errors import EngineUnavailable, OcrServeError
from serve_app.ports import ModelStatus, Readiness
from serve_app.testing.service import FakeDocumentService, fake_settings
from tests import documents
from tests.http_client import b64, http_client

PNG = documents.picture("png")
SECRET = "/srv/weights/x.onnx: [Errno 13] in pid 4711"
ENGINE = {"pool": "cpu", "pid": 4711, "replica_pid": 4712, "state": "READY", "pages": 3}


class Troubled(FakeDocumentService):
    """Everything that can be wrong is."""

    async def models(self) -> list[ModelStatus]:
        """One that could not be loaded, with an engine from before."""
        return [ModelStatus("ocr", "OCR", "FAILED", (dict(ENGINE),), SECRET)]

    async def readiness(self) -> Readiness:
        """A pool with Serve's own message."""
        return Readiness(False, {"cpu": {"ready": False, "problem": SECRET, "status": "UNHEALTHY"}})


def client_at(address: str) -> httpx.AsyncClient:
    app = build_http_app(Troubled(), fake_settings())
    transport = httpx.ASGITransport(app, client=(address, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


@pytest.mark.parametrize("path", ["/v1/models", "/readyz"])
async def test_clients_and_probes_are_not_told_what_operators_are(path: str) -> None:
    async with client_at("10.0.0.9") as far, client_at("127.0.0.1") as near:
        for_clients, for_operators = await far.get(path), await near.get(path)
    assert for_clients.status_code == for_operators.status_code
    for word in ("4711", "4712", "/srv", "Errno"):
        assert word not in for_clients.text
    assert SECRET in json.dumps(for_operators.json())


async def test_a_client_still_sees_which_engines_there_are_and_that_a_load_failed() -> None:
    async with client_at("10.0.0.9") as client:
        (model,) = (await client.get("/v1/models")).json()["models"]
    assert model["engines"] == [{"pool": "cpu", "state": "READY", "pages": 3}]
    assert model["error"] == EngineUnavailable.outside


OPAQUE = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, OcrServeError) and kind.outside
]


@pytest.mark.parametrize("kind", OPAQUE)
def test_errors_whose_text_is_not_ours_are_told_in_our_words(kind: type[OcrServeError]) -> None:
    row = to_http(kind(SECRET))
    assert row.message == kind.outside
    assert SECRET not in row.paddlex_message


def test_every_error_of_an_engine_is_one_of_them() -> None:
    assert {"PageFailed", "EngineUnavailable", "WeightsError"} <= {kind.__name__ for kind in OPAQUE}


async def test_the_log_has_what_the_client_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ocr_serve.api")
    service = FakeDocumentService(errors={0: EngineUnavailable(SECRET)})
    async with http_client(service) as client:
        answer = await client.post("/v1/parse", content=PNG)
    assert SECRET not in answer.text
    assert any(getattr(record, "detail", None) == SECRET for record in caplog.records)


@pytest.mark.parametrize("bad", [10, 11, 90_000])
async def test_at_most_ten_errors_of_a_body_are_listed(bad: int) -> None:
    body = {"file": b64(PNG), "markdownIgnoreLabels": [0] * bad}
    async with http_client() as client:
        began = time.process_time()
        answer = await client.post("/layout-parsing", json=body)
        spent_s = time.process_time() - began
    assert answer.status_code == 422
    listed = json.loads(answer.json()["errorMsg"])
    assert len(listed) <= 10
    if bad == 10:
        assert all("markdownIgnoreLabels" in error["loc"] for error in listed)
    elif bad == 11:
        assert listed[-1] == {
            "type": "too_many_errors",
            "loc": "body",
            "msg": "and 2 more errors",
        }
    assert len(answer.content) < 4096
    assert spent_s < 0.3, "an answer must not hold up the event loop"
