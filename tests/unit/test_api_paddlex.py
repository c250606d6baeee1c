from __future__ import annotations

import base64
import json
import tracemalloc
from typing import Any

import httpx
import pytest

from serve_app.api import schemas
from serve_app.api.app import build_http_app
from serve_app.api.paddlex import options_of
from serve_app.document import PageInfo, PageResult
from serve_app.errors import (
    EngineCrashed,
    EngineUnavailable,
    OcrServeError,
    QueueFull,
    TooManyPages,
)
from serve_app.pipeline_options import PREDICT_OPTIONS, to_snake
from serve_app.testing.service import FakeDocumentService, canned_page, fake_settings
from tests import documents
from tests.http_client import RawRequest, b64, http_client

PNG = documents.picture("png", 64, 48)
PDF = documents.text_pdf(2)


async def post(
    path: str,
    fields: dict[str, Any],
    service: FakeDocumentService | None = None,
    **settings: object,
) -> httpx.Response:
    configured = fake_settings(**settings)
    async with http_client(service, configured) as client:
        return await client.post(path, json=fields)


async def options_sent(fields: dict[str, Any], path: str = "/layout-parsing") -> Any:
    service = FakeDocumentService()
    assert (await post(path, {"file": b64(PNG), **fields}, service)).status_code == 200
    return service.calls[0].request.options


async def test_ocr_answer_in_full() -> None:
    response = await post("/ocr", {"file": b64(PNG), "logId": "my-log"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-length"] == str(len(response.content))
    assert response.json() == {
        "logId": "my-log",
        "result": {
            "ocrResults": [{"prunedResult": {"rec_texts": ["Page 1", "Hello 42"]}}],
            "dataInfo": {"width": 64, "height": 48, "type": "image"},
        },
        "errorCode": 0,
        "errorMsg": "Success",
    }


async def test_layout_parsing_answer_in_full() -> None:
    response = await post("/layout-parsing", {"file": b64(PDF), "fileType": 0})
    body = response.json()
    pages = body["result"]["layoutParsingResults"]
    assert [page["markdown"]["text"] for page in pages] == [
        "# Page 1\n\nHello 42",
        "# Page 2\n\nHello 42",
    ]
    assert list(pages[0]["markdown"]) == ["text", "isStart", "isEnd", "images"]
    assert pages[0]["markdown"]["images"] == {}
    size = {"width": 1190, "height": 1684}
    assert body["result"]["dataInfo"] == {"numPages": 2, "pages": [size, size], "type": "pdf"}


async def test_paddleocr_is_an_alias() -> None:
    fields = {"file": b64(PDF), "logId": "x"}
    first = await post("/layout-parsing", fields)
    assert (await post("/paddleocr", fields)).content == first.content


async def test_each_route_asks_its_model() -> None:
    for path, model in (("/ocr", "my-ocr"), ("/layout-parsing", "my-layout")):
        service = FakeDocumentService()
        models = {"my-ocr": {"pipeline": "OCR"}, "my-layout": {"pipeline": "PP-StructureV3"}}
        names = {"ocr_model": "my-ocr", "layout_parsing_model": "my-layout"}
        response = await post(path, {"file": b64(PNG)}, service, models=models, paddlex=names)
        assert response.status_code == 200
        assert service.calls[0].request.model == model


@pytest.mark.parametrize("file_type", [None, 0, 1])
@pytest.mark.parametrize("data", [PNG, PDF])
async def test_the_bytes_decide_not_the_file_type(file_type: int | None, data: bytes) -> None:
    response = await post("/ocr", {"file": b64(data), "fileType": file_type})
    assert response.status_code == 200
    assert response.json()["result"]["dataInfo"]["type"] == ("pdf" if data is PDF else "image")


async def test_a_tiff_of_several_frames_has_pages() -> None:
    tiff = documents.tiff(((64, 48), (32, 16)))
    response = await post("/ocr", {"file": b64(tiff), "fileType": 1})
    assert response.json()["result"]["dataInfo"] == {
        "numPages": 2,
        "pages": [{"width": 64, "height": 48}, {"width": 32, "height": 16}],
        "type": "tiff",
    }


async def test_only_what_was_sent_goes_to_predict() -> None:
    options = await options_sent(
        {"useDocUnwarping": True, "textDetThresh": "0.4", "useTableRecognition": None, "nope": 1}
    )
    assert options.predict == {"use_doc_unwarping": True, "text_det_thresh": 0.4}


async def test_defaults_of_the_protocol_are_not_sent_as_wishes() -> None:
    assert (await options_sent({})).predict == {}
    options = await options_sent({"useE2eWirelessTableRecModel": True})
    assert options.predict == {"use_e2e_wireless_table_rec_model": True}


async def test_options_of_the_answer() -> None:
    options = await options_sent(
        {
            "prettifyMarkdown": False,
            "showFormulaNumber": True,
            "returnMarkdownImages": False,
            "outputFormats": ["docx", "docx"],
        }
    )
    assert options.predict == {}
    assert (options.prettify_markdown, options.show_formula_number) == (False, True)
    assert (options.markdown_images, options.output_formats) == (False, ("docx",))


@pytest.mark.parametrize(
    ("schema", "pipeline"),
    [(schemas.OcrRequest, "OCR"), (schemas.LayoutParsingRequest, "PP-StructureV3")],
)
def test_every_predict_option_is_on_the_wire(schema: Any, pipeline: Any) -> None:
    names = {to_snake(name) for name in schema.model_fields}
    assert PREDICT_OPTIONS[pipeline] <= names
    form = schema.model_validate({"file": ""})
    assert options_of(form, pipeline, visualize=True).visualize is True


@pytest.mark.parametrize("asked", [None, False, True])
@pytest.mark.parametrize("configured", [False, True])
async def test_visualize_is_the_requests_or_the_configured_one(
    asked: bool | None, configured: bool
) -> None:
    service = FakeDocumentService()
    fields = {"file": b64(PNG), "visualize": asked}
    await post("/ocr", fields, service, paddlex={"visualize": configured})
    assert service.calls[0].request.options.visualize is (configured if asked is None else asked)


def with_pictures(page: PageInfo) -> PageResult:
    return canned_page(
        page,
        markdown='<img src="imgs/a.jpg">',
        markdown_images={"imgs/a.jpg": b"A"},
        images={"input_img": b"I", "layout_det_res": b"L", "ocr_res_img": b"O"},
        exports={"docx": b"D"},
    )


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def test_pictures_of_layout_parsing() -> None:
    fields = {"file": b64(PNG), "visualize": True, "outputFormats": ["docx"]}
    response = await post("/layout-parsing", fields, FakeDocumentService(page=with_pictures))
    [page] = response.json()["result"]["layoutParsingResults"]
    assert list(page) == ["prunedResult", "markdown", "outputImages", "inputImage", "exports"]
    assert page["markdown"]["images"] == {"imgs/a.jpg": encoded(b"A")}
    drawn = {"layout_det_res": encoded(b"L"), "ocr_res_img": encoded(b"O")}
    assert page["outputImages"] == drawn
    assert page["inputImage"] == encoded(b"I")
    assert page["exports"] == {"docx": {"content": encoded(b"D"), "fileName": "page-1.docx"}}


async def test_pictures_of_ocr() -> None:
    fields = {"file": b64(PNG), "visualize": True}
    response = await post("/ocr", fields, FakeDocumentService(page=with_pictures))
    [page] = response.json()["result"]["ocrResults"]
    assert list(page) == ["prunedResult", "ocrImage", "inputImage"]
    assert (page["ocrImage"], page["inputImage"]) == (encoded(b"O"), encoded(b"I"))


async def test_without_visualize_no_picture_key_is_there() -> None:
    fields = {"file": b64(PNG), "returnMarkdownImages": False}
    response = await post("/layout-parsing", fields, FakeDocumentService(page=with_pictures))
    [page] = response.json()["result"]["layoutParsingResults"]
    assert list(page) == ["prunedResult", "markdown"]
    assert page["markdown"]["images"] == {}


async def test_pruned_json_goes_in_as_it_is() -> None:
    raw = b'{"a" : 1.50, "b":"\xe4\xb8\xad", "c":null}'

    def page(info: PageInfo) -> PageResult:
        return PageResult(info.index, info.width, info.height, raw, ())

    response = await post("/ocr", {"file": b64(PNG)}, FakeDocumentService(page=page))
    assert raw in response.content


async def test_a_lone_surrogate_does_not_break_the_answer() -> None:
    service = FakeDocumentService(page=lambda page: canned_page(page, markdown="a\ud800b"))
    response = await post("/layout-parsing", {"file": b64(PNG)}, service)
    [page] = response.json()["result"]["layoutParsingResults"]
    assert page["markdown"]["text"] == "a?b"


async def test_notices_once_in_body_and_header() -> None:
    def page(info: PageInfo) -> PageResult:
        return canned_page(info, notices=("no charts: é\nhere", f"page {info.index}"))

    response = await post("/ocr", {"file": b64(PDF)}, FakeDocumentService(page=page))
    assert response.json()["result"]["notices"] == ["no charts: é\nhere", "page 0", "page 1"]
    assert response.headers["x-ocr-notice"] == "no charts: ? here; page 0; page 1"


async def test_without_notices_nothing_is_added() -> None:
    response = await post("/ocr", {"file": b64(PDF)})
    assert "notices" not in response.json()["result"]
    assert "x-ocr-notice" not in response.headers


@pytest.mark.parametrize(
    ("log_id", "echoed"),
    [("abc-1.2_3", True), ("../../etc", False), ("a b", False), ("x" * 129, False), ("", False)],
)
async def test_log_ids_are_echoed_if_they_are_plain_tokens(log_id: str, echoed: bool) -> None:
    good = await post("/ocr", {"file": b64(PNG), "logId": log_id})
    bad = await post("/ocr", {"logId": log_id})
    assert (good.status_code, bad.status_code) == (200, 422)
    for response in (good, bad):
        answered = response.json()["logId"]
        assert (answered == log_id) is echoed
        assert echoed or len(answered) == 36


@pytest.mark.parametrize(
    ("error", "status", "message", "retry_after"),
    [
        (QueueFull("The queue is full"), 503, "The queue is full", "1"),
        (EngineUnavailable("no /weights/x"), 503, "The model cannot be loaded now", "5"),
        (EngineCrashed("signal 11"), 500, "Internal server error", None),
        (ValueError("secret"), 500, "Internal server error", None),
    ],
)
async def test_a_failure_on_the_last_page_is_an_honest_status(
    error: Exception, status: int, message: str, retry_after: str | None
) -> None:
    pdf = documents.text_pdf(30)
    service = FakeDocumentService(errors={29: error})
    response = await post("/layout-parsing", {"file": b64(pdf), "logId": "x"}, service)
    assert service.yielded == list(range(29))
    assert response.status_code == status
    assert response.json() == {"logId": "x", "errorCode": status, "errorMsg": message}
    assert response.headers.get("retry-after") == retry_after
    assert service.ended == 1


async def test_limits_are_named() -> None:
    error: OcrServeError = TooManyPages("The number of pages", 501, 500, "limits.max_pages")
    service = FakeDocumentService(inspect_error=error)
    response = await post("/ocr", {"file": b64(PNG)}, service)
    assert response.status_code == 422
    assert response.json()["errorMsg"] == str(error)


async def test_a_body_above_the_limit() -> None:
    response = await post("/ocr", {"file": "A" * 100}, limits={"max_request_bytes": 64})
    assert response.status_code == 413
    assert "limits.max_request_bytes" in response.json()["errorMsg"]


async def test_validation_comes_before_the_file_and_the_file_before_prediction() -> None:
    service = FakeDocumentService()
    wrong = await post("/ocr", {"file": "!!!", "textDetThresh": "x"}, service)
    assert json.loads(wrong.json()["errorMsg"])[0]["loc"] == "body.textDetThresh"
    unreadable = await post("/ocr", {"file": "!!!"}, service)
    assert unreadable.json()["errorMsg"] == "Invalid input file"
    url = await post("/ocr", {"file": "https://example.com/a.pdf", "fileType": 0}, service)
    assert (url.status_code, "disabled" in url.json()["errorMsg"]) == (422, True)
    assert not service.calls


@pytest.mark.parametrize("pages", [[0], [0, 0], [1, 0], [0, 1, 2]])
async def test_an_answer_with_a_page_missing_never_looks_whole(pages: list[int]) -> None:
    class Careless(FakeDocumentService):
        async def predict_pages(self, *args: Any, **kwargs: Any) -> Any:
            for index in pages:
                yield self.page(PageInfo(index, 1, 1))

    response = await post("/layout-parsing", {"file": b64(PDF)}, Careless())
    assert response.status_code == 500


async def peak_bytes(pages: int) -> tuple[int, int]:
    """Bytes of the answer, and the peak of Python's memory, with a 1 MiB picture per page."""

    def page(info: PageInfo) -> PageResult:
        picture = {f"imgs/{info.index}.jpg": bytes(2**20)}
        return canned_page(info, markdown="x", markdown_images=picture)

    app = build_http_app(FakeDocumentService(page=page), fake_settings())
    body = json.dumps({"file": b64(documents.text_pdf(pages))}).encode()
    request = RawRequest("/layout-parsing", body, {"content-type": "application/json"})
    tracemalloc.start()
    try:
        await request.run(app)
        return request.received_bytes, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def test_memory_does_not_grow_with_the_page_count() -> None:
    await peak_bytes(1)  # imports, caches
    small, small_peak = await peak_bytes(4)
    big, big_peak = await peak_bytes(24)
    assert big - small > 25 * 2**20
    assert big_peak - small_peak < 6 * 2**20  # room for what else the test process does


async def test_health() -> None:
    async with http_client() as client:
        response = await client.get("/health")
    body = response.json()
    assert (body["errorCode"], body["errorMsg"]) == (0, "Healthy")
