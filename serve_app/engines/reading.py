"""What a pipeline has read on a page, as lines and blocks of ours; and back into its result.

The only place that knows which members PaddleX's results have. Composing itself is
``serve_app.layout``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from serve_app.document import Block, Box, Line, LineSource
from serve_app.engines.gutter_cuts import Pixels, cut_at_gutters
from serve_app.engines.layer_result import CodeText, TornText
from serve_app.layout.compose import compose
from serve_app.layout.page import Page, Point, Region

# Labels whose content is not made of lines.
_TABLE_LIKE = frozenset({"table", "formula", "seal", "chart"})


@dataclass(frozen=True, slots=True)
class Reading:
    """Lines in reading order, and the blocks that hold each of them once."""

    lines: tuple[Line, ...]
    blocks: tuple[Block, ...]


def read(result: Any, image: Pixels, recognise: Callable[[Pixels], tuple[str, float]]) -> Reading:
    """Compose the page of a pipeline's ``result``.

    Args:
        result: of the OCR or of the layout pipeline.
        image: the picture that was predicted.
        recognise: reads one line of text in a part of the picture.
    """
    turned = result.get("doc_preprocessor_res") or {}
    image = turned.get("output_img", image)
    page = cut_at_gutters(page_of(result, image), image, lambda box: recognise(_part(image, box)))
    blocks = compose(page)
    order = [index for block in blocks for index in block.lines]
    place = {index: number for number, index in enumerate(order)}
    return Reading(
        tuple(page.lines[index] for index in order),
        tuple(
            replace(block, lines=tuple(place[index] for index in block.lines)) for block in blocks
        ),
    )


def page_of(result: Any, image: Pixels) -> Page:
    """The lines with text and the layout model's boxes in a pipeline's result on ``image``."""
    ocr = result.get("overall_ocr_res", result)
    height, width = image.shape[:2]
    texts = [str(text) for text in ocr["rec_texts"]]
    kept = [index for index, text in enumerate(texts) if text.strip()]
    labels = ocr.get("rec_labels") or ["text"] * len(texts)
    sources: Sequence[LineSource] = ocr.get("rec_sources") or ["ocr"] * len(texts)
    lines = [
        Line(
            _formula(texts[index]) if labels[index] == "formula" else texts[index],
            _box(ocr["rec_boxes"][index]),
            float(ocr["rec_scores"][index]),
            sources[index],
            isinstance(ocr["rec_texts"][index], CodeText),
            isinstance(ocr["rec_texts"][index], TornText),
        )
        for index in kept
    ]
    corners = [_corners(ocr["rec_polys"][index]) for index in kept]
    return Page(width, height, lines, corners, _regions(result))


def _regions(result: Any) -> list[Region]:
    if "parsing_res_list" not in result:
        return []
    scores = {
        tuple(map(int, box["coordinate"])): float(box["score"])
        for box in result["layout_det_res"]["boxes"]
    }
    return [
        Region(
            block.label,
            _box(block.bbox),
            str(block.content) if block.label in _TABLE_LIKE else "",
            block.image["path"] if block.image else None,
            scores.get(tuple(map(int, block.bbox))),
        )
        for block in result["parsing_res_list"]
    ]


def _part(image: Pixels, box: Box) -> Pixels:
    left, top, right, bottom = (max(0, round(number)) for number in box)
    return image[top : bottom + 1, left : right + 1]


def _formula(text: str) -> str:
    return text if text.startswith("$") and text.endswith("$") else f"${text}$"


def _box(numbers: Any) -> Box:
    left, top, right, bottom = (float(number) for number in numbers)
    return left, top, right, bottom


def _corners(points: Any) -> tuple[Point, ...]:
    return tuple((float(x), float(y)) for x, y in points)


def write_back(result: Any, blocks: Sequence[Block]) -> None:
    """Make ``blocks`` the parsing_res_list of a layout pipeline's ``result``, which is changed.

    Its JSON, its drawn pictures and its exports follow.
    """
    from paddlex.inference.pipelines.layout_parsing.layout_objects import LayoutBlock
    from paddlex.inference.pipelines.layout_parsing.setting import BLOCK_LABEL_MAP

    ignored = result["model_settings"].get("markdown_ignore_labels", ())
    ordered = set(BLOCK_LABEL_MAP["visualize_index_labels"]) - set(ignored)
    pictures = {
        block.image["path"]: block.image for block in result["parsing_res_list"] if block.image
    }
    written: list[LayoutBlock] = []
    for index, block in enumerate(blocks):
        made = LayoutBlock(label=block.label, bbox=list(block.box), content=block.text)
        made.index = index
        made.image = pictures.get(block.image or "")
        if block.label in ordered:
            made.order_index = 1 + sum(other.order_index is not None for other in written)
        written.append(made)
    result["parsing_res_list"] = written


def pictures_of(result: Any, blocks: Sequence[Block]) -> dict[str, Any]:
    """The pictures of a layout pipeline's result, by key, but for those that ``blocks`` dropped.

    Called before ``write_back``.
    """
    kept = {block.image for block in blocks}
    found = {
        block.image["path"]: block.image["img"]
        for block in result["parsing_res_list"]
        if block.image and (block.image["path"] in kept or block.label == "table")
    }
    return {**found, **{image["path"]: image["img"] for image in result["imgs_in_doc"]}}
