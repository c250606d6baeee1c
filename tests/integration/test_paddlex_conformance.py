"""The same requests to PaddleX's real server and to ours: the same status and the same JSON.

Where ours is better than the original on purpose, the difference is one entry of ``EXCEPTIONS``
with its reason, and both answers are asserted.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import numpy as np
import pytest

from serve_app.document import PredictOptions
from serve_app.documents.page_input import PageInput
from serve_app.engines.layered_ocr import LayeredOcr
from serve_app.engines.paddle import PaddleEngine
from serve_app.engines.result_json import dump_pruned
from serve_app.testing.service import fake_settings
from tests import documents
from tests.http_client import b64
from tests.integration.conformance import (
    PIPELINES,
    Answer,
    CannedLayoutResult,
    Pair,
    build_pair,
    canned_layout,
)

pytestmark = pytest.mark.integration

PNG = b64(documents.picture("png"))
PDF = b64(documents.text_pdf(2))
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module", params=PIPELINES)
def pair(request: pytest.FixtureRequest) -> Pair:
    return build_pair(request.param)


@pytest.fixture(scope="module")
def layout() -> Pair:
    return build_pair("/layout-parsing")


def assert_same(answers: tuple[Answer, Answer], sent: object = None) -> Answer:
    theirs, ours = answers
    assert ours.without_generated_id(sent) == theirs.without_generated_id(sent)
    return ours


def image(kind: str) -> dict[str, Any]:
    return {"file": b64(documents.picture(kind)), "fileType": 1}


PNG_FIELDS = {"file": PNG, "fileType": 1}

# What both endpoints understand, and what both refuse.
FIELDS: dict[str, Any] = {
    "png": PNG_FIELDS,
    "jpeg": image("jpeg"),
    "webp": image("webp"),
    "bmp": image("bmp"),
    "tiff of one frame": image("tiff"),
    "tiff of two frames": {"file": b64(documents.tiff(((64, 48), (32, 40)))), "fileType": 1},
    "turned jpeg": {"file": b64(documents.turned("jpeg", 6)), "fileType": 1},
    "pdf": {"file": PDF, "fileType": 0},
    "pdf, turned": {"file": b64(documents.text_pdf(1, rotate=90)), "fileType": 0},
    "visualize": {**PNG_FIELDS, "visualize": True},
    "visualize off": {**PNG_FIELDS, "visualize": False},
    "visualize null": {**PNG_FIELDS, "visualize": None},
    "visualize of a pdf": {"file": PDF, "fileType": 0, "visualize": True},
    "visualize as a word": {**PNG_FIELDS, "visualize": "off"},
    "file type true": {"file": PNG, "fileType": True},
    "file type 1.0": {"file": PNG, "fileType": 1.0},
    "file type 0.0": {"file": PDF, "fileType": 0.0},
    "base64 with newlines": {
        "file": base64.encodebytes(base64.b64decode(PNG)).decode(),
        "fileType": 1,
    },
    "log id": {**PNG_FIELDS, "logId": "my-log.1_A"},
    "log id null": {**PNG_FIELDS, "logId": None},
    "log id empty": {**PNG_FIELDS, "logId": ""},
    "unknown keys": {**PNG_FIELDS, "useLayoutDetection": True, "promptLabel": [1], "x": {"y": 1}},
    "options as null": {**PNG_FIELDS, "useDocUnwarping": None, "textDetThresh": None},
    "options that are coerced": {
        **PNG_FIELDS,
        "useDocUnwarping": "yes",
        "useTextlineOrientation": 0,
        "textDetLimitSideLen": "960",
        "textDetLimitType": "max",
        "textDetThresh": "0.3",
        "textDetUnclipRatio": 2,
    },
    # refused
    "no fields": {},
    "no file": {"fileType": 1},
    "no file, log id": {"fileType": 1, "logId": "my-log"},
    "file null": {"file": None},
    "file a number": {"file": 5, "fileType": 1},
    "file a list": {"file": [PNG], "fileType": 1},
    "file empty": {"file": "", "fileType": 1},
    "file type 2": {"file": PNG, "fileType": 2},
    "file type a word": {"file": PNG, "fileType": "1"},
    "file type a list": {"file": PNG, "fileType": [1]},
    "no base64": {"file": "!!!", "fileType": 1},
    "broken base64": {"file": "abcde", "fileType": 1},
    "chinese": {"file": "中文", "fileType": 0},
    "lone surrogate": {"file": "\ud800", "fileType": 0},
    "base64 of words": {"file": b64(b"plain words"), "fileType": 1},
    "words as a pdf": {"file": b64(b"plain words"), "fileType": 0},
    "damaged pdf": {"file": b64(documents.damaged_pdf()), "fileType": 0},
    "encrypted pdf": {"file": b64(documents.encrypted_pdf()), "fileType": 0},
    "wrong bool": {**PNG_FIELDS, "useDocUnwarping": "perhaps"},
    "wrong bool, a list": {**PNG_FIELDS, "useDocOrientationClassify": []},
    "wrong int": {**PNG_FIELDS, "textDetLimitSideLen": 1.5},
    "wrong int, a word": {**PNG_FIELDS, "textDetLimitSideLen": "big"},
    "wrong str": {**PNG_FIELDS, "textDetLimitType": 1},
    "wrong float": {**PNG_FIELDS, "textDetThresh": "much"},
    "wrong float, an object": {**PNG_FIELDS, "textRecScoreThresh": {}},
    "wrong visualize": {**PNG_FIELDS, "visualize": 7},
    "wrong log id": {**PNG_FIELDS, "logId": []},
    "everything wrong": {
        "file": 1,
        "fileType": 9,
        "useDocUnwarping": "x",
        "textDetLimitSideLen": "x",
        "textDetThresh": "x",
        "visualize": "x",
    },
    "wrong field and no base64": {"file": "!!!", "fileType": 1, "textDetThresh": "x"},
    # not an object
    "a list": [],
    "a list of objects": [PNG_FIELDS],
    "a string": "file",
    "a number": 1,
    "null": None,
}

LAYOUT_FIELDS: dict[str, Any] = {
    "no prettifying": {**PNG_FIELDS, "prettifyMarkdown": False},
    "formula numbers": {**PNG_FIELDS, "showFormulaNumber": True},
    "markdown images": {**PNG_FIELDS, "returnMarkdownImages": True},
    "no output formats": {**PNG_FIELDS, "outputFormats": []},
    "output formats null": {**PNG_FIELDS, "outputFormats": None},
    "all options": {
        **PNG_FIELDS,
        "useTableRecognition": False,
        "useChartRecognition": True,
        "layoutThreshold": {"0": 0.5},
        "layoutNms": True,
        "layoutUnclipRatio": [1.0, 1.5],
        "layoutMergeBboxesMode": "large",
        "sealDetLimitSideLen": 736,
        "useE2eWirelessTableRecModel": False,
        "markdownIgnoreLabels": ["header", "footer"],
    },
    "layout threshold a number": {**PNG_FIELDS, "layoutThreshold": 0.5},
    "unclip ratio a number": {**PNG_FIELDS, "layoutUnclipRatio": 1.1},
    "unclip ratio an object": {**PNG_FIELDS, "layoutUnclipRatio": {"1": [1, 2]}},
    # refused
    "unsupported output format": {**PNG_FIELDS, "outputFormats": ["docx", "pdf"]},
    "output formats a word": {**PNG_FIELDS, "outputFormats": "docx"},
    "wrong layout threshold": {**PNG_FIELDS, "layoutThreshold": "x"},
    "wrong unclip ratio": {**PNG_FIELDS, "layoutUnclipRatio": [1]},
    "wrong unclip ratio, words": {**PNG_FIELDS, "layoutUnclipRatio": ["a", "b"]},
    "wrong merge mode": {**PNG_FIELDS, "layoutMergeBboxesMode": 1},
    "wrong labels": {**PNG_FIELDS, "markdownIgnoreLabels": "header"},
    "wrong labels, inside": {**PNG_FIELDS, "markdownIgnoreLabels": ["header", 1]},
    "null where a value must be": {**PNG_FIELDS, "prettifyMarkdown": None},
    "null for a table option": {**PNG_FIELDS, "useTableOrientationClassify": None},
    "output format and other errors": {"outputFormats": ["pdf"], "layoutNms": "x"},
}

# Bodies and types below JSON.
BODIES: dict[str, dict[str, Any]] = {
    "empty": {"headers": JSON},
    "empty, no type": {},
    "cut off": {"content": b'{"file":', "headers": JSON},
    "no JSON": {"content": b"file=abc", "headers": JSON},
    "two values": {"content": b"{} {}", "headers": JSON},
    "trailing comma": {"content": '{"中": 1,}'.encode(), "headers": JSON},
    "not text": {"content": b'{"file": "\xff"}', "headers": JSON},
    "utf-16": {"content": "{}".encode("utf-16"), "headers": JSON},
    "byte order mark": {"content": b"\xef\xbb\xbf{}", "headers": JSON},
    "NaN": {"content": b'{"file": "", "fileType": 1, "unknown": NaN}', "headers": JSON},
    "no type": {"content": json.dumps(PNG_FIELDS).encode()},
    "text/plain": {"content": b"{}", "headers": {"content-type": "text/plain"}},
    "a form": {"data": {"file": PNG}},
    "another JSON type": {
        "content": json.dumps(PNG_FIELDS).encode(),
        "headers": {"content-type": "application/x+json; charset=utf-8"},
    },
}


@pytest.mark.parametrize("name", FIELDS)
async def test_fields(pair: Pair, name: str) -> None:
    fields = FIELDS[name]
    sent = fields.get("logId") or None if isinstance(fields, dict) else None
    body = json.dumps(fields).encode()  # httpx itself would refuse a lone surrogate
    assert_same(await pair.ask("POST", pair.path, content=body, headers=JSON), sent)


@pytest.mark.parametrize("name", LAYOUT_FIELDS)
async def test_fields_of_layout_parsing(layout: Pair, name: str) -> None:
    assert_same(await layout.post(LAYOUT_FIELDS[name]))


@pytest.mark.parametrize("name", BODIES)
async def test_bodies(pair: Pair, name: str) -> None:
    assert_same(await pair.ask("POST", pair.path, **BODIES[name]))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health"),
        ("POST", "/health"),
        ("GET", "/nothing"),
        ("POST", "/nothing"),
        ("GET", "/ocr/more"),
    ],
)
async def test_paths(pair: Pair, method: str, path: str) -> None:
    assert_same(await pair.ask(method, path))


async def test_exception_the_root_says_what_this_is(pair: Pair) -> None:
    """Theirs answers 404; ours has a page there for people, unless ``ui.enabled`` is off."""
    transport = httpx.ASGITransport(pair.ours)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        ours = await client.get("/")
    assert (ours.status_code, ours.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_methods(pair: Pair, method: str) -> None:
    assert_same(await pair.ask(method, pair.path))


async def test_exception_a_slash_at_the_end_is_what_it_is_without(pair: Pair) -> None:
    """Theirs redirects, and a client that does not follow with a POST has lost its file."""
    theirs, ours = await pair.ask("POST", f"{pair.path}/", json=PNG_FIELDS)
    assert theirs.status == 307
    assert ours.status == 200
    assert ours.body["errorCode"] == 0


async def test_good_answers_are_good(pair: Pair) -> None:
    """A guard for the guards: the canned content does reach both clients."""
    theirs, ours = await pair.post({"file": PDF, "fileType": 0, "visualize": True})
    for answer in (theirs, ours):
        assert answer.status == 200
        [name] = set(answer.body["result"]) - {"dataInfo"}
        assert len(answer.body["result"][name]) == 2
        assert "中文" in json.dumps(answer.body, ensure_ascii=False)


async def test_what_was_sent_reaches_predict_with_the_same_values(layout: Pair) -> None:
    fields = {**LAYOUT_FIELDS["all options"], **FIELDS["options that are coerced"]}
    await layout.post(fields)
    theirs, ours = (
        layout.pipeline.arguments[-1],
        dict(layout.service.calls[-1].request.options.predict),
    )
    assert set(ours) <= set(theirs)
    # JSON's keys are texts. PaddleX looks for numbers among them, and finds none.
    assert theirs.pop("layout_threshold") == {"0": 0.5}
    assert ours.pop("layout_threshold") == {0: 0.5}
    assert {name: theirs[name] for name in ours} == ours
    # PaddleX also sends its schema's own defaults; ours leaves them to the configuration.
    left = {name: value for name, value in theirs.items() if name not in ours and value is not None}
    assert left == {
        "use_wired_table_cells_trans_to_html": False,
        "use_wireless_table_cells_trans_to_html": False,
        "use_table_orientation_classify": True,
        "use_ocr_results_with_table_cells": True,
        "use_e2e_wired_table_rec_model": False,
    }


# ---- better than the original ----------------------------------------------------------------


def is_ok(pages: int = 1, type_: str = "image") -> Callable[[Answer], bool]:
    """A whole answer."""

    def check(answer: Answer) -> bool:
        result = answer.body["result"]
        [name] = set(result) - {"dataInfo"}
        return len(result[name]) == pages and bool(result["dataInfo"]["type"] == type_)

    return check


def says(*words: str) -> Callable[[Answer], bool]:
    """An error message with these words."""
    return lambda answer: all(word in answer.body["errorMsg"] for word in words)


def echoes(log_id: str | None) -> Callable[[Answer], bool]:
    """The logId of the answer; None: a generated one."""

    def check(answer: Answer) -> bool:
        found = answer.body["logId"]
        return bool(found == log_id) if log_id else len(found) == 36

    return check


Expected = tuple[int, Callable[[Answer], bool]]


@dataclass(frozen=True)
class Difference:
    """A documented difference: why, the request, and what each server answers."""

    why: str
    fields: Any
    theirs: Expected
    ours: Expected
    settings: dict[str, Any] = field(default_factory=dict)


INVALID = (422, says("Invalid input file"))
NO_TYPE = (422, says("File type cannot be determined"))
ONE_PICTURE = (200, is_ok())
TWO_PAGES = (200, is_ok(2, "pdf"))
TEN_PAGES = (200, is_ok(10, "pdf"))
ELEVEN = b64(documents.text_pdf(11))
PADDED = (b64(documents.picture("png", width)) for width in range(64, 128))
UNPADDED = next(text for text in PADDED if text.endswith("=")).rstrip("=")
LONG_ID = "x" * 129

EXCEPTIONS = {
    "no file type": Difference(
        "a real client sends base64 without fileType: the first bytes decide",
        {"file": PNG},
        theirs=NO_TYPE,
        ours=ONE_PICTURE,
    ),
    "no file type, pdf": Difference(
        "the same for a PDF",
        {"file": PDF, "fileType": None},
        theirs=NO_TYPE,
        ours=TWO_PAGES,
    ),
    "a picture called a pdf": Difference(
        "a real client uploads a PNG called document.pdf",
        {"file": PNG, "fileType": 0},
        theirs=INVALID,
        ours=ONE_PICTURE,
    ),
    "a pdf called a picture": Difference(
        "the first bytes decide",
        {"file": PDF, "fileType": 1},
        theirs=INVALID,
        ours=TWO_PAGES,
    ),
    "unsupported bytes without a type": Difference(
        "what is wrong is the file, not that the hint is missing",
        {"file": b64(b"plain words")},
        theirs=NO_TYPE,
        ours=INVALID,
    ),
    "data url": Difference(
        "it is what a browser's FileReader gives",
        {"file": f"data:image/png;base64,{PNG}", "fileType": 1},
        theirs=INVALID,
        ours=ONE_PICTURE,
    ),
    "base64 without padding": Difference(
        "nothing is ambiguous without it",
        {"file": UNPADDED, "fileType": 1},
        theirs=INVALID,
        ours=ONE_PICTURE,
    ),
    "gif": Difference(
        "its first frame is read; OpenCV 4.10 has no reader for GIF",
        image("gif"),
        theirs=INVALID,
        ours=ONE_PICTURE,
    ),
    "eleven pages": Difference(
        "pages are never cut silently; PaddleX drops all after the tenth",
        {"file": ELEVEN, "fileType": 0},
        theirs=TEN_PAGES,
        ours=(200, is_ok(11, "pdf")),
    ),
    "more pages than the limit": Difference(
        "the limit is explicit and named",
        {"file": ELEVEN, "fileType": 0},
        theirs=TEN_PAGES,
        ours=(422, says("limits.max_pages")),
        settings={"limits": {"max_pages": 10}},
    ),
    "a body above the limit": Difference(
        "PaddleX reads a body of any size",
        PNG_FIELDS,
        theirs=ONE_PICTURE,
        ours=(413, says("limits.max_request_bytes")),
        settings={"limits": {"max_request_bytes": 100}},
    ),
    "a url": Difference(
        "PaddleX fetches from anywhere, also from inside the server's own network",
        {"file": "http://127.0.0.1:1/a.png", "fileType": 1},
        theirs=INVALID,
        ours=(422, says("disabled")),
    ),
    "log id that is a path": Difference(
        "it would become a path where files are stored",
        {**PNG_FIELDS, "logId": "../../etc"},
        theirs=(200, echoes("../../etc")),
        ours=(200, echoes(None)),
    ),
    "log id that is a number": Difference(
        "PaddleX's error handler fails on it",
        {**PNG_FIELDS, "logId": 5},
        theirs=(500, says("Internal server error")),
        ours=(422, says("body.logId", "string_type")),
    ),
    "log id that is very long": Difference(
        "it goes into every log line",
        {**PNG_FIELDS, "logId": LONG_ID},
        theirs=(200, echoes(LONG_ID)),
        ours=(200, echoes(None)),
    ),
    "an option out of its bounds": Difference(
        "PaddleX hands it on to OpenCV, and answers 500 if that fails",
        {**PNG_FIELDS, "textDetThresh": 7, "textDetLimitType": "foo", "textDetUnclipRatio": -1},
        theirs=ONE_PICTURE,
        ours=(422, says("body.textDetThresh", "body.textDetLimitType", "body.textDetUnclipRatio")),
    ),
    "deeply nested": Difference(
        "a JSON bomb is refused as such",
        {**PNG_FIELDS, "x": json.loads("[" * 200 + "]" * 200)},
        theirs=ONE_PICTURE,
        ours=(422, says("json_too_complex")),
    ),
}


@pytest.mark.parametrize("name", EXCEPTIONS)
@pytest.mark.parametrize("path", PIPELINES)
async def test_documented_exceptions(path: str, name: str) -> None:
    case = EXCEPTIONS[name]
    pair = build_pair(path, fake_settings(paddlex={"visualize": True}, **case.settings))
    theirs, ours = await pair.post(case.fields)
    status, check = case.theirs
    assert theirs.status == status
    assert check(theirs), "the original has changed: is this still a difference?"
    status, check = case.ours
    assert ours.status == status, case.why
    assert check(ours), case.why


async def test_exception_pictures_are_drawn_only_if_asked_for(pair: Pair) -> None:
    """Drawing costs more than many a page; ``paddlex.visualize`` restores PaddleX's default."""
    theirs, ours = await build_pair(pair.path, fake_settings()).post(PNG_FIELDS)
    key = {"/ocr": "ocrImage", "/layout-parsing": "outputImages"}[pair.path]
    assert key in str(theirs.body)
    assert key not in str(ours.body)


async def test_exception_markdown_images_are_always_present(layout: Pair) -> None:
    """Clients index ``markdown["images"]``; PaddleX leaves the key out if none were asked for."""
    theirs, ours = await layout.post({**PNG_FIELDS, "returnMarkdownImages": False})
    [their_page] = theirs.body["result"]["layoutParsingResults"]
    [our_page] = ours.body["result"]["layoutParsingResults"]
    assert "images" not in their_page["markdown"]
    assert our_page["markdown"].pop("images") == {}
    assert our_page == their_page


async def test_exception_exports_are_named_by_page(layout: Pair) -> None:
    """PaddleX names them by the clock and a random number."""
    theirs, ours = await layout.post({**PNG_FIELDS, "outputFormats": ["docx"]})
    for answer, name in ((theirs, r"\d+_\d+\.docx"), (ours, r"page-1\.docx")):
        [page] = answer.body["result"]["layoutParsingResults"]
        export = page["exports"]["docx"]
        assert list(export) == ["content", "fileName"]
        assert base64.b64decode(export["content"]).startswith(b"PK")
        assert re.fullmatch(name, export["fileName"])


class CannedPipeline:
    """Gives one result, and reads nothing anew."""

    def predict(self, page: np.ndarray, **_: object) -> list[CannedLayoutResult]:
        height, width = page.shape[:2]
        return [canned_layout(0, width, height)]


class PlainOcr:
    """In place of the pipeline's OCR: no text layer, no page on its side."""

    can_turn = False

    @contextlib.contextmanager
    def page(self, *_: object, **__: object) -> Iterator[None]:
        """Nothing is different under a page."""
        yield

    def restore(self, result: object) -> None:
        """Nothing was changed."""


def engine() -> PaddleEngine:
    """The real engine around PaddleX's real result, without its models."""
    engine = PaddleEngine.__new__(PaddleEngine)
    engine._pipeline = CannedPipeline()
    engine._settings = fake_settings().models["structure"]
    engine._stages = frozenset()
    engine._ocr = cast(LayeredOcr, PlainOcr())
    return engine


PAGE = PageInput(np.full((48, 64, 3), 255, np.uint8))


def test_exception_every_line_is_in_the_markdown_and_in_the_blocks() -> None:
    """PaddleX leaves out lines that no layout box covers, and what it takes for pictures."""
    theirs = canned_layout(0, 64, 48)
    ours = engine().predict(PAGE, 0, PredictOptions())
    assert ours.markdown is not None
    assert "quoted" not in theirs._to_markdown()["markdown_texts"]
    assert 'Page 1 中文 "quoted" \\ &lt;/script>' in ours.markdown.text
    [their_blocks, our_blocks] = [
        result["parsing_res_list"] for result in (theirs.json["res"], json.loads(ours.pruned_json))
    ]
    assert {tuple(block) for block in our_blocks} == {tuple(block) for block in their_blocks}
    assert any("quoted" in block["block_content"] for block in our_blocks)
    assert [block["block_id"] for block in our_blocks] == list(range(len(our_blocks)))


def test_without_keep_all_text_the_answer_is_the_originals() -> None:
    theirs = canned_layout(0, 64, 48)
    ours = engine().predict(PAGE, 0, PredictOptions(keep_all_text=False))
    written = theirs._to_markdown()
    assert ours.markdown is not None
    assert ours.markdown.text == written["markdown_texts"]
    assert list(ours.markdown.images) == list(written["markdown_images"])
    assert (ours.markdown.is_start, ours.markdown.is_end) == written["page_continuation_flags"]
    assert ours.pruned_json == dump_pruned(theirs.json["res"])
    assert ours.blocks == ()


@pytest.mark.parametrize("keep", [True, False])
async def test_the_configuration_says_which_answer_it_is(keep: bool) -> None:
    pair = build_pair("/layout-parsing", fake_settings(paddlex={"keep_all_text": keep}))
    await pair.post(PNG_FIELDS)
    assert pair.service.calls[-1].request.options.keep_all_text is keep


async def test_exception_transparency_is_flattened_on_white(pair: Pair) -> None:
    """PaddleX drops the alpha channel, so black letters on nothing become black on black."""
    fields = {"file": b64(documents.transparent_png()), "fileType": 1, "visualize": True}
    theirs, ours = await pair.post(fields)
    for answer in (theirs, ours):
        [name] = set(answer.body["result"]) - {"dataInfo"}
        answer.body["result"][name][0].pop("inputImage")
        answer.body.pop("logId")
    assert theirs.body == ours.body


async def test_exception_bodies_of_unknown_paths_are_not_read(pair: Pair) -> None:
    """PaddleX reads them to find a logId."""
    theirs, ours = await pair.ask("POST", "/nothing", json={"logId": "my-log"})
    assert (theirs.status, theirs.body["logId"]) == (404, "my-log")
    assert (ours.status, ours.body["logId"] == "my-log") == (404, False)
    assert theirs.body["errorMsg"] == ours.body["errorMsg"]
