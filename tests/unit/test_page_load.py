from __future__ import annotations

import pytest

from serve_app.document import PageInfo
from serve_app.page_load import page_load
from serve_app.policy.model_estimators import ModelEstimators
from serve_app.settings import MemorySettings

MIB = 2**20
GIB_4 = 4 * 2**30


def test_a_page_is_estimated_by_what_the_pipeline_computes_of_it() -> None:
    load = page_load("OCR", {}, "png", PageInfo(0, 15_000, 2_600))
    assert load.pixels == 4000 * 704
    assert load.picture_bytes == 15_000 * 2_600 * 3
    assert load.decode_bytes == 15_000 * 2_600 * 8


def test_a_reduced_picture_is_decoded_whole() -> None:
    load = page_load("OCR", {}, "jpeg", PageInfo(0, 6_000, 6_000, reduced_by=2))
    assert load.picture_bytes == 6_000 * 6_000 * 3
    assert load.decode_bytes == 12_000 * 12_000 * 6


@pytest.mark.parametrize("pipeline", ["OCR", "PP-StructureV3"])
def test_drawn_pictures_count(pipeline: str) -> None:
    page = PageInfo(0, 3_600, 7_200)
    plain, drawn = (page_load(pipeline, {}, "pdf", page, drawn=drawn) for drawn in (False, True))
    assert drawn.pixels == plain.pixels
    assert drawn.picture_bytes >= 3 * plain.picture_bytes


def test_options_of_detection_count() -> None:
    page = PageInfo(0, 300, 400)
    small = page_load("OCR", {}, "png", page).pixels
    large = page_load("OCR", {"text_det_limit_side_len": 3_000}, "png", page).pixels
    assert large > 90 * small


@pytest.mark.parametrize("pipeline", ["OCR", "PP-StructureV3"])
@pytest.mark.parametrize(
    "page",
    [
        PageInfo(0, 15_000, 2_600),
        PageInfo(0, 3_600, 7_200),  # 1,800 x 3,600 points at 144 dpi
        PageInfo(0, 4_320, 4_320),  # 30 x 30 inches
        PageInfo(0, 6_324, 6_324),  # the largest square that is rendered
        PageInfo(0, 6_000, 6_000, reduced_by=2),
    ],
)
def test_large_pages_are_let_in_by_the_local_budget_from_the_first_page_on(
    pipeline: str, page: PageInfo
) -> None:
    estimators = ModelEstimators({"one": MemorySettings()})
    assert estimators.estimate("one", page_load(pipeline, {}, "png", page)) < GIB_4
