"""From a pipeline's result to lines and blocks, and lines across a gutter cut in two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from serve_app.document import Line
from serve_app.engines.gutter_cuts import Pixels, cut_at_gutters
from serve_app.engines.reading import page_of, read
from serve_app.layout.gutters import suspects
from serve_app.layout.page import Page
from tests.layouts import prose, stack


def ocr_result(texts: list[str], labels: list[str] | None = None) -> dict[str, Any]:
    boxes = np.array([[10, 10 + 30 * n, 200, 30 + 30 * n] for n in range(len(texts))])
    corners = [[[b[0], b[1]], [b[2], b[1]], [b[2], b[3]], [b[0], b[3]]] for b in boxes]
    result: dict[str, Any] = {
        "rec_texts": texts,
        "rec_scores": [0.9] * len(texts),
        "rec_boxes": boxes,
        "rec_polys": [np.array(points) for points in corners],
    }
    return {**result, "rec_labels": labels} if labels else result


def white(width: int = 300, height: int = 400) -> Pixels:
    return np.full((height, width, 3), 255, np.uint8)


def refuse(_: Pixels) -> tuple[str, float]:
    pytest.fail("nothing is to be read anew")


def test_lines_come_in_reading_order_and_blocks_number_them_so() -> None:
    result = ocr_result(["below", "above"])
    result["rec_boxes"] = result["rec_boxes"][::-1]
    result["rec_polys"] = result["rec_polys"][::-1]
    reading = read(result, white(), refuse)
    assert [line.text for line in reading.lines] == ["above", "below"]
    assert [index for block in reading.blocks for index in block.lines] == [0, 1]


def test_lines_without_text_are_no_lines() -> None:
    assert [line.text for line in page_of(ocr_result(["", "a", "  "]), white()).lines] == ["a"]


def test_formulas_are_marked_once() -> None:
    page = page_of(ocr_result(["x^2", "$y$", "text"], ["formula", "formula", "text"]), white())
    assert [line.text for line in page.lines] == ["$x^2$", "$y$", "text"]


def test_boxes_are_of_the_turned_page() -> None:
    result = ocr_result(["a"]) | {"doc_preprocessor_res": {"output_img": white(400, 300)}}
    page = page_of(result, result["doc_preprocessor_res"]["output_img"])
    assert (page.width, page.height) == (400, 300)


def test_the_source_of_a_line_is_passed_on() -> None:
    page = page_of(ocr_result(["a"]) | {"rec_sources": ["layer"]}, white())
    assert page.lines[0].source == "layer"


# ---- gutters -------------------------------------------------------------------------------

GUTTER = (452, 478)


def two_columns(merged: range) -> tuple[Page, Pixels, Callable[..., tuple[str, float]]]:
    """Two columns of 20 lines, of which ``merged`` were detected as one line each."""
    image = white(960, 700)
    left, right = prose("left words run on", 20), prose("right words run on", 20)
    lines: list[Line] = []
    for row in range(20):
        top = 50 + row * 28
        # Letters as black bars with a little white between words.
        for start, end in ((52, 452), (478, 878)):
            for x in range(start, end, 10):
                image[top + 4 : top + 16, x : x + 8] = 0
        if row in merged:
            lines.append(Line(f"{left[row]} {right[row]}", (50, top, 880, top + 20), 0.9))
        else:
            lines.append(Line(left[row], (50, top, 454, top + 20), 0.9))
            lines.append(Line(right[row], (476, top, 880, top + 20), 0.9))

    def recognise(box: tuple[float, float, float, float]) -> tuple[str, float]:
        row = round((box[1] - 50) / 28)
        return (left[row] if box[0] < GUTTER[0] else right[row]), 0.8

    return Page(960, 700, lines), image, recognise


@pytest.mark.parametrize(
    "merged", [range(7, 8), range(3, 9), range(20)], ids=["one", "some", "all"]
)
def test_lines_across_a_gutter_are_cut(merged: range) -> None:
    page, image, recognise = two_columns(merged)
    cut = cut_at_gutters(page, image, recognise)
    assert len(cut.lines) == 40
    assert all(line.box[2] < 470 or line.box[0] > 460 for line in cut.lines)


def test_lines_of_one_column_are_not_cut() -> None:
    image = white(960, 700)
    lines = stack(prose("words across the page run on", 20, 80), 50, 50)
    for line in lines:
        top = int(line.box[1])
        for x in range(50, int(line.box[2]), 10):
            image[top + 4 : top + 16, x : x + 8] = 0
    page = Page(960, 700, lines)
    assert cut_at_gutters(page, image, refuse_box) is page


def refuse_box(_: object) -> tuple[str, float]:
    pytest.fail("nothing is to be read anew")


def test_a_line_whose_halves_cannot_be_read_stays_whole() -> None:
    page, image, _ = two_columns(range(7, 8))
    assert cut_at_gutters(page, image, lambda box: ("", 0.0)) is page


def test_lines_of_a_text_layer_are_not_read_anew() -> None:
    page, image, _ = two_columns(range(7, 8))
    lines = [Line(line.text, line.box, 1.0, "layer") for line in page.lines]
    page = Page(960, 700, lines)
    assert cut_at_gutters(page, image, refuse_box) is page


def test_a_heading_across_two_columns_is_suspected_but_has_no_white_space() -> None:
    page, image, _ = two_columns(range(0))
    heading = Line("A heading across both of the columns of the page", (50, 20, 880, 44), 0.9)
    image[24:40, 52:878] = 0
    page = Page(960, 700, [heading, *page.lines])
    assert [suspect.line for suspect in suspects(page)] == [0]
    assert cut_at_gutters(page, image, refuse_box) is page
