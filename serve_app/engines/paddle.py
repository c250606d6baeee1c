"""Builds real pipelines and turns their results into PageResults; the only importer of PaddleX.

Runs in engine processes only (``host.py`` calls ``build``). Single-threaded, as pipelines are.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from serve_app.devices import cpu
from serve_app.document import Markdown, PageResult, PredictOptions
from serve_app.documents.render import render_page
from serve_app.engines import weights
from serve_app.engines.codec import encode_result
from serve_app.engines.font import builtin_font_path
from serve_app.engines.orientation import classify_content_only
from serve_app.engines.pipeline_config import (
    Weights,
    build_config,
    loaded_stages,
    resolve_options,
    resolve_runtime,
)
from serve_app.engines.reading import Reading, pictures_of, read, write_back
from serve_app.engines.result_json import dump_pruned
from serve_app.engines.width_buckets import pad_to_buckets
from serve_app.errors import EngineUnavailable, PageFailed, WeightsError
from serve_app.layout.markdown import Style, write
from serve_app.settings import DocumentSettings, LimitSettings, ModelSettings, WeightsSettings
from serve_app.temp_folders import temp_folder

# PaddleX's server shrinks pictures of its answers to this (DEFAULT_MAX_OUTPUT_IMG_SIZE).
MAX_OUTPUT_SIDE = 2000
JPEG = ".jpg"
# The kernel gives a tenth of the share of an ordinary process, if one wants it.
NICENESS = 10


def build(spec: dict[str, Any]) -> PaddleEngine:
    """Load the pipeline that ``spec`` describes. Called once, in the engine process.

    Raises:
        WeightsError: weights are missing or damaged.
        EngineUnavailable: the pipeline cannot be built with these settings.
    """
    # Whoever answers "too much" or "are you alive" must not wait for those who compute.
    os.nice(NICENESS)
    return PaddleEngine(
        ModelSettings.model_validate(spec["model"]),
        LimitSettings.model_validate(spec["limits"]),
        DocumentSettings.model_validate(spec["documents"]),
        device=spec["device"],
    )


class PaddleEngine:
    """One PaddleX pipeline with its defaults."""

    def __init__(
        self,
        settings: ModelSettings,
        limits: LimitSettings,
        documents: DocumentSettings,
        *,
        device: Any,
    ) -> None:
        os.environ.setdefault("PADDLE_PDX_LOCAL_FONT_FILE_PATH", builtin_font_path())
        from paddlex import create_pipeline
        from paddlex.inference import load_pipeline_config

        self._settings, self._limits, self._documents = settings, limits, documents
        self._on_gpu = device == "gpu"
        cv2.setNumThreads(settings.engine.threads)
        defaults = load_pipeline_config(settings.pipeline)
        runtime = resolve_runtime(settings.engine, device, cpu.flags())
        self._stages = loaded_stages(settings, defaults)
        config = build_config(settings, defaults, _finder(settings.weights), runtime)
        self._pipeline = create_pipeline(config=config, device=_paddle_device(device))
        _assert_providers(self._pipeline)
        self._recogniser = _recogniser(self._pipeline)
        classify_content_only(self._pipeline)
        for recognizer in _parts(self._pipeline, "TextRecRunnerPredictor", set()):
            pad_to_buckets(recognizer)

    def handle(self, job: dict[str, Any], data: bytes) -> list[bytes]:
        """Render and predict page ``job["index"]`` of the file ``data``."""
        page = render_page(data, job["kind"], job["index"], self._limits, self._documents)
        options = PredictOptions(**job["options"])
        return encode_result(self.predict(page, job["index"], options))

    def device_memory(self) -> tuple[int, int] | None:
        """See ``host.DeviceHandler``: of Paddle's allocator."""
        if not self._on_gpu:
            return None
        from paddle.device import cuda

        told = cuda.memory_reserved(), cuda.max_memory_reserved()
        cuda.reset_max_memory_reserved()
        return told

    def trim_device(self) -> None:
        """See ``host.DeviceHandler``."""
        if self._on_gpu:
            from paddle.device import cuda

            cuda.empty_cache()

    def predict(self, page: np.ndarray, index: int, options: PredictOptions) -> PageResult:
        """Predict one page.

        Args:
            page: BGR, uint8, height x width x 3.
            index: the page's place in its file, passed on.
            options: of the request.

        Raises:
            PageFailed: the pipeline refused the options or gave no result.
        """
        resolved = resolve_options(self._settings, self._stages, options.predict)
        results = list(self._pipeline.predict(page, **resolved.arguments))
        if len(results) != 1:
            raise PageFailed(f"the pipeline gave {len(results)} results for one page")
        result = results[0]
        if not hasattr(result, "json"):  # PaddleX yields {"error": …} for settings it refuses
            raise PageFailed(f"the pipeline refused the options: {str(result)[:200]}")
        height, width = page.shape[:2]
        reading = read(result, page, self._recognise)
        markdown = _markdown(result, reading, width, options)
        return PageResult(
            index=index,
            width=width,
            height=height,
            pruned_json=dump_pruned(result.json["res"]),
            text=tuple(line.text for line in reading.lines),
            markdown=markdown,
            images=_drawn(result, page) if options.visualize else {},
            exports=_exports(result, options.output_formats),
            notices=resolved.notices,
            lines=reading.lines,
            blocks=reading.blocks if options.keep_all_text else (),
        )

    def _recognise(self, line: np.ndarray) -> tuple[str, float]:
        """Text and score of a picture of one line."""
        (read_,) = self._recogniser([line])
        return str(read_["rec_text"]), float(read_["rec_score"])


def _recogniser(pipeline: Any) -> Any:
    """The recogniser of a pipeline's lines, of a layout pipeline as of an OCR pipeline."""
    return getattr(pipeline, "general_ocr_pipeline", pipeline).text_rec_model


def _markdown(
    result: Any, reading: Reading, width: int, options: PredictOptions
) -> Markdown | None:
    """The Markdown of a layout pipeline; ``result`` gets the blocks that it is made of."""
    if "parsing_res_list" not in result:
        return None
    if not options.keep_all_text:
        return _original_markdown(result, options)
    pictures = pictures_of(result, reading.blocks) if options.markdown_images else {}
    write_back(result, reading.blocks)
    written = write(reading.blocks, reading.lines, width, Style(pretty=options.prettify_markdown))
    return Markdown(
        written.text,
        {name: _jpeg(image) for name, image in pictures.items()},
        written.is_start,
        written.is_end,
    )


def _original_markdown(result: Any, options: PredictOptions) -> Markdown:
    """As PaddleX writes it, with what it leaves out."""
    page = result._to_markdown(
        pretty=options.prettify_markdown, show_formula_number=options.show_formula_number
    )
    images = page["markdown_images"] if options.markdown_images else {}
    start, end = page["page_continuation_flags"]
    return Markdown(
        page["markdown_texts"],
        {name: _jpeg(image) for name, image in images.items()},
        bool(start),
        bool(end),
    )


def _drawn(result: Any, page: np.ndarray) -> dict[str, bytes]:
    return {name: _jpeg(image) for name, image in {"input_img": page, **result.img}.items()}


def _exports(result: Any, formats: tuple[str, ...]) -> dict[str, bytes]:
    if "docx" not in formats or not hasattr(result, "save_to_word"):
        return {}
    with temp_folder() as folder:
        result.save_to_word(str(folder))
        (path,) = folder.glob("*.docx")
        return {"docx": path.read_bytes()}


def _jpeg(image: Any) -> bytes:
    """JPEG of a PIL picture or a BGR array, shrunk as PaddleX's server does."""
    if not isinstance(image, np.ndarray):
        image = cv2.cvtColor(np.array(image.convert("RGB")), cv2.COLOR_RGB2BGR)
    height, width = image.shape[:2]
    if max(height, width) > MAX_OUTPUT_SIDE:
        factor = MAX_OUTPUT_SIDE / max(height, width)
        image = cv2.resize(image, (int(factor * width), int(factor * height)))
    done, data = cv2.imencode(JPEG, image)
    if not done:
        raise PageFailed("a result picture could not be encoded")
    return data.tobytes()


def _finder(settings: WeightsSettings) -> Callable[[str], Weights]:
    """How to find the weights of a PaddleX model, by its name."""
    match settings.source:
        case "hub":
            return lambda name: Weights(None, "paddle")
        case "bundled":
            return lambda name: Weights(
                weights.model_dir(name, settings.cache_dir),
                "onnx" if weights.bundled_engine(name) == "onnxruntime" else "paddle",
                weights.bundled_engine_config(name),
            )
        case "directory":
            assert settings.directory is not None, "checked by WeightsSettings"
            return functools.partial(_in_directory, settings.directory)


def _in_directory(directory: Path, name: str) -> Weights:
    folder = directory / name
    if not folder.is_dir():
        raise WeightsError(f"no folder {folder} for {name} (weights.directory)")
    return Weights(folder, "onnx" if (folder / "inference.onnx").is_file() else "paddle")


def _paddle_device(device: str) -> str:
    return "gpu:0" if device == "gpu" else "cpu"


def _assert_providers(pipeline: Any) -> None:
    """ONNX Runtime falls back to its CPU provider with a mere warning; that must not go unseen."""
    for runner in _parts(pipeline, "ONNXRuntimeRunner", set()):
        wanted = runner._config["providers"][0]
        if wanted not in runner.session.get_providers():
            raise EngineUnavailable(f"{wanted} did not load for {runner.model_dir.name}")


def _parts(node: Any, kind: str, seen: set[int]) -> Iterator[Any]:
    """Its parts of PaddleX's class ``kind``: there is no list, only attributes of attributes."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if type(node).__name__ == kind:
        yield node
    elif type(node).__module__.startswith("paddlex."):
        for value in vars(node).values():
            yield from _parts(value, kind, seen)
