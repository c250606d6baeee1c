"""The estimates of memory against what a real engine with real models needs. No Ray."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator
from statistics import median

import numpy as np
import psutil
import pytest
from PIL import Image, ImageDraw

from serve_app.document import PageInfo, PredictOptions
from serve_app.messages import TaskRecord
from serve_app.page_job import PageJob
from serve_app.page_load import page_load
from serve_app.settings import AppSettings
from serve_app.telemetry import metrics
from serve_app.worker.ocr_service import OCRService
from tests.documents import encoded

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PAGES_BEFORE = PAGES_JUDGED = 50
# Small pages with few lines: 100 of them take about a minute on two cores.
SMALLEST, LARGEST = 0.1e6, 1.2e6
MOST_LINES = 3
DEADLINE_S = 120.0


@contextlib.asynccontextmanager
async def service(pipeline: str) -> AsyncIterator[OCRService]:
    """A worker of the bundled pipeline, with the default hints."""
    args = {
        "models": {"one": {"pipeline": pipeline}},
        "pools": {"cpu": {"device": "cpu"}},
        "log_level": "ERROR",
    }
    replica = OCRService("cpu", AppSettings.model_validate(args))
    try:
        yield replica
    finally:
        await replica.close()
        assert psutil.Process().children() == []


def varied_page(chance: random.Random) -> Image.Image:
    """Any size from a label to a screen, upright or wide, with a few lines of any length."""
    pixels, shape = chance.uniform(SMALLEST, LARGEST), chance.uniform(0.5, 2.0)
    width, height = int((pixels * shape) ** 0.5), int((pixels / shape) ** 0.5)
    image = Image.new("RGB", (width, height), "white")
    draw, lines = ImageDraw.Draw(image), chance.randint(1, MOST_LINES)
    for line in range(lines):
        size = chance.randint(14, min(48, height // (lines + 1)))
        text = "Invoice 2024 total amount due "[: chance.randint(4, 30)]
        draw.text((10, 10 + line * height // lines), text, fill="black", font_size=size)
    return image


async def measured(replica: OCRService, pipeline: str, image: Image.Image) -> TaskRecord:
    file = np.frombuffer(encoded(image, "png"), np.uint8)
    page = PageInfo(0, image.width, image.height)
    job = PageJob(
        "one",
        "png",
        0,
        PredictOptions(),
        pixels=image.width * image.height,
        load=page_load(pipeline, {}, "png", page),
    )
    record = (await replica.predict_page(file, job, DEADLINE_S)).record
    assert record is not None
    return record


@pytest.mark.parametrize(
    "pipeline", [pytest.param(name, marks=pytest.mark.long) for name in ("OCR", "PP-StructureV3")]
)
async def test_after_50_varied_pages_the_next_50_are_covered_and_not_far_off(
    monkeypatch: pytest.MonkeyPatch, pipeline: str
) -> None:
    counted: list[dict[str, str] | None] = []
    monkeypatch.setattr(
        metrics.under_estimates, "inc", lambda value=1.0, tags=None: counted.append(tags)
    )
    chance = random.Random(7)
    async with service(pipeline) as replica:
        records = [
            await measured(replica, pipeline, varied_page(chance))
            for _ in range(PAGES_BEFORE + PAGES_JUDGED)
        ]
    judged = records[PAGES_BEFORE:]
    covered = sum(record.peak_bytes <= record.estimate_bytes for record in judged)
    assert covered >= 0.95 * PAGES_JUDGED
    assert all(record.peak_bytes > 0 for record in records)
    assert median(record.estimate_bytes / record.peak_bytes for record in judged) <= 1.5
    under = [record for record in records if record.peak_bytes > record.estimate_bytes]
    assert counted == [{"model": "one", "pool": "cpu"}] * len(under)


LARGE = [(15_000, 2_600), (3_000, 6_000), (4_320, 4_320)]


@pytest.mark.parametrize(
    "pipeline", [pytest.param(name, marks=pytest.mark.long) for name in ("OCR", "PP-StructureV3")]
)
async def test_pages_far_larger_than_those_seen_before_are_let_in_and_not_under_estimated(
    pipeline: str,
) -> None:
    """From small pages, the pixels that are computed and the picture's bytes tell the rest."""
    chance = random.Random(5)
    async with service(pipeline) as replica:
        for _ in range(10):
            await measured(replica, pipeline, varied_page(chance))
        for width, height in LARGE:
            image = Image.new("RGB", (width, height), "white")
            draw = ImageDraw.Draw(image)
            for line in range(5):
                draw.text((100, 200 + 400 * line), "Invoice 2024", fill="black", font_size=120)
            record = await measured(replica, pipeline, image)
            assert record.peak_bytes <= record.estimate_bytes <= 4 * 2**30, (width, height)
            assert record.estimate_bytes <= 2.2 * record.peak_bytes, (width, height)
