"""PaddleX's real server and ours around the same canned results, and how their answers compare.

The results are real PaddleX objects with content made up from the page's number and size; only
their drawn pictures are replaced, because PaddleX draws with random colours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import httpx
import numpy as np
from fastapi import FastAPI
from paddlex.inference.models.object_detection.result import DetResult
from paddlex.inference.pipelines.layout_parsing.layout_objects import LayoutBlock
from paddlex.inference.pipelines.layout_parsing.result_v2 import LayoutParsingResultV2
from paddlex.inference.pipelines.ocr.result import OCRResult
from paddlex.inference.serving.basic_serving._pipeline_apps import create_pipeline_app
from PIL import Image

from serve_app.api.app import build_http_app
from serve_app.document import (
    DocumentRequest,
    Markdown,
    PageInfo,
    PageResult,
    PredictOptions,
)
from serve_app.documents.render import render_page
from serve_app.engines.result_json import dump_pruned
from serve_app.settings import AppSettings
from serve_app.testing.service import FakeDocumentService, fake_settings

PIPELINES = {"/ocr": "OCR", "/layout-parsing": "PP-StructureV3"}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


# ---- canned results --------------------------------------------------------------------------


class CannedOCRResult(OCRResult):
    """PaddleX's result of the OCR pipeline with pictures that are always the same."""

    def _to_img(self) -> dict[str, Image.Image]:
        grey = Image.new("RGB", (16, 8), (200, 200, 200))
        return {"ocr_res_img": grey, "preprocessed_img": Image.new("RGB", (8, 8), (9, 9, 9))}


class CannedLayoutResult(LayoutParsingResultV2):
    """PaddleX's result of PP-StructureV3 with pictures that are always the same."""

    def _to_img(self) -> dict[str, Any]:
        array = np.full((8, 16, 3), (0, 128, 255), np.uint8)
        return {"layout_det_res": Image.new("RGB", (16, 8), (1, 2, 3)), "overall_ocr_res": array}


def canned_ocr(index: int, width: int, height: int) -> CannedOCRResult:
    """Two lines of text; floats, nulls and Chinese as in real results."""
    poly = [[1, 2], [width - 1, 2], [width - 1, 9], [1, 9]]
    return CannedOCRResult(
        {
            "input_path": None,
            "page_index": None,
            "doc_preprocessor_res": {"output_img": np.zeros((height, width, 3), np.uint8)},
            "model_settings": {"use_doc_preprocessor": False, "use_textline_orientation": True},
            "dt_polys": [np.array(poly, np.int16)] * 2,
            "text_det_params": {"limit_side_len": 64, "thresh": 0.3, "unclip_ratio": 1.5},
            "text_type": "general",
            "textline_orientation_angles": [-1, -1],
            "text_rec_score_thresh": 0.0,
            "return_word_box": False,
            "rec_texts": [f"Page {index + 1}", '中文 "quoted" \\ </script>'],
            "rec_scores": [0.998765, float(np.float32(0.5))],
            "rec_polys": [np.array(poly, np.int16)] * 2,
            "rec_boxes": np.array([[1, 2, width - 1, 9]] * 2),
            "vis_fonts": None,
        }
    )


def canned_layout(index: int, width: int, height: int) -> CannedLayoutResult:
    """A title, a paragraph that is at the page's edge, a picture and a table."""
    page = np.zeros((height, width, 3), np.uint8)
    blocks = [
        _block("doc_title", (2, 2, width - 2, 10), f"Page {index + 1}", 0),
        _block("text", (2, 12, width - 2, height - 2), "A paragraph 中文 that goes on", 1),
        _block("table", (2, 20, 30, 30), "<html><body><table><tr><td>1</td></tr></table>", 2),
        _block("image", (4, 4, 20, 12), "", 3),
    ]
    blocks[3].image = {"path": "imgs/img_in_image_box_4_4_20_12.jpg", "img": _picture(index)}
    settings = {
        "use_doc_preprocessor": False,
        "use_seal_recognition": False,
        "use_table_recognition": True,
        "use_formula_recognition": False,
        "use_chart_recognition": False,
        "use_region_detection": False,
        "format_block_content": False,
        "markdown_ignore_labels": ["header"],
    }
    box = {"cls_id": 0, "label": "text", "score": 0.9, "coordinate": [2.0, 12.5, 30.0, 40.0]}
    detected = DetResult(
        {"input_path": None, "page_index": None, "input_img": page, "boxes": [box]}
    )
    return CannedLayoutResult(
        {
            "input_path": None,
            "page_index": None,
            "page_count": None,
            "width": width,
            "height": height,
            "doc_preprocessor_res": {"output_img": page},
            "layout_det_res": detected,
            "overall_ocr_res": canned_ocr(index, width, height),
            "table_res_list": [],
            "seal_res_list": [],
            "formula_res_list": [],
            "parsing_res_list": blocks,
            "imgs_in_doc": [],
            "model_settings": settings,
        }
    )


def _block(label: str, box: tuple[int, int, int, int], content: str, index: int) -> Any:
    block = LayoutBlock(label=label, bbox=list(box), content=content)
    block.index = index
    block.order_index = index + 1 if label != "image" else None
    return block


def _picture(index: int) -> Image.Image:
    return Image.new("RGB", (16, 8), (10 * index, 100, 50))


# ---- PaddleX's side --------------------------------------------------------------------------


class StubPipeline:
    """What PaddleX's app takes for a pipeline; remembers the arguments of ``predict``."""

    def __init__(self, pipeline: str) -> None:
        self.canned = canned_ocr if pipeline == "OCR" else canned_layout
        self.arguments: list[dict[str, Any]] = []

    def predict(self, images: list[Any], **arguments: Any) -> Iterator[Any]:
        """One canned result per picture."""
        self.arguments.append(arguments)
        for index, image in enumerate(images):
            height, width = image.shape[:2]
            yield self.canned(index, width, height)


# ---- our side --------------------------------------------------------------------------------


class CannedService(FakeDocumentService):
    """Our service with the same results, rendered and converted as an engine does."""

    async def predict_pages(
        self, request: DocumentRequest, pages: Any, *, deadline_s: float
    ) -> Any:
        """One canned result per page."""
        data, info, options = request.data, request.info, request.options
        ocr = self.settings.models[request.model].pipeline == "OCR"

        def page(place: PageInfo) -> PageResult:
            result = (canned_ocr if ocr else canned_layout)(place.index, place.width, place.height)
            kind, limits, documents = info.kind, self.settings.limits, self.settings.documents
            picture = render_page(memoryview(data), kind, place.index, limits, documents)
            return converted(result, place, picture, options)

        self.page = page
        async for result in super().predict_pages(request, pages, deadline_s=deadline_s):
            yield result


def converted(result: Any, place: PageInfo, picture: Any, options: PredictOptions) -> PageResult:
    """A PaddleX result as a PageResult."""
    markdown = None
    if isinstance(result, LayoutParsingResultV2):
        data = result._to_markdown(
            pretty=options.prettify_markdown, show_formula_number=options.show_formula_number
        )
        images = {key: _jpeg(image) for key, image in data["markdown_images"].items()}
        markdown = Markdown(data["markdown_texts"], images, *data["page_continuation_flags"])
    drawn = {key: _jpeg(image) for key, image in {"input_img": picture, **result.img}.items()}
    return PageResult(
        place.index,
        place.width,
        place.height,
        dump_pruned(result.json["res"]),
        (),
        markdown,
        drawn,
        {"docx": b"PK"},
    )


def _jpeg(image: Any) -> bytes:
    if isinstance(image, Image.Image):
        image = cv2.cvtColor(np.array(image.convert("RGB")), cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", image)[1].tobytes())


# ---- both ------------------------------------------------------------------------------------


@dataclass
class Pair:
    """Both servers for one endpoint."""

    path: str
    pipeline: StubPipeline
    theirs: FastAPI
    service: CannedService
    ours: FastAPI

    async def ask(self, method: str, path: str, **request: Any) -> tuple[Answer, Answer]:
        """The same request to both: their answer, our answer."""
        async with self.theirs.router.lifespan_context(self.theirs):
            theirs = await _ask(self.theirs, method, path, **request)
        return theirs, await _ask(self.ours, method, path, **request)

    async def post(self, fields: Any) -> tuple[Answer, Answer]:
        """The same JSON to both."""
        return await self.ask("POST", self.path, json=fields)


@dataclass(frozen=True)
class Answer:
    """Status, type and JSON of an answer; objects are lists of pairs, so that order counts."""

    status: int
    content_type: str | None
    ordered: Any
    body: Any

    def without_generated_id(self, sent: object) -> tuple[Any, ...]:
        """Comparable with another server's answer: a generated logId becomes a word."""
        if isinstance(self.body, dict) and self.body.get("logId") != sent:
            assert UUID.fullmatch(self.body["logId"])
            ordered = [("logId", "generated"), *self.ordered[1:]]
            return (self.status, self.content_type, ordered)
        return (self.status, self.content_type, self.ordered)


async def _ask(app: FastAPI, method: str, path: str, **request: Any) -> Answer:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.request(method, path, **request)
    if not response.content:
        return Answer(response.status_code, None, None, None)
    return Answer(
        response.status_code,
        response.headers["content-type"],
        json.loads(response.content, object_pairs_hook=list),
        response.json(),
    )


def build_pair(path: str, settings: AppSettings | None = None) -> Pair:
    """Both servers around the same results; ours draws by default, as theirs does."""
    settings = settings or fake_settings(paddlex={"visualize": True})
    pipeline = StubPipeline(PIPELINES[path])
    theirs = create_pipeline_app(pipeline, {"pipeline_name": PIPELINES[path]})
    service = CannedService(settings=settings)
    return Pair(path, pipeline, theirs, service, build_http_app(service, settings))
