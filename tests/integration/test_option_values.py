"""Any values within the bounds of the options are computed: no 500 from OpenCV. Real engines."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from serve_app.detection_size import detection_options, detection_size
from serve_app.document import PredictOptions
from serve_app.documents.page_frame import encode_page
from serve_app.documents.page_input import PageInput
from serve_app.option_values import MAX_LAYOUT_RATIO, MAX_UNCLIP_RATIO, MIN_LAYOUT_RATIO
from serve_app.pipeline_options import PREDICT_OPTIONS, checked_options
from serve_app.settings import ModelSettings, PoolSettings
from serve_app.worker.engine_environment import engine_environment
from serve_app.worker.engine_process import EngineProcess

pytestmark = [pytest.mark.integration, pytest.mark.slow]

TRIES = 40
# Ends of the ranges and values between. Of side lengths not the largest: every page would be
# detected on 16 megapixels.
SIDES = [1, 31, 32, 33, 64, 500, 960]
SHARES = [0.0, 1e-9, 0.3, 0.5, 0.99, 1.0]
RATIOS = [1e-6, 0.1, 1.0, 1.5, MAX_UNCLIP_RATIO]
LAYOUT_RATIOS = [MIN_LAYOUT_RATIO, 0.99, 1.0, 1.7, MAX_LAYOUT_RATIO]
MODES = ["large", "small", "union"]


def value_of(name: str, chance: random.Random) -> Any:
    """A value within the bounds of any option."""
    if name.endswith("limit_side_len"):
        return chance.choice(SIDES)
    if name.endswith("limit_type"):
        return chance.choice(["min", "max", "resize_long"])
    if name == "layout_unclip_ratio":
        pair = [chance.choice(LAYOUT_RATIOS), chance.choice(LAYOUT_RATIOS)]
        return chance.choice([pair[0], pair, {str(n): pair for n in range(10)}, {}])
    if name == "layout_merge_bboxes_mode":
        mode = chance.choice(MODES)
        return chance.choice([mode, {str(n): mode for n in range(10)}, {"999": mode}, {}])
    if name == "layout_threshold":
        share = chance.choice(SHARES)
        return chance.choice([share, {str(n): share for n in range(10)}, {}])
    if name.endswith("unclip_ratio"):
        return chance.choice(RATIOS)
    if "thresh" in name:
        return chance.choice(SHARES)
    if name == "markdown_ignore_labels":
        return chance.choice([[], ["text"], ["nothing of the kind"]])
    return chance.choice([True, False])


def some_options(pipeline: str, chance: random.Random) -> dict[str, Any]:
    names = chance.sample(sorted(PREDICT_OPTIONS[pipeline]), k=chance.randint(1, 6))
    return checked_options(pipeline, {name: value_of(name, chance) for name in names})


def page() -> Image.Image:
    image = Image.new("RGB", (420, 300), "white")
    draw = ImageDraw.Draw(image)
    for row in range(3):
        draw.text((20, 20 + 40 * row), f"Line {row} of a page", fill="black", font_size=24)
    for x in range(0, 401, 100):
        draw.line((10 + x, 160, 10 + x, 280), fill="black", width=2)
    for y in range(160, 281, 60):
        draw.line((10, y, 410, y), fill="black", width=2)
    draw.text((20, 175), "cell", fill="black", font_size=20)
    return image


@pytest.mark.parametrize("pipeline", ["OCR", "PP-StructureV3"])
async def test_values_within_the_bounds_are_computed(pipeline: str) -> None:
    model, pool = ModelSettings(pipeline=pipeline), PoolSettings(device="cpu")
    spec = {
        "model": model.model_dump(mode="json"),
        "device": "cpu",
    }
    env = engine_environment(pool, model, None, pool.memory_bytes)
    engine, chance = EngineProcess("one", spec, env=env), random.Random(11)
    pixels = np.ascontiguousarray(np.asarray(page())[:, :, ::-1])
    data = b"".join(bytes(part) for part in encode_page(PageInput(pixels)))
    await engine.start(timeout_s=120)
    failed = []
    try:
        for _ in range(TRIES):
            options = some_options(pipeline, chance)
            job = {"kind": "png", "index": 0}
            job["options"] = dataclasses.asdict(PredictOptions(options))
            try:
                await engine.predict(job, data, timeout_s=120)
            except Exception as error:
                failed.append((options, str(error)))
    finally:
        await engine.stop()
    assert not failed


@pytest.mark.parametrize("pipeline", ["OCR", "PP-StructureV3"])
def test_what_detection_computes_is_what_paddlex_computes(pipeline: str) -> None:
    pytest.importorskip("paddlex")
    from paddlex.inference import load_pipeline_config
    from paddlex.inference.models.text_detection.processors import DetResizeForTest

    config = load_pipeline_config(pipeline)
    ocr = config["SubPipelines"]["GeneralOCR"] if pipeline != "OCR" else config
    limits = ocr["SubModules"]["TextDetection"]
    usual = {name: limits[name] for name in ("limit_side_len", "limit_type", "max_side_limit")}
    resize, chance = DetResizeForTest(**usual), random.Random(3)
    for _ in range(60):
        width, height = (int(2 ** chance.uniform(0, 13)) for _ in range(2))
        asked: dict[str, Any] = chance.choice(
            [{}, {"text_det_limit_side_len": chance.choice([1, 64, 960, 5000])}]
        )
        if asked:
            asked["text_det_limit_type"] = chance.choice(["min", "max", "resize_long"])
        side = chance.choice([0, 640, 1920])
        told = {**asked, **detection_options(pipeline, asked, width, height, side)}
        ((picture,), _) = resize(
            [np.zeros((height, width, 3), np.uint8)],
            told.get("text_det_limit_side_len"),
            told.get("text_det_limit_type"),
        )
        computed = detection_size(pipeline, asked, width, height, side)
        assert computed == (picture.shape[1], picture.shape[0]), (width, height, asked)
