"""From a model's settings to PaddleX's pipeline configuration. Pure: no Paddle, no file access.

PaddleX describes a pipeline as a tree of ``SubModules`` (one network each) and ``SubPipelines``;
this module walks the tree of its default and sets weights, runtime and stages in it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from serve_app.pipeline_options import checked_options
from serve_app.settings import EngineSettings, ModelSettings, StageName
from serve_app.weights.cuda_options import arena_limits, cuda_config

WeightsFormat = Literal["onnx", "paddle"]

# What `source: bundled` uses per module where the configuration names nothing else.
BUNDLED_MODULES: Mapping[str, str] = {
    "DocOrientationClassify": "PP-LCNet_x1_0_doc_ori",
    "TextDetection": "PP-OCRv6_small_det",
    "TextLineOrientation": "PP-LCNet_x1_0_textline_ori",
    "TextRecognition": "PP-OCRv6_small_rec",
    "LayoutDetection": "PicoDet_layout_1x",
    "TableClassification": "PP-LCNet_x1_0_table_cls",
    "WiredTableStructureRecognition": "SLANet_plus",
    "WirelessTableStructureRecognition": "SLANet_plus",
    "WiredTableCellsDetection": "RT-DETR-L_wired_table_cell_det",
    "WirelessTableCellsDetection": "RT-DETR-L_wireless_table_cell_det",
    "TableOrientationClassify": "PP-LCNet_x1_0_doc_ori",
}
BUNDLED_STAGES: frozenset[StageName] = frozenset({"orientation", "textline_orientation", "table"})

# The predict option that asks for each stage.
STAGE_OPTIONS: Mapping[StageName, str] = {
    "orientation": "use_doc_orientation_classify",
    "unwarping": "use_doc_unwarping",
    "textline_orientation": "use_textline_orientation",
    "table": "use_table_recognition",
    "formula": "use_formula_recognition",
    "seal": "use_seal_recognition",
    "chart": "use_chart_recognition",
    "region": "use_region_detection",
}
_OCR_STAGES: frozenset[StageName] = frozenset({"orientation", "unwarping", "textline_orientation"})

# What a CPU that computes in bf16 says of itself in /proc/cpuinfo.
BF16_FLAGS: frozenset[str] = frozenset({"amx_bf16", "avx512_bf16"})

# The bundled cell detectors and table classifier are constants (see bundled.py), so only the
# end-to-end way through the table recogniser computes something.
BUNDLED_TABLE_OPTIONS: Mapping[str, bool] = {
    "use_e2e_wired_table_rec_model": True,
    "use_e2e_wireless_table_rec_model": True,
    "use_ocr_results_with_table_cells": False,
    "use_wired_table_cells_trans_to_html": False,
    "use_wireless_table_cells_trans_to_html": False,
    "use_table_orientation_classify": False,
}


@dataclass(frozen=True, slots=True)
class Weights:
    """Where one module's weights lie and in which format; None: PaddleX finds them itself.

    ``engine_config``: what the engine must be told to run these weights, whatever the settings.
    """

    directory: Path | None
    format: WeightsFormat
    engine_config: Mapping[str, Any] = field(default_factory=dict)


def loaded_stages(settings: ModelSettings, defaults: Mapping[str, Any]) -> frozenset[StageName]:
    """The stages that the pipeline loads. ``defaults`` is PaddleX's own configuration."""
    if settings.stages is not None:
        chosen = frozenset(settings.stages)
    elif settings.weights.source == "bundled":
        chosen = BUNDLED_STAGES
    else:
        chosen = _stages_of(defaults)
    return chosen & _OCR_STAGES if settings.pipeline == "OCR" else chosen


def build_config(
    settings: ModelSettings,
    defaults: Mapping[str, Any],
    find_weights: Callable[[str], Weights],
    runtime: Runtime,
) -> dict[str, Any]:
    """PaddleX's pipeline configuration for this model.

    Args:
        settings: the model.
        defaults: PaddleX's default configuration of the pipeline (not changed).
        find_weights: PaddleX model name → its weights; raises WeightsError if they are missing.
        runtime: precision, threads and device, resolved for this machine.
    """
    config = copy.deepcopy(dict(defaults))
    stages = loaded_stages(settings, defaults)
    _set_stages(config, stages)
    bundled = BUNDLED_MODULES if settings.weights.source == "bundled" else {}
    names = {**bundled, **settings.modules}
    found: list[tuple[str, dict[str, Any], Weights]] = []
    for module, node in _modules(config):
        node["model_name"] = names.get(module, node["model_name"])
        found.append((module, node, find_weights(node["model_name"])))
    limits = runtime.arena_limits([module for module, _, own in found if own.format == "onnx"])
    for module, node, weights in found:
        if weights.directory is not None:
            node["model_dir"] = str(weights.directory)
        node.update(runtime.module_engine(weights, limits.get(module)))
        if module == "TextRecognition":
            node["batch_size"] = settings.engine.rec_batch_size
        if module == "LayoutDetection" and node["model_name"] == "PicoDet_layout_1x":
            _set_picodet_layout(node)
    return config


@dataclass(frozen=True, slots=True)
class Runtime:
    """Engine settings resolved for a machine: no "auto" left.

    Attributes:
        device: "cpu" or "gpu" (the process sees one GPU only).
        provider: which runtime the ONNX modules use; "paddle" keeps PaddleX's own choice.
        budget_bytes: what the engine may hold on a GPU; None: no limit.
    """

    device: Literal["cpu", "gpu"]
    provider: Literal["openvino", "cpu", "cuda", "paddle"]
    precision: Literal["bf16", "f32"]
    threads: int
    budget_bytes: int | None = None

    @property
    def pipeline_device(self) -> str:
        """PaddleX's device of the whole pipeline, which is that of modules in Paddle's format.

        ONNX modules name their providers themselves.
        """
        return "gpu:0" if self.device == "gpu" and self.provider == "paddle" else "cpu"

    def arena_limits(self, modules: Sequence[str]) -> dict[str, int]:
        """Bytes of each ONNX module's session on the GPU.

        Raises:
            EngineUnavailable: the budget is too small for them.
        """
        if self.provider != "cuda" or self.budget_bytes is None:
            return {}
        return arena_limits(self.budget_bytes, modules)

    def module_engine(self, weights: Weights, limit_bytes: int | None = None) -> dict[str, Any]:
        """The keys ``engine`` and ``engine_config`` of one module.

        Args:
            weights: its weights.
            limit_bytes: of its session's arena on the GPU.
        """
        if weights.format == "onnx" and self.provider != "paddle":
            return {"engine": "onnxruntime", "engine_config": self._onnx_config(limit_bytes)}
        on_gpu = self.pipeline_device != "cpu"
        own = {"run_mode": "paddle"} if on_gpu else {"cpu_threads": self.threads}
        return {"engine": "paddle_static", "engine_config": {**own, **weights.engine_config}}

    def _onnx_config(self, limit_bytes: int | None) -> dict[str, Any]:
        if self.provider == "cuda":
            return cuda_config(self.threads, limit_bytes)
        if self.provider == "cpu":
            return {
                "providers": ["CPUExecutionProvider"],
                "intra_op_num_threads": self.threads,
                # Its arena never hands anything back, and its plan per shape wastes a third. The C
                # heap does the same work as fast (engine_environment.py), and can be trimmed.
                "enable_cpu_mem_arena": False,
                "enable_mem_pattern": False,
            }
        return {
            "providers": ["OpenVINOExecutionProvider"],
            "provider_options": [
                {"device_type": "CPU", "load_config": json.dumps({"CPU": self._openvino()})}
            ],
        }

    def _openvino(self) -> dict[str, str]:
        return {
            "INFERENCE_PRECISION_HINT": self.precision,
            "INFERENCE_NUM_THREADS": str(self.threads),
            "NUM_STREAMS": "1",
            # Several engine processes would all pin themselves to the same first cores.
            "ENABLE_CPU_PINNING": "NO",
        }


def resolve_runtime(
    engine: EngineSettings,
    device: Literal["cpu", "gpu"],
    cpu_flags: Iterable[str],
    *,
    openvino: bool = True,
    budget_bytes: int | None = None,
) -> Runtime:
    """Decide every "auto". bf16 only where the CPU computes in it: elsewhere it is slower.

    ``openvino``: whether it is installed; ``budget_bytes``: of the engine on a GPU.

    In f32 OpenVINO and ONNX Runtime's own provider take the same time (measured in DESIGN.md),
    but OpenVINO compiles for every new shape and keeps what it compiled: so it has to earn it.
    """
    precision = engine.precision
    if precision == "auto":
        precision = "bf16" if BF16_FLAGS & set(cpu_flags) else "f32"
    provider = engine.provider
    if provider == "auto" and device == "gpu":
        provider = "cuda"
    elif provider == "auto":
        provider = "openvino" if precision == "bf16" and openvino else "cpu"
    if provider == "cpu":
        precision = "f32"  # it knows no other
    return Runtime(device, provider, precision, engine.threads, budget_bytes)


@dataclass(frozen=True, slots=True)
class ResolvedOptions:
    """The pipeline's predict arguments, and what was asked for but cannot be had."""

    arguments: dict[str, Any]
    notices: tuple[str, ...]


def resolve_options(
    settings: ModelSettings, stages: frozenset[StageName], asked: Mapping[str, Any]
) -> ResolvedOptions:
    """Merge the model's defaults with a request's options; leave out stages that are not loaded."""
    arguments: dict[str, Any] = {**settings.options, **asked}
    notices = []
    for stage, option in STAGE_OPTIONS.items():
        if settings.pipeline == "OCR" and stage not in _OCR_STAGES:
            continue
        if stage in stages:
            # Loaded, but not part of the default answer: asked for by name only.
            if stage in _ON_DEMAND:
                arguments.setdefault(option, False)
            continue
        if arguments.get(option):
            notices.append(f"{option}: this stage is not loaded and was left out")
        arguments[option] = False
    if settings.pipeline == "PP-StructureV3" and _tables_are_bundled(settings):
        for option, only in BUNDLED_TABLE_OPTIONS.items():
            if asked.get(option, only) != only:
                notices.append(f"{option}={asked[option]}: not with the bundled table model")
            arguments[option] = only
    # Again: on its way here, as JSON, a mapping by class number got texts as keys.
    return ResolvedOptions(checked_options(settings.pipeline, arguments), tuple(notices))


_ON_DEMAND: frozenset[StageName] = frozenset({"orientation", "unwarping", "textline_orientation"})


def _tables_are_bundled(settings: ModelSettings) -> bool:
    cells = "WiredTableCellsDetection"
    return settings.weights.source == "bundled" and cells not in settings.modules


def _modules(config: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    yield from config.get("SubModules", {}).items()
    for sub in config.get("SubPipelines", {}).values():
        yield from _modules(sub)


_STAGE_SUBPIPELINES: Mapping[StageName, str] = {
    "table": "TableRecognition",
    "formula": "FormulaRecognition",
    "seal": "SealRecognition",
}
_STAGE_SUBMODULES: Mapping[StageName, str] = {
    "chart": "ChartRecognition",
    "region": "RegionDetection",
}


def _set_stages(config: dict[str, Any], stages: frozenset[StageName]) -> None:
    """Switch stages on and off, and cut the modules of those that are off."""
    _set_preprocessor(config, stages)
    ocr = config.get("SubPipelines", {}).get("GeneralOCR", config)
    ocr["use_textline_orientation"] = "textline_orientation" in stages
    if "textline_orientation" not in stages:
        ocr["SubModules"].pop("TextLineOrientation", None)
    if config["pipeline_name"] == "OCR":
        return
    for table, section in (
        (_STAGE_SUBPIPELINES, "SubPipelines"),
        (_STAGE_SUBMODULES, "SubModules"),
    ):
        for stage, name in table.items():
            config[STAGE_OPTIONS[stage]] = stage in stages
            if stage not in stages:
                config[section].pop(name, None)
    if "table" in stages:
        # The table pipeline carries an OCR of its own that is only used with detected cells.
        config["SubPipelines"]["TableRecognition"].pop("SubPipelines", None)


def _set_preprocessor(config: dict[str, Any], stages: frozenset[StageName]) -> None:
    wanted = {"DocOrientationClassify": "orientation", "DocUnwarping": "unwarping"}
    preprocessor = config["SubPipelines"]["DocPreprocessor"]
    for module, stage in wanted.items():
        preprocessor[STAGE_OPTIONS[stage]] = stage in stages  # type: ignore[index]
        if stage not in stages:
            preprocessor["SubModules"].pop(module, None)
    used = bool({"orientation", "unwarping"} & stages)
    config["use_doc_preprocessor"] = used
    if config["pipeline_name"] != "OCR":
        # PP-StructureV3 reads these two at its top level as well.
        config["use_doc_orientation_classify"] = config["use_doc_unwarping"] = used
    if not used:
        config["SubPipelines"].pop("DocPreprocessor")


def _stages_of(defaults: Mapping[str, Any]) -> frozenset[StageName]:
    preprocessor = defaults.get("SubPipelines", {}).get("DocPreprocessor", {})
    ocr = defaults.get("SubPipelines", {}).get("GeneralOCR", defaults)
    flags: dict[StageName, Any] = {
        "orientation": preprocessor.get("use_doc_orientation_classify"),
        "unwarping": preprocessor.get("use_doc_unwarping"),
        "textline_orientation": ocr.get("use_textline_orientation"),
    }
    for stage in ("table", "formula", "seal", "chart", "region"):
        flags[stage] = defaults.get(STAGE_OPTIONS[stage])
    return frozenset(stage for stage, on in flags.items() if on)


def _set_picodet_layout(node: dict[str, Any]) -> None:
    """PaddleX's defaults are per class of another model; this one has ten classes of its own."""
    node["threshold"] = 0.5  # below it, one box may carry two labels (the NMS is per class)
    node["layout_nms"] = True
    node["layout_unclip_ratio"] = [1.0, 1.0]
    node["layout_merge_bboxes_mode"] = "large"
    node["batch_size"] = 1
