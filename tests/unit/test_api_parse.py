from __future__ import annotations

from typing import Any

import httpx
import pytest

from serve_app.document import Markdown, PageInfo, PageResult
from serve_app.errors import EngineCrashed, EngineHung
from serve_app.testing.service import FakeDocumentService, canned_page, fake_settings
from tests import documents
from tests.http_client import http_client

PNG = documents.picture("png", 64, 48)
PDF = documents.text_pdf(5)

FORM_TYPE = {"content-type": "multipart/form-data; boundary=b"}
TRUNCATED_FORM = (
    b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + PNG * 9_000
)


async def parse(
    data: bytes = PDF,
    service: FakeDocumentService | None = None,
    settings: dict[str, object] | None = None,
    **params: str,
) -> httpx.Response:
    async with http_client(service, fake_settings(**(settings or {}))) as client:
        return await client.post("/v1/parse", content=data, params=params)


def refused(response: httpx.Response, code: str = "invalid_request", status: int = 422) -> str:
    assert response.status_code == status
    error = response.json()["error"]
    assert error["code"] == code
    return str(error["message"])


async def test_markdown_is_the_default() -> None:
    response = await parse(documents.text_pdf(2))
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/markdown; charset=utf-8"
    assert response.headers["content-length"] == str(len(response.content))
    assert response.text == "# Page 1\n\nHello 42\n\n# Page 2\n\nHello 42\n"


async def test_paragraphs_run_on_over_the_end_of_a_page() -> None:
    def page(info: PageInfo) -> PageResult:
        first = info.index == 0
        result = canned_page(info, markdown="x")
        text = "A sentence that" if first else "goes on."
        markdown = Markdown(text, {}, is_start=first, is_end=not first)
        return PageResult(info.index, 1, 1, result.pruned_json, (), markdown)

    response = await parse(documents.text_pdf(2), FakeDocumentService(page=page))
    assert response.text == "A sentence that goes on.\n"


async def test_a_pipeline_without_layout_gives_its_lines() -> None:
    def page(info: PageInfo) -> PageResult:
        return canned_page(info, lines=("one", "two"))

    response = await parse(documents.text_pdf(2), FakeDocumentService(page=page), model="ocr")
    assert response.text == "one\ntwo\n\none\ntwo\n"


async def test_text() -> None:
    response = await parse(documents.text_pdf(2), format="text")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text == "Page 1\nHello 42\n\nPage 2\nHello 42\n"


async def test_json() -> None:
    response = await parse(format="json", pages="4,2")
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["document", "pages", "notices"]
    assert body["document"] == {"type": "pdf", "pages": 5}
    assert [page["page"] for page in body["pages"]] == [4, 2]
    assert body["pages"][0] == {
        "page": 4,
        "width": 1190,
        "height": 1684,
        "dpi": 144.0,
        "scale": 1.0,
        "blocks": [],
        "text": ["Page 4", "Hello 42"],
        "lines": [
            {"text": "Page 4", "box": [0, 0, 1190, 168.4], "score": 1, "source": "ocr"},
            {"text": "Hello 42", "box": [0, 168.4, 1190, 336.8], "score": 1, "source": "ocr"},
        ],
        "markdown": "# Page 4\n\nHello 42",
        "furniture": [],
        "result": {"rec_texts": ["Page 4", "Hello 42"]},
    }
    assert body["notices"] == []


async def test_a_page_that_was_made_smaller_says_so_and_how_far() -> None:
    data = documents.huge_page_pdf(14_400)
    response = await parse(data, format="json")
    body = response.json()
    assert [page["dpi"] for page in body["pages"]] == [144.0, 31.6]
    (notice,) = body["notices"]
    assert notice.startswith("page 2 was rendered at 31.6 dpi instead of 144")
    assert response.headers["x-ocr-notice"] == notice
    only_first = await parse(data, format="json", pages="1")
    assert only_first.json()["notices"] == []


async def test_a_picture_that_was_read_smaller_says_so_and_how_far() -> None:
    response = await parse(
        documents.picture("jpeg", 640, 480),
        settings={"documents": {"max_render_pixels": 80_000}},
        format="json",
    )
    (page,) = response.json()["pages"]
    assert (page["width"], page["height"], page["dpi"], page["scale"]) == (320, 240, None, 0.5)
    assert "640 x 480 pixels was read at 320 x 240" in response.json()["notices"][0]


async def test_json_of_a_pipeline_without_layout_has_its_lines_as_markdown() -> None:
    service = FakeDocumentService(page=lambda page: canned_page(page, lines=("one", "two")))
    body = (await parse(PNG, service, format="json", model="ocr")).json()
    assert body["pages"][0]["markdown"] == "one\ntwo"


async def test_notices() -> None:
    service = FakeDocumentService(page=lambda page: canned_page(page, notices=("no charts",)))
    response = await parse(service=service, format="json")
    assert response.json()["notices"] == ["no charts"]
    assert (await parse(service=service)).headers["x-ocr-notice"] == "no charts"


def with_picture(page: PageInfo) -> PageResult:
    text = 'before\n\n<img src="imgs/a.jpg" alt="Image" width="50%" />\n\nafter'
    return canned_page(page, markdown=text, markdown_images={"imgs/a.jpg": b"ABC"})


async def test_pictures_as_data_uris_or_left_out() -> None:
    service = FakeDocumentService(page=with_picture)
    inside = (await parse(PNG, service)).text
    assert 'src="data:image/jpeg;base64,QUJD"' in inside
    out = (await parse(PNG, service, images="omit")).text
    assert out == "before\n\nafter\n"
    assert [call.request.options.markdown_images for call in service.calls] == [True, False]


async def test_text_never_asks_for_pictures() -> None:
    service = FakeDocumentService(page=with_picture)
    await parse(PNG, service, format="text")
    assert service.calls[0].request.options.markdown_images is False


@pytest.mark.parametrize(
    ("pages", "indexes"),
    [("1-3", (0, 1, 2)), ("1-2,5", (0, 1, 4)), ("3", (2,)), ("4-", (3, 4))],
)
async def test_only_the_pages_asked_for_are_predicted(pages: str, indexes: tuple[int, ...]) -> None:
    service = FakeDocumentService()
    assert (await parse(service=service, pages=pages)).status_code == 200
    assert service.calls[0].pages == indexes


async def test_pages_that_are_not_there() -> None:
    assert "no page 6" in refused(await parse(pages="2-6"))


async def test_orientation_and_other_options() -> None:
    service = FakeDocumentService()
    response = await parse(
        service=service,
        orientation="true",
        use_table_recognition="false",
        text_det_limit_side_len="960",
        layout_threshold='{"0": 0.5}',
        layout_unclip_ratio="[1.0, 1.2]",
        markdown_ignore_labels="header, footer",
        prettify_markdown="false",
        show_formula_number="true",
    )
    assert response.status_code == 200
    options = service.calls[0].request.options
    assert options.predict == {
        "use_doc_orientation_classify": True,
        "use_table_recognition": False,
        "text_det_limit_side_len": 960,
        "layout_threshold": {0: 0.5},
        "layout_unclip_ratio": (1.0, 1.2),
        "markdown_ignore_labels": ["header", "footer"],
    }
    assert (options.prettify_markdown, options.show_formula_number) == (False, True)


async def test_without_parameters_the_configured_defaults_rule() -> None:
    service = FakeDocumentService()
    await parse(service=service)
    assert (service.calls[0].request.model, service.calls[0].request.options.predict) == (
        "structure",
        {},
    )


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"formt": "json"}, "`format`"),
        ({"use_table_recognitoin": "true"}, "`use_table_recognition`"),
        ({"model": "ocr", "use_table_recognition": "true"}, "not a parameter or an option of OCR"),
        ({"format": "rtf"}, "markdown, json, text, html"),
        ({"images": "png"}, "data_uri, omit"),
        ({"orientation": "maybe"}, "`orientation`"),
        ({"text_det_thresh": "x"}, "`text_det_thresh`"),
        ({"text_det_thresh": "nan"}, "`text_det_thresh`"),
        ({"layout_threshold": "{"}, "`layout_threshold`"),
        ({"layout_threshold": "[" * 9_000}, "`layout_threshold`"),
        ({"orientation": "true", "use_doc_orientation_classify": "true"}, "are the same"),
    ],
)
async def test_wrong_parameters_are_named(params: dict[str, str], words: str) -> None:
    assert words in refused(await form(content=PNG, params=params))


async def test_an_unknown_model_is_answered_with_the_declared_ones() -> None:
    message = refused(await parse(PNG, model="magic"), "unknown_model")
    assert "ocr, structure" in message


async def test_any_declared_model_can_be_asked() -> None:
    models = {"ocr-latin": {"pipeline": "OCR"}, "ocr": {"pipeline": "OCR"}}
    service = FakeDocumentService()
    assert (await parse(PNG, service, {"models": models}, model="ocr-latin")).status_code == 200
    assert (await parse(PNG, service, {"models": models})).status_code == 200
    assert [call.request.model for call in service.calls] == ["ocr-latin", "ocr-latin"]


async def form(
    settings: dict[str, object] | None = None,
    service: FakeDocumentService | None = None,
    url: str = "/v1/parse",
    **parts: Any,
) -> httpx.Response:
    async with http_client(service, fake_settings(**(settings or {}))) as client:
        return await client.post(url, **parts)


async def test_a_form_with_a_file() -> None:
    response = await form(files={"file": ("document.pdf", PNG)})
    assert response.text == "# Page 1\n\nHello 42\n"


async def test_parameters_as_fields_of_the_form_the_query_wins() -> None:
    service = FakeDocumentService()
    response = await form(
        service=service,
        url="/v1/parse?format=text",
        files={"file": ("a.pdf", PDF)},
        data={"format": "json", "pages": "2"},
    )
    assert response.text == "Page 2\nHello 42\n"


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"files": {"document": ("a.pdf", PNG)}}, "no part named `file`"),
        ({"files": {"x": (None, "1")}}, "no part named `file`"),
        ({"files": {"file": (None, "a text field")}}, "-F file=@NAME"),
        ({"files": [("file", ("a", PNG)), ("file", ("b", PNG))]}, "more than one file"),
        ({"files": {"file": ("a", PNG)}, "data": {"pages": ["1", "2"]}}, "given twice"),
        ({"files": {"file": ("a", PNG)}, "data": {"pages": "1," * 20_000}}, "maximum size"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, "boundary"),
        ({"content": b"nope", "headers": FORM_TYPE}, "Invalid multipart data"),
        ({"content": TRUNCATED_FORM, "headers": FORM_TYPE}, "cut off"),
    ],
)
async def test_broken_forms_are_named(parts: dict[str, Any], words: str) -> None:
    assert words.lower() in refused(await form(**parts)).lower()


async def test_a_url_in_place_of_a_file() -> None:
    response = await form(files={"file": (None, "https://example.com/a.pdf")})
    refused(response, "url_fetch_disabled")


async def test_a_parameter_twice_in_the_query() -> None:
    assert "given twice" in refused(await form(url="/v1/parse?pages=1&pages=2", content=PNG))


async def test_a_raw_body_of_any_type() -> None:
    for content_type in ("application/pdf", "application/x-www-form-urlencoded", "image/png"):
        response = await form(content=PNG, headers={"content-type": content_type})
        assert response.status_code == 200


@pytest.mark.parametrize("as_form", [False, True])
async def test_a_body_above_the_limit(as_form: bool) -> None:
    parts: dict[str, Any] = {"files": {"file": ("a", PNG)}} if as_form else {"content": PNG}
    response = await form({"limits": {"max_request_bytes": 50}}, **parts)
    refused(response, "request_too_large", 413)
    assert response.json()["error"]["config_key"] == "limits.max_request_bytes"


async def test_a_big_form_is_spooled() -> None:
    service = FakeDocumentService()
    data = PNG + b"\0" * 3_000_000
    await form(service=service, files={"file": ("a.png", data)})
    assert service.calls[0].request.data == data


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_file"),
        (b"plain words", "unsupported_file"),
        (documents.damaged_pdf(), "invalid_file"),
        (documents.encrypted_pdf(), "encrypted_file"),
        (documents.pixel_bomb_png(), "image_too_large"),
    ],
)
async def test_files_that_cannot_be_read(data: bytes, code: str) -> None:
    refused(await parse(data), code)


async def test_a_failure_on_the_last_page_is_an_honest_status() -> None:
    service = FakeDocumentService(errors={4: EngineCrashed("signal 11")})
    refused(await parse(service=service), "engine_crashed", 500)
    assert service.yielded == [0, 1, 2, 3]


FAULT = EngineCrashed("pid 7: signal 11 in /lib")  # for the log
WHY = "The engine ended while it read the page"


async def test_partial_markdown_says_in_its_place_which_page_failed_and_why() -> None:
    service = FakeDocumentService(errors={1: FAULT})
    response = await parse(documents.text_pdf(3), service, on_page_error="partial")
    assert response.status_code == 200
    assert response.headers["x-ocr-failed-pages"] == "2"
    assert response.text == (
        "# Page 1\n\nHello 42\n\n"
        f"> **Page 2 failed**: engine_crashed: {WHY}\n\n"
        "# Page 3\n\nHello 42\n"
    )


async def test_partial_text_says_so_too() -> None:
    service = FakeDocumentService(errors={0: FAULT, 2: FAULT})
    response = await parse(documents.text_pdf(3), service, on_page_error="partial", format="text")
    assert response.headers["x-ocr-failed-pages"] == "1,3"
    assert response.text == (
        f"[page 1 failed: engine_crashed: {WHY}]\n\n"
        "Page 2\nHello 42\n\n"
        f"[page 3 failed: engine_crashed: {WHY}]\n"
    )


async def test_partial_json_has_the_error_instead_of_a_result() -> None:
    service = FakeDocumentService(errors={1: FAULT})
    response = await parse(
        documents.text_pdf(3), service, on_page_error="partial", format="json", pages="1-2"
    )
    pages = response.json()["pages"]
    assert [page["page"] for page in pages] == [1, 2]
    assert "error" not in pages[0]
    assert pages[1] == {"page": 2, "error": {"code": "engine_crashed", "message": WHY}}


async def test_partial_without_a_failure_is_the_same_answer() -> None:
    one, other = await parse(), await parse(on_page_error="partial")
    assert one.content == other.content
    assert "x-ocr-failed-pages" not in other.headers


async def test_partial_with_no_page_left_is_the_first_error() -> None:
    service = FakeDocumentService(errors={0: FAULT, 1: EngineHung("another")})
    response = await parse(documents.text_pdf(2), service, on_page_error="partial")
    assert refused(response, "engine_crashed", 500) == WHY


async def test_partial_does_not_cover_what_concerns_the_whole_request() -> None:
    service = FakeDocumentService(errors={1: RuntimeError("not of a page")})
    response = await parse(documents.text_pdf(2), service, on_page_error="partial")
    assert response.status_code == 500


async def test_a_wrong_value_of_on_page_error() -> None:
    assert "fail, partial" in refused(await parse(on_page_error="ignore"))


async def test_a_bad_timeout_header() -> None:
    response = await form(content=PNG, headers={"x-request-timeout-seconds": "soon"})
    assert "x-request-timeout-seconds" in refused(response)


async def test_the_timeout_header_reaches_the_service() -> None:
    service = FakeDocumentService()
    await form(service=service, content=PNG, headers={"x-request-timeout-seconds": "10"})
    assert 8 < service.calls[0].deadline_s <= 9.5
