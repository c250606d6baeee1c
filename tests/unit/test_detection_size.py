from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.detection_size import (
    MAX_SIDE,
    computed_pixels,
    detection_options,
    detection_size,
)

SIDES = st.integers(1, 20_000)


@pytest.mark.parametrize(
    ("pipeline", "arguments", "page", "computed"),
    [
        ("OCR", {}, (1224, 1584), (1216, 1600)),  # rounded to 32, half to even as Python does
        ("OCR", {}, (15_000, 2_600), (4000, 704)),
        ("OCR", {}, (2480, 3508), (2496, 3520)),  # A4 at 300 dpi is as it is
        ("OCR", {}, (3600, 7200), (1984, 4000)),
        ("OCR", {}, (4320, 4320), (3168, 3168)),
        ("OCR", {}, (8000, 8000), (3168, 3168)),
        ("OCR", {"text_det_limit_side_len": 64}, (8000, 8000), (4000, 4000)),
        ("OCR", {}, (65, 11), (384, 64)),
        ("OCR", {}, (10, 10), (64, 64)),
        ("PP-StructureV3", {}, (323, 430), (736, 992)),
        ("PP-StructureV3", {"text_det_limit_side_len": 960}, (600, 800), (960, 1280)),
        (
            "OCR",
            {"text_det_limit_side_len": 960, "text_det_limit_type": "max"},
            (3000, 4000),
            (704, 960),
        ),
        (
            "OCR",
            {"text_det_limit_side_len": 100, "text_det_limit_type": "resize_long"},
            (900, 90),
            (96, 32),
        ),
        ("OCR", {"text_det_limit_side_len": 16_000}, (64, 64), (4000, 4000)),
    ],
)
def test_detection_computes_what_its_limits_leave_of_a_page(
    pipeline: str, arguments: dict[str, Any], page: tuple[int, int], computed: tuple[int, int]
) -> None:
    assert detection_size(pipeline, arguments, *page) == computed
    assert computed_pixels(pipeline, arguments, *page) == computed[0] * computed[1]


@pytest.mark.parametrize(
    ("page", "side"), [((65, 11), 64), ((588, 64), 256), ((20, 183), 80), ((184, 500), None)]
)
def test_a_small_picture_is_enlarged_four_times_at_most(
    page: tuple[int, int], side: int | None
) -> None:
    told = detection_options("PP-StructureV3", {}, *page)
    assert told.get("text_det_limit_side_len") == side
    assert detection_options("OCR", {}, *page) == {}


@pytest.mark.parametrize(
    "asked", [{"text_det_limit_side_len": 736}, {"text_det_limit_type": "max"}]
)
def test_who_asks_for_a_limit_gets_it(asked: dict[str, Any]) -> None:
    assert detection_options("PP-StructureV3", asked, 65, 11) == {}


@pytest.mark.parametrize(
    ("page", "size"),
    [
        ((2480, 3508), (1344, 1920)),  # A4 at 300 dpi
        ((3508, 4960), (1920, 2720)),  # A3: its letters are as small, and seen as large
        ((1190, 1684), (1184, 1696)),  # A4 at 144 dpi: as it is
        ((4960, 7016), (2656, 3776)),  # A4 at 600 dpi, by the area
        ((1000, 3400), (992, 3392)),  # narrow: PP-StructureV3 would enlarge it again
    ],
)
def test_of_a_scan_detection_sees_what_the_size_of_its_letters_needs(
    page: tuple[int, int], size: tuple[int, int]
) -> None:
    assert detection_size("PP-StructureV3", {}, *page, side=1920) == size
    asked = {"text_det_limit_side_len": 64, "text_det_limit_type": "min"}
    assert detection_options("OCR", asked, *page, side=1920) == {}


@given(SIDES, SIDES, st.sampled_from([0, 640, 1920]))
def test_a_limit_never_enlarges_and_never_shrinks_too_far(
    width: int, height: int, side: int
) -> None:
    told = detection_options("OCR", {}, width, height, side)
    if told.get("text_det_limit_type") == "max":
        limit, longer = int(told["text_det_limit_side_len"]), max(width, height)
        assert limit < longer
        assert limit >= min(0.547 * longer, 3162)


@given(st.sampled_from(["OCR", "PP-StructureV3"]), SIDES, SIDES)
def test_no_page_is_computed_above_the_largest_side_and_area(
    pipeline: str, width: int, height: int
) -> None:
    size = detection_size(pipeline, {}, width, height)
    assert max(size) <= MAX_SIDE
    assert size[0] * size[1] <= 10_000_000 * 1.02  # rounded up to a multiple of 32
    assert min(size) >= 32
    assert all(side % 32 == 0 for side in size)
