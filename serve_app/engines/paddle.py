"""Builds real pipelines and turns their results into PageResults; the only importer of PaddleX.

Runs in engine processes only (``host.py`` calls ``build``). Single-threaded, as pipelines are.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from serve_app.child.channel import Buffer
from serve_app.detection_size import detection_options
from serve_app.devices import cpu
from serve_app.devices.onnx_build import has_openvino
from serve_app.document import PAGE_IMAGE, Markdown, PageResult, PredictOptions
from serve_app.documents.page_frame import decode_page
from serve_app.documents.page_input import PageInput
from serve_app.engines.layer_use import LayerPlan, plan
from serve_app.engines.layered_ocr import LayeredOcr, LiesOnItsSide
from serve_app.engines.onnx_sessions import (
    ShrinkingSession,
    assert_providers,
    load_cuda,
    weights_outside_arenas,
)
from serve_app.engines.orientation import classify_content_only
from serve_app.engines.page_angle import layer_angle
from serve_app.engines.reading import Reading, pictures_of, read, write_back
from serve_app.engines.result_json import dump_pruned
from serve_app.engines.width_buckets import pad_to_buckets
from serve_app.errors import PageFailed, WeightsError
from serve_app.layout.markdown import Style, write
from serve_app.page_codec import encode_result
from serve_app.settings import ModelSettings, WeightsSettings
from serve_app.temp_folders import temp_folder
from serve_app.weights import hashes_file
from serve_app.weights import store as weights
from serve_app.weights.cuda_options import OUTSIDE_BYTES
from serve_app.weights.font import drawing_font_path
from serve_app.weights.load_check import LoadCheck
from serve_app.weights.pins import Pins
from serve_app.weights.pipeline_config import (
    Runtime,
    Weights,
    build_config,
    loaded_stages,
    resolve_options,
    resolve_runtime,
)

# PaddleX's server shrinks pictures of its answers to this (DEFAULT_MAX_OUTPUT_IMG_SIZE).
MAX_OUTPUT_SIDE = 2000
JPEG = ".jpg"
# The kernel gives a tenth of the share of an ordinary process, if one wants it.
NICENESS = 10
ORIENTATION = "use_doc_orientation_classify"
# Stages that read letters, each with an OCR of its own.
RECOGNISES = ("use_seal_recognition",)


def build(spec: dict[str, Any]) -> PaddleEngine:
    """Load the pipeline that ``spec`` describes. Called once, in the engine process.

    Raises:
        WeightsError: weights are missing, or are not those that were pinned.
        EngineUnavailable: the pipeline cannot be built with these settings.
    """
    # Whoever answers "too much" or "are you alive" must not wait for those who compute.
    os.nice(NICENESS)
    try:
        settings = ModelSettings.model_validate(spec["model"])
        return PaddleEngine(settings, device=spec["device"], budget_bytes=spec.get("budget_bytes"))
    except WeightsError as error:
        # The parent knows the types of serve_app.errors only.
        raise WeightsError(str(error)) from error


class PaddleEngine:
    """One PaddleX pipeline with its defaults.

    ``budget_bytes``: what it may hold on a GPU; None: no limit.
    """

    def __init__(
        self, settings: ModelSettings, *, device: Any, budget_bytes: int | None = None
    ) -> None:
        font = drawing_font_path(settings.weights.cache_dir)
        os.environ.setdefault("PADDLE_PDX_LOCAL_FONT_FILE_PATH", font)
        from paddlex.inference import load_pipeline_config

        self._settings = settings
        cv2.setNumThreads(settings.engine.threads)
        defaults = load_pipeline_config(settings.pipeline)
        given, openvino = settings.engine, has_openvino()
        runtime = resolve_runtime(
            given, device, cpu.flags(), openvino=openvino, budget_bytes=budget_bytes
        )
        self._paddle_on_gpu = runtime.pipeline_device != "cpu"
        self._stages = loaded_stages(settings, defaults)
        check = LoadCheck()
        config = build_config(settings, defaults, _finder(settings.weights, check), runtime)
        self._pipeline = _created(config, runtime)
        check.assert_unchanged()
        self._shrinking = _shrinking(self._pipeline) if runtime.provider == "cuda" else []
        self._recogniser = _recogniser(self._pipeline)
        classify_content_only(self._pipeline)
        for recognizer in _parts(self._pipeline, "TextRecRunnerPredictor", set()):
            pad_to_buckets(recognizer)
        self._ocr = _layered(self._pipeline)

    def handle(self, job: dict[str, Any], data: Buffer) -> list[bytes]:
        """Predict page ``job["index"]`` of a file; ``data``: its frame, as the renderer made it."""
        page = decode_page(data)
        options = PredictOptions(**job["options"])
        return encode_result(self.predict(page, job["index"], options))

    def device_memory(self) -> tuple[int, int] | None:
        """See ``host.DeviceHandler``: of Paddle's allocator; ONNX Runtime's tells nothing."""
        if self._shrinking:
            return OUTSIDE_BYTES, OUTSIDE_BYTES  # at least
        if not self._paddle_on_gpu:
            return None
        from paddle.device import cuda

        told = cuda.memory_reserved(), cuda.max_memory_reserved()
        cuda.reset_max_memory_reserved()
        return told

    def trim_device(self) -> None:
        """See ``host.DeviceHandler``."""
        for session in self._shrinking:
            session.shrink()
        if self._paddle_on_gpu:
            from paddle.device import cuda

            cuda.empty_cache()

    def predict(self, page: PageInput, index: int, options: PredictOptions) -> PageResult:
        """Predict one page.

        Args:
            page: its pixels, and the text that it has itself.
            index: the page's place in its file, passed on.
            options: of the request.

        Raises:
            PageFailed: the pipeline refused the options or gave no result.
        """
        resolved = resolve_options(self._settings, self._stages, options.predict)
        height, width = page.pixels.shape[:2]
        side, pipeline = options.detection_side, self._settings.pipeline
        told = detection_options(pipeline, resolved.arguments, width, height, side)
        arguments = {**resolved.arguments, **told}
        layer = plan(page, options.text_layer, arguments, self._ocr)
        results = self._results(page.pixels, layer, options, arguments)
        if len(results) != 1:
            raise PageFailed(f"the pipeline gave {len(results)} results for one page")
        result = results[0]
        if not hasattr(result, "json"):  # PaddleX yields {"error": …} for settings it refuses
            raise PageFailed(f"the pipeline refused the options: {str(result)[:200]}")
        picture = _output(result, page.pixels)
        height, width = picture.shape[:2]
        reading = read(result, picture, self._recognise)
        markdown = _markdown(result, reading, width, options)
        return PageResult(
            index=index,
            width=width,
            height=height,
            pruned_json=dump_pruned(result.json["res"]),
            text=tuple(line.text for line in reading.lines),
            markdown=markdown,
            images=_pictures(result, page.pixels, picture, options),
            exports=_exports(result, options.output_formats),
            notices=resolved.notices,
            lines=reading.lines,
            text_layer=layer.told(reading.lines),
            angle=_angle(result),
            blocks=reading.blocks if options.keep_all_text else (),
        )

    def _recognise(self, line: np.ndarray) -> tuple[str, float]:
        """Text and score of a picture of one line."""
        (read_,) = self._recogniser([line])
        return str(read_["rec_text"]), float(read_["rec_score"])

    def _results(
        self,
        pixels: np.ndarray,
        layer: LayerPlan,
        options: PredictOptions,
        arguments: dict[str, Any],
    ) -> list[Any]:
        """The pipeline's, after the page was turned if it lies on its side."""
        if layer.mode == "only":
            arguments |= {name: False for name in RECOGNISES if name in arguments}
        asked = bool(arguments.get(ORIENTATION))
        find_out = options.auto_orientation and not asked and self._ocr.can_turn
        angle = None
        if layer.layer is not None and (find_out or asked):
            angle = layer_angle(layer.layer)
        if angle:
            arguments[ORIENTATION] = True
        watched = find_out and layer.layer is None
        with (
            self._ocr.page(pixels, layer.layer, layer.mode, watched=watched, angle=angle),
            contextlib.suppress(LiesOnItsSide),
        ):
            results = list(self._pipeline.predict(pixels, **arguments))
            for result in results:
                self._ocr.restore(result)
            return results
        with self._ocr.page(pixels):
            return list(self._pipeline.predict(pixels, **{**arguments, ORIENTATION: True}))


def _output(result: Any, page: np.ndarray) -> np.ndarray:
    """The picture that places in the result are about."""
    turned = result.get("doc_preprocessor_res") or {}
    picture: np.ndarray = turned.get("output_img", page)
    return picture


def _angle(result: Any) -> int:
    turned = result.get("doc_preprocessor_res") or {}
    return max(int(turned.get("angle", 0)), 0)


def _layered(pipeline: Any) -> LayeredOcr:
    """The pipeline's OCR, with a place for a page's text layer."""
    ocr = next(part for part in _parts(pipeline, "_OCRPipeline", set()) if _is_general(part))
    owners = [*_parts(pipeline, "_LayoutParsingPipelineV2", set()), ocr]
    preprocessors = [
        (owner, inner)
        for owner in owners
        if hasattr(owner, "doc_preprocessor_pipeline")
        for inner in _parts(owner.doc_preprocessor_pipeline, "_DocPreprocessorPipeline", set())
    ]
    return LayeredOcr(ocr, preprocessors)


def _is_general(ocr: Any) -> bool:
    return bool(ocr.text_type == "general")


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


def _pictures(
    result: Any, page: np.ndarray, turned: np.ndarray, options: PredictOptions
) -> dict[str, bytes]:
    drawn = {"input_img": page, **result.img} if options.visualize else {}
    if options.page_image:
        drawn[PAGE_IMAGE] = turned
    return {name: _jpeg(image) for name, image in drawn.items()}


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


def _finder(settings: WeightsSettings, check: LoadCheck) -> Callable[[str], Weights]:
    """How to find the weights of a PaddleX model, by its name; what is found has been checked."""
    match settings.source:
        case "hub":
            return lambda name: Weights(None, "paddle")
        case "bundled":
            return functools.partial(_bundled, settings.cache_dir, check)
        case "directory":
            assert settings.directory is not None, "checked by WeightsSettings"
            assert settings.hashes_file is not None, "checked by WeightsSettings"
            pins = hashes_file.read(settings.hashes_file)
            return functools.partial(_in_directory, settings.directory, pins, check)


def _bundled(cache_dir: Path | None, check: LoadCheck, name: str) -> Weights:
    directory = weights.model_dir(name, cache_dir)
    pins, remedy = weights.bundled_pins(name), weights.pull_command(name, cache_dir)
    check.check(name, directory, pins, f"make them anew with {remedy}", ignored=weights.NOT_LOADED)
    onnx = weights.bundled_engine(name) == "onnxruntime"
    return Weights(directory, "onnx" if onnx else "paddle", weights.bundled_engine_config(name))


def _in_directory(
    directory: Path, pins: Mapping[str, Pins], check: LoadCheck, name: str
) -> Weights:
    if name not in pins:
        raise WeightsError(f"no file of {name} is pinned in weights.hashes_file")
    check.check(name, directory / name, pins[name], "compare weights.directory and hashes_file")
    return Weights(directory / name, "onnx" if "inference.onnx" in pins[name] else "paddle")


def _created(config: dict[str, Any], runtime: Runtime) -> Any:
    """PaddleX's pipeline, whose ONNX modules compute where they should.

    Raises:
        EngineUnavailable: one of them would not.
    """
    from paddlex import create_pipeline
    from paddlex.inference.models.runners.onnxruntime_runner import ONNXRuntimeRunner

    making: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if runtime.provider == "cuda":
        import onnxruntime

        load_cuda(onnxruntime)
        making = weights_outside_arenas(ONNXRuntimeRunner)
    with making:
        pipeline = create_pipeline(config=config, device=runtime.pipeline_device)
    assert_providers(_runners(pipeline), on_gpu=runtime.provider == "cuda")
    return pipeline


def _runners(pipeline: Any) -> list[Any]:
    """Of all its modules in ONNX."""
    return list(_parts(pipeline, "ONNXRuntimeRunner", set()))


def _shrinking(pipeline: Any) -> list[ShrinkingSession]:
    """Its sessions, which can hand back from now on what they do not need."""
    import onnxruntime

    sessions = []
    for runner in _runners(pipeline):
        runner.session = ShrinkingSession(runner.session, onnxruntime.RunOptions())
        sessions.append(runner.session)
    return sessions


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
