"""An engine for a GPU where there is none: what it is told, what it refuses, and what it would do.

CUDA's provider is played by ONNX Runtime's own, with an arena; the rest is as on a GPU: PaddleX's
pipeline, the sessions, the page.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from serve_app.document import PredictOptions
from serve_app.documents.page_input import PageInput
from serve_app.documents.render import render_page
from serve_app.engines import paddle
from serve_app.engines.onnx_sessions import CUDA, ShrinkingSession
from serve_app.errors import EngineUnavailable
from serve_app.settings import DocumentSettings, LimitSettings, ModelSettings
from serve_app.weights import pipeline_config
from serve_app.weights import store as weights
from serve_app.weights.cuda_options import OUTSIDE_BYTES, cuda_config

pytestmark = [pytest.mark.integration, pytest.mark.slow]

MODULES = {"TextDetection": "PP-OCRv6_small_det", "TextRecognition": "PP-OCRv6_small_rec"}
PAGE = Path(__file__).parents[2] / "examples" / "page.pdf"
GIB = 2**30


@pytest.fixture(scope="module")
def model() -> ModelSettings:
    weights.pull(list(MODULES.values()))
    return ModelSettings(pipeline="OCR", stages=(), modules=MODULES)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """Play CUDA; the limits of the arenas that were asked for."""
    asked: list[int | None] = []

    def played(threads: int, limit_bytes: int | None) -> dict[str, Any]:
        asked.append(limit_bytes)
        on_gpu = cuda_config(threads, limit_bytes)
        cpu = {"providers": ["CPUExecutionProvider"], "enable_cpu_mem_arena": True}
        return {**on_gpu, **cpu, "provider_options": [{}]}

    monkeypatch.setattr(pipeline_config, "cuda_config", played)
    monkeypatch.setattr(paddle, "load_cuda", lambda _: None)
    shrinking = functools.partial(ShrinkingSession, arena="cpu:0")
    monkeypatch.setattr(paddle, "ShrinkingSession", shrinking)
    return asked


def text_of_the_page(engine: paddle.PaddleEngine) -> str:
    pixels = render_page(PAGE.read_bytes(), "pdf", 0, LimitSettings(), DocumentSettings())
    return "\n".join(engine.predict(PageInput(pixels), 0, PredictOptions()).text)


def test_a_page_is_read_within_limits_and_again_after_the_arenas_have_shrunk(
    model: ModelSettings, limits: list[int | None]
) -> None:
    engine = paddle.PaddleEngine(model, device="gpu", budget_bytes=2 * GIB)
    assert len(limits) == len(MODULES)
    assert all(limit and limit < 2 * GIB - OUTSIDE_BYTES for limit in limits)
    read = text_of_the_page(engine)
    assert "A page to try" in read
    assert engine.device_memory() == (OUTSIDE_BYTES, OUTSIDE_BYTES)
    engine.trim_device()
    assert text_of_the_page(engine) == read


def test_a_share_that_is_too_small_is_refused(model: ModelSettings) -> None:
    with pytest.raises(EngineUnavailable, match=r"share of the GPU, 512 MiB .*too small"):
        paddle.PaddleEngine(model, device="gpu", budget_bytes=GIB // 2)


def test_an_environment_without_cuda_is_told_as_such(model: ModelSettings) -> None:
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(EngineUnavailable, match="has no CUDA"):
        paddle.PaddleEngine(model, device="gpu", budget_bytes=2 * GIB)
