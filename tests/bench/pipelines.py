"""The two pipelines under test: which options all contenders are given, in each one's words."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from serve_app.settings import PipelineName
from serve_app.weights.pipeline_config import BUNDLED_TABLE_OPTIONS
from tests.bench.corpus import Sample

BenchPipeline = Literal["ocr", "structure"]

# Loaded by the bundled weights, but not part of the default answer.
_ON_DEMAND = {
    "use_doc_orientation_classify": False,
    "use_doc_unwarping": False,
    "use_textline_orientation": False,
}
# No bundled weights for them.
_NOT_LOADED = {
    "use_seal_recognition": False,
    "use_formula_recognition": False,
    "use_chart_recognition": False,
    "use_region_detection": False,
}


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One pipeline.

    Attributes:
        name: of the model in configs/local.yaml, and in reports.
        paddlex_name: what PaddleX calls it.
        endpoint: of PaddleX's protocol.
        result_list: where an answer of that protocol has its pages.
        predict: keyword arguments of ``pipeline.predict``.
    """

    name: BenchPipeline
    paddlex_name: PipelineName
    endpoint: str
    result_list: str
    predict: Mapping[str, Any]

    def request_body(self, sample: Sample) -> bytes:
        """The request of PaddleX's protocol for one file."""
        body = {
            "file": b64encode(sample.data).decode(),
            "fileType": 0 if sample.kind == "pdf" else 1,
            "visualize": False,
            **{_on_the_wire(name): value for name, value in self.predict.items()},
        }
        return json.dumps(body).encode()

    def texts(self, body: bytes) -> list[str]:
        """The lines of text in an answer of that protocol."""
        pages = json.loads(body)["result"][self.result_list]
        return [line for page in pages for line in lines_of(page["prunedResult"])]


def lines_of(result: Mapping[str, Any]) -> list[str]:
    """The lines of text in one page's result, of either pipeline."""
    lines = result["rec_texts"] if "rec_texts" in result else result["overall_ocr_res"]["rec_texts"]
    return [str(line) for line in lines]


def _on_the_wire(name: str) -> str:
    """``use_doc_unwarping`` → ``useDocUnwarping``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


PIPELINES: Mapping[BenchPipeline, Pipeline] = {
    "ocr": Pipeline("ocr", "OCR", "/ocr", "ocrResults", _ON_DEMAND),
    "structure": Pipeline(
        "structure",
        "PP-StructureV3",
        "/layout-parsing",
        "layoutParsingResults",
        {**_ON_DEMAND, **_NOT_LOADED, **BUNDLED_TABLE_OPTIONS},
    ),
}
