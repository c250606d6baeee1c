"""The real recogniser reads short lines as well when they are padded less than by PaddleX."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from serve_app.engines.width_buckets import bucketed, pad_to_buckets
from serve_app.weights import store as weights

pytestmark = pytest.mark.integration

os.environ.setdefault("PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK", "True")

NAME = "PP-OCRv6_small_rec"
TEXTS = (
    "57.3",
    "Total",
    "12,345",
    "Yes",
    "Page 7 of 12",
    "a line of more than 320 pixels in width",
)


@pytest.fixture(scope="module")
def models() -> list[Any]:
    """The same recogniser twice: as PaddleX makes it, and with our widths."""
    pytest.importorskip("paddlex")
    from paddlex.inference.models import create_predictor

    weights.pull([NAME])
    made = [
        create_predictor(
            NAME,
            model_dir=str(weights.model_dir(NAME)),
            engine="onnxruntime",
            engine_config={"providers": ["CPUExecutionProvider"], "intra_op_num_threads": 1},
            device="cpu",
            batch_size=1,
        )
        for _ in range(2)
    ]
    pad_to_buckets(made[1])
    return made


def line(text: str) -> np.ndarray[Any, Any]:
    """Black on white, cut to the text as detection cuts it, 48 pixels high; BGR."""
    font = ImageFont.load_default(36)
    width = int(font.getlength(text)) + 12
    image = Image.new("RGB", (width, 48), "white")
    ImageDraw.Draw(image).text((6, 2), text, fill="black", font=font)
    return np.ascontiguousarray(np.asarray(image)[:, :, ::-1])


def test_short_lines_are_read_the_same_with_less_padding(
    models: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [line(text) for text in TEXTS]
    widths: list[list[int]] = []
    for model in models:
        seen: list[int] = []
        widths.append(seen)
        runner = model.runner

        def watched(x: Any, runner: Any = runner, seen: list[int] = seen) -> Any:
            seen.append(x[0].shape[3])
            return runner(x=x)

        monkeypatch.setattr(model, "runner", watched)
    plain, ours = (list(model(pictures)) for model in models)
    assert [read["rec_text"] for read in plain] == list(TEXTS)
    assert [read["rec_text"] for read in ours] == list(TEXTS)
    for before, after in zip(plain, ours, strict=True):
        assert after["rec_score"] > before["rec_score"] - 0.05
    assert widths[0] == [max(320, picture.shape[1]) for picture in pictures]
    assert widths[1] == [bucketed(max(96, picture.shape[1])) for picture in pictures]
    assert min(widths[1]) == 128
