"""PaddleX's configuration of a pipeline on the bundled weights, with PaddleX's own engine settings.

``python -m tests.bench.paddlex_config ocr FILE`` writes it as YAML, for ``paddlex --serve`` and for
the plain pipeline. Same networks and stages as ours; how they are computed is left to PaddleX.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from serve_app.settings import EngineSettings, ModelSettings
from serve_app.weights import store as weights
from serve_app.weights.pipeline_config import Runtime, Weights, WeightsFormat, build_config
from tests.bench.pipelines import PIPELINES, Pipeline
from tests.bench.processes import clean_environment, python

WRITE_TIMEOUT_S = 120.0


class PaddlexDefaults(Runtime):
    """Names the engine that can read the weights, and sets nothing of it."""

    def module_engine(self, weights: Weights, limit_bytes: int | None = None) -> dict[str, Any]:
        engine = "onnxruntime" if weights.format == "onnx" else "paddle_static"
        # What these very weights need to run at all; usually nothing.
        needed = {"engine_config": dict(weights.engine_config)} if weights.engine_config else {}
        return {"engine": engine, **needed}


def write_config(pipeline: Pipeline, folder: Path) -> Path:
    """The configuration as a file below ``folder``."""
    file = folder / f"{pipeline.name}.yaml"
    command = python("-m", "tests.bench.paddlex_config", pipeline.name, str(file))
    # In a process of its own: PaddleX's import would stay in this one.
    subprocess.run(command, check=True, timeout=WRITE_TIMEOUT_S, env=clean_environment())
    return file


def paddlex_config(name: str) -> dict[str, Any]:
    """The configuration as ``create_pipeline(config=…)`` takes it."""
    from paddlex.inference import load_pipeline_config

    pipeline = next(pipeline for pipeline in PIPELINES.values() if pipeline.name == name)
    defaults = load_pipeline_config(pipeline.paddlex_name)
    settings = ModelSettings(
        pipeline=pipeline.paddlex_name,
        engine=EngineSettings(rec_batch_size=_rec_batch_size(defaults)),
    )
    runtime = PaddlexDefaults("cpu", "cpu", "f32", 1)
    return build_config(settings, defaults, _find, runtime)


def _rec_batch_size(defaults: dict[str, Any]) -> int:
    ocr = defaults["SubPipelines"].get("GeneralOCR", defaults)
    return int(ocr["SubModules"]["TextRecognition"]["batch_size"])


def _find(name: str) -> Weights:
    runs_on: WeightsFormat = "onnx" if weights.bundled_engine(name) == "onnxruntime" else "paddle"
    return Weights(weights.model_dir(name), runs_on, weights.bundled_engine_config(name))


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(yaml.safe_dump(paddlex_config(sys.argv[1])), encoding="utf-8")
