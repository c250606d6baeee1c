"""Text lines padded to few widths."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from serve_app.engines.width_buckets import CPU, OPENVINO, bucketed, pad_to_buckets

SMALL, OTHER = "PP-OCRv6_small_rec", "PP-OCRv5_mobile_rec"


@pytest.mark.parametrize(("width", "padded"), [(1, 64), (64, 64), (65, 128), (320, 320)])
def test_a_width_goes_to_the_next_bucket(width: int, padded: int) -> None:
    assert bucketed(width) == padded


def test_the_widest_line_of_paddlex_keeps_its_width() -> None:
    assert bucketed(3200) == 3200


@pytest.mark.parametrize(
    ("model_name", "provider", "least"),
    [
        (SMALL, CPU, 96),
        (SMALL, OPENVINO, 96),
        (SMALL, "CUDAExecutionProvider", 320),
        (SMALL, None, 320),
        (OTHER, CPU, 320),
    ],
)
def test_a_short_line_is_padded_no_further_than_was_measured(
    model_name: str, provider: str | None, least: int
) -> None:
    assert recogniser(provider, model_name).pre_tfs["ReisizeNorm"].rec_image_shape == [3, 48, least]


def test_lines_are_padded_with_zeros_on_the_right() -> None:
    recognizer = recogniser(OPENVINO)
    lines = [np.full((3, 48, width), width, np.float32) for width in (330, 400)]
    (batch,) = recognizer.pre_tfs["ToBatch"](imgs=lines)
    assert batch.shape == (2, 3, 48, 448)
    for row, line in zip(batch, lines, strict=True):
        np.testing.assert_array_equal(row[:, :, : line.shape[2]], line)
        assert not row[:, :, line.shape[2] :].any()


def test_the_decoder_is_told_the_padded_width() -> None:
    recognizer = recogniser(OPENVINO)
    recognizer.pre_tfs["ToBatch"](imgs=[np.zeros((3, 48, 330), np.float32)])
    options = recognizer.post_op("pred", return_word_box=True, wh_ratio_list=[2], max_wh_ratio=6.9)
    assert options == {"return_word_box": True, "wh_ratio_list": [2], "max_wh_ratio": 384 / 48}


def recogniser(provider: str | None, model_name: str = SMALL) -> Any:
    """As PaddleX's, with a decoder that answers what it is told."""
    session = SimpleNamespace(get_providers=lambda: [provider, CPU])
    found = SimpleNamespace(
        model_name=model_name,
        runner=SimpleNamespace() if provider is None else SimpleNamespace(session=session),
        pre_tfs={"ReisizeNorm": SimpleNamespace(rec_image_shape=[3, 48, 320])},
        post_op=lambda pred, **options: options,
    )
    pad_to_buckets(found)
    return found
