"""``?text_layer=`` and ``?orientation=`` on /v1/parse; the configured modes; what answers say."""

from __future__ import annotations

import base64

import pytest

from serve_app.document import (
    DistrustedText,
    Line,
    PageInfo,
    PageResult,
    PredictOptions,
    TextLayerUse,
)
from serve_app.settings import AppSettings
from serve_app.testing.service import FakeDocumentService, fake_settings
from tests import documents
from tests.http_client import http_client

PDF = documents.text_pdf(2)
MODELS = {"ocr": {"pipeline": "OCR"}, "structure": {"pipeline": "PP-StructureV3"}}


async def options(path: str, settings: AppSettings | None = None, **params: str) -> PredictOptions:
    """What a request to ``path`` has asked of the engines."""
    service = FakeDocumentService()
    async with http_client(service, settings or fake_settings()) as client:
        if path == "/v1/parse":
            response = await client.post(path, content=PDF, params=params)
        else:
            response = await client.post(path, json={"file": base64.b64encode(PDF).decode()})
    assert response.status_code == 200, response.text
    return service.calls[0].request.options


async def test_auto_on_parse_and_off_on_paddlex_routes_by_default() -> None:
    assert (await options("/v1/parse")).text_layer == "auto"
    assert (await options("/v1/parse", model="ocr")).text_layer == "auto"
    assert (await options("/ocr")).text_layer == "off"
    assert (await options("/layout-parsing")).text_layer == "off"


async def test_the_models_setting_and_the_requests_word_over_it() -> None:
    off = {**MODELS["structure"], "text_layer": "off"}
    settings = fake_settings(models={**MODELS, "structure": off})
    assert (await options("/v1/parse", settings)).text_layer == "off"
    assert (await options("/v1/parse", settings, text_layer="only")).text_layer == "only"
    assert (await options("/v1/parse", settings, model="ocr")).text_layer == "auto"


async def test_paddlex_routes_have_a_setting_of_their_own() -> None:
    settings = fake_settings(paddlex={"text_layer": "auto"})
    assert (await options("/ocr", settings)).text_layer == "auto"


def test_a_bare_off_of_yaml_is_off() -> None:
    settings = fake_settings(paddlex={"text_layer": False})
    assert settings.paddlex.text_layer == "off"
    with pytest.raises(ValueError, match="'auto', 'off' or 'only'"):
        fake_settings(paddlex={"text_layer": True})


async def test_pages_on_their_side_are_turned_unless_the_request_decides() -> None:
    assert (await options("/v1/parse")).auto_orientation
    assert (await options("/v1/parse", orientation="auto")).auto_orientation
    for name, value in (("orientation", "true"), ("use_doc_orientation_classify", "false")):
        asked = await options("/v1/parse", None, **{name: value})
        assert not asked.auto_orientation
        assert "use_doc_orientation_classify" in asked.predict
    assert not (await options("/ocr")).auto_orientation


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"text_layer": "maybe"}, "auto, off, only"),
        ({"orientation": "sideways"}, "auto, true, false"),
    ],
)
async def test_other_values_are_refused(params: dict[str, str], words: str) -> None:
    async with http_client(FakeDocumentService(), fake_settings()) as client:
        response = await client.post("/v1/parse", content=PDF, params=params)
    assert response.status_code == 422
    assert words in response.json()["error"]["message"]


def a_page(info: PageInfo) -> PageResult:
    use = TextLayerUse(
        "auto",
        1,
        2,
        (DistrustedText("Lies", "it lies"),),
        ("pictures were not read",) if info.index else (),
    )
    lines = (Line("own", (1, 2, 3, 4), 1.0, "layer"), Line("read", (1, 6, 3, 8), 0.5, "ocr"))
    return PageResult(
        info.index, 20, 10, b"{}", ("own", "read"), lines=lines, text_layer=use, angle=90
    )


async def test_the_answer_says_where_each_line_came_from_and_how_many() -> None:
    async with http_client(FakeDocumentService(page=a_page), fake_settings()) as client:
        response = await client.post("/v1/parse", content=PDF, params={"format": "json"})
    assert response.headers["x-ocr-layer-lines"] == "2"
    assert response.headers["x-ocr-notice"] == "pictures were not read (page 2)"
    body = response.json()
    assert body["notices"] == ["pictures were not read (page 2)"]
    [page, _] = body["pages"]
    assert page["lines"] == [
        {"text": "own", "box": [1, 2, 3, 4], "score": 1.0, "source": "layer"},
        {"text": "read", "box": [1, 6, 3, 8], "score": 0.5, "source": "ocr"},
    ]
    assert page["angle"] == 90
    assert page["text_layer"] == {
        "used": "auto",
        "lines": 1,
        "of": 2,
        "distrusted": [{"font": "Lies", "why": "it lies"}],
        "missing": [],
    }
