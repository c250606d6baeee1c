"""The arguments of PaddleOCR's ``predict`` per pipeline, and PaddleX's names for them on the wire.

Source: the request schemas of paddlex 3.7.2 (``inference/serving/schemas/{ocr,pp_structurev3}.py``)
and the ``predict`` signatures of its pipelines.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from serve_app.option_values import OPTION_TYPES

_COMMON = (
    "use_doc_orientation_classify",
    "use_doc_unwarping",
    "use_textline_orientation",
    "text_det_limit_side_len",
    "text_det_limit_type",
    "text_det_thresh",
    "text_det_box_thresh",
    "text_det_unclip_ratio",
    "text_rec_score_thresh",
)

PREDICT_OPTIONS: Mapping[str, frozenset[str]] = {
    "OCR": frozenset((*_COMMON, "return_word_box")),
    "PP-StructureV3": frozenset(
        (
            *_COMMON,
            "use_seal_recognition",
            "use_table_recognition",
            "use_formula_recognition",
            "use_chart_recognition",
            "use_region_detection",
            "format_block_content",
            "layout_threshold",
            "layout_nms",
            "layout_unclip_ratio",
            "layout_merge_bboxes_mode",
            "seal_det_limit_side_len",
            "seal_det_limit_type",
            "seal_det_thresh",
            "seal_det_box_thresh",
            "seal_det_unclip_ratio",
            "seal_rec_score_thresh",
            "use_wired_table_cells_trans_to_html",
            "use_wireless_table_cells_trans_to_html",
            "use_table_orientation_classify",
            "use_ocr_results_with_table_cells",
            "use_e2e_wired_table_rec_model",
            "use_e2e_wireless_table_rec_model",
            "markdown_ignore_labels",
        )
    ),
}


def to_snake(name: str) -> str:
    """``useDocUnwarping`` → ``use_doc_unwarping``; ``useE2eWiredTableRecModel`` likewise."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda m: "_" + m.group(1).lower(), name)


def unknown_options(pipeline: str, options: Mapping[str, Any]) -> str | None:
    """A sentence about the first option that the pipeline does not have, or None."""
    known = PREDICT_OPTIONS[pipeline]
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            return f"{name!r} is not an option of {pipeline}{hint}"
    return None


def checked_options(pipeline: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as the pipeline wants them: numbers within their bounds, classes as integers.

    Raises:
        ValueError: one sentence that names the first unknown name or wrong value.
    """
    if unknown := unknown_options(pipeline, options):
        raise ValueError(unknown)
    return {name: _checked(name, value) for name, value in options.items()}


def _checked(name: str, value: Any) -> Any:
    try:
        return _adapter(name).validate_python(value)
    except ValidationError as error:
        why = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise ValueError(f"{name}: {why[:1].lower()}{why[1:]}") from None


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    type_ = OPTION_TYPES.get(name, bool)
    return TypeAdapter(type_ | None, config=ConfigDict(allow_inf_nan=False))
