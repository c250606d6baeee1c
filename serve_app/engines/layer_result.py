"""A page's layer in the result of PaddleX's OCR pipeline, among the lines that were recognised."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from serve_app.document import Box, LineSource
from serve_app.documents.text_layer.pieces import pieces
from serve_app.documents.text_layer.values import Char, LayerLine, Pixels, around, is_finite
from serve_app.engines.code_lines import code_lines, spaced
from serve_app.engines.torn_words import torn_lines

# PaddleX's SortQuadBoxes: boxes that begin within so many pixels of height are one row.
ROW_PIXELS = 10
# A pipeline paints over the formulas that it has read already.
PAINT = 255


class LayerText(str):
    """Text from the layer; PaddleX hands it on as it is, so that its source is known at the end."""

    __slots__ = ()


class CodeText(LayerText):
    """Of a line of a listing."""

    __slots__ = ()


class TornText(LayerText):
    """Of a line whose last word goes on in the next one, without a hyphen."""

    __slots__ = ()


class Sources(Sequence[LineSource]):
    """Where the texts of a result come from, as PaddleX goes on changing them."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, index: Any) -> Any:
        return "layer" if isinstance(self._texts[index], LayerText) else "ocr"


def with_lines(result: Any, lines: Sequence[LayerLine], font: Any) -> Any:
    """PaddleX's result with the layer's lines among its own, in PaddleX's order of lines."""
    polys = [_poly(line.box) for line in lines]
    found = len(result["rec_texts"])
    order = row_by_row([*result["rec_polys"], *polys])
    texts = list(_texts(lines))
    _extend(result, "rec_texts", texts, order)
    _extend(result, "rec_scores", [1.0] * len(lines), order)
    _extend(result, "rec_polys", polys, order)
    _extend(result, "vis_fonts", [font] * len(lines), order)
    result["rec_sources"] = Sources(result["rec_texts"])
    boxes = [box_of(poly) for poly in result["rec_polys"]]
    result["rec_boxes"] = np.array(boxes) if boxes else np.array([])
    if result.get("return_word_box"):
        _extend_words(result, lines, order)
    all_order = row_by_row([*result["dt_polys"], *polys])
    angles = list(result.get("textline_orientation_angles", [-1] * len(result["dt_polys"])))
    result["textline_orientation_angles"] = angles
    _extend(result, "textline_orientation_angles", [-1] * len(lines), all_order)
    _extend(result, "dt_polys", polys, all_order)
    assert len(result["rec_texts"]) == found + len(lines)
    return result


def not_painted_over(lines: Sequence[LayerLine], picture: Pixels) -> tuple[LayerLine, ...]:
    """``lines`` without the characters that the pipeline has painted over in ``picture``."""
    height, width = picture.shape[:2]
    ink = cv2.integral((picture.min(axis=2) < PAINT).astype(np.uint8))

    def shows(char: Char) -> bool:
        left, top, right, bottom = char.ink if is_finite(char.ink) else char.cell
        x0, x1 = max(int(left) - 1, 0), min(int(right) + 2, width)
        y0, y1 = max(int(top) - 1, 0), min(int(bottom) + 2, height)
        if x0 >= x1 or y0 >= y1:
            return True
        return bool(ink[y1, x1] - ink[y0, x1] - ink[y1, x0] + ink[y0, x0])

    return tuple(part for line in lines for part in pieces(line, [*map(shows, line.chars)]))


def normal(text: str) -> LayerText:
    """Letters with their marks as one character, where there is one."""
    return LayerText(unicodedata.normalize("NFC", text))


def _texts(lines: Sequence[LayerLine]) -> Iterator[LayerText]:
    code, torn = code_lines(lines), torn_lines(lines)
    for index, line in enumerate(lines):
        if index in code:
            yield CodeText(spaced(line))
        else:
            yield TornText(normal(line.text)) if index in torn else normal(line.text)


def _extend(result: Any, key: str, more: list[Any], order: Sequence[int]) -> None:
    together = [*result[key], *more]
    result[key] = [together[i] for i in order]


def _extend_words(result: Any, lines: Sequence[LayerLine], order: Sequence[int]) -> None:
    words = [list(words_of(line)) for line in lines]
    _extend(result, "text_word", [[normal(text) for text, _ in line] for line in words], order)
    regions = [[_poly(box) for _, box in line] for line in words]
    _extend(result, "text_word_region", regions, order)
    result["text_word_boxes"] = [
        np.array([box_of(region) for region in line]) for line in result["text_word_region"]
    ]


def words_of(line: LayerLine) -> Iterator[tuple[str, Box]]:
    """The words of a line with their boxes."""
    chars = iter(line.chars)
    for word in line.text.split():
        taken, length = [], 0
        while length < len(word) and (char := next(chars, None)) is not None:
            taken.append(char.cell)
            length += len(char.text)
        if taken:
            yield word, around(taken)


def row_by_row(polys: Sequence[Any]) -> list[int]:
    """The order of PaddleX's ``SortQuadBoxes``, as indexes."""
    starts = [(float(poly[0][1]), float(poly[0][0])) for poly in polys]
    order = sorted(range(len(starts)), key=starts.__getitem__)
    for i in range(len(order) - 1):
        for j in range(i, -1, -1):
            (above, left), (below, right) = starts[order[j]], starts[order[j + 1]]
            if abs(below - above) >= ROW_PIXELS or right >= left:
                break
            order[j], order[j + 1] = order[j + 1], order[j]
    return order


def _poly(box: Box) -> Any:
    left, top, right, bottom = (round(edge) for edge in box)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.int16)


def box_of(poly: Any) -> list[int]:
    points = np.asarray(poly)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return [int(left), int(top), int(right), int(bottom)]
