"""Text lines padded to few widths."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from serve_app.engines.width_buckets import CPU, OPENVINO, Padding, pad_to_buckets, padding_for

SMALL, OTHER = "PP-OCRv6_small_rec", "PP-OCRv5_mobile_rec"


@pytest.mark.parametrize(
    ("model_name", "provider", "padding"),
    [
        (SMALL, CPU, Padding(96, 16)),
        (OTHER, CPU, Padding(None, 16)),
        (SMALL, OPENVINO, Padding(96, 64)),
        (OTHER, OPENVINO, Padding(None, 64)),
        (SMALL, "CUDAExecutionProvider", Padding(None, 64)),
        (SMALL, None, Padding(None, 64)),
    ],
)
def test_shapes_are_few_where_a_runtime_keeps_them(
    model_name: str, provider: str | None, padding: Padding
) -> None:
    assert padding_for(model_name, provider) == padding


@pytest.mark.parametrize(
    ("provider", "width", "padded"),
    [(CPU, 1, 16), (CPU, 97, 112), (OPENVINO, 1, 64), (OPENVINO, 65, 128), (OPENVINO, 320, 320)],
)
def test_a_width_goes_to_the_next_bucket(provider: str, width: int, padded: int) -> None:
    (batch,) = recogniser(provider).pre_tfs["ToBatch"](imgs=[np.zeros((3, 48, width), np.float32)])
    assert batch.shape == (1, 3, 48, padded)


@pytest.mark.parametrize("provider", [CPU, OPENVINO])
def test_the_widest_line_of_paddlex_keeps_its_width(provider: str) -> None:
    (batch,) = recogniser(provider).pre_tfs["ToBatch"](imgs=[np.zeros((3, 48, 3200), np.float32)])
    assert batch.shape[3] == 3200


@pytest.mark.parametrize(
    ("model_name", "provider", "least"),
    [(SMALL, CPU, 96), (SMALL, OPENVINO, 96), (OTHER, CPU, 320), (SMALL, None, 320)],
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
