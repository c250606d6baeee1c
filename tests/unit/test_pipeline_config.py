"""From settings to PaddleX's configuration, without PaddleX: stages, weights, runtime, options."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from serve_app.errors import EngineUnavailable
from serve_app.settings import EngineSettings, ModelSettings
from serve_app.weights import cuda_options
from serve_app.weights.errors import UnknownBundledModel
from serve_app.weights.pipeline_config import (
    BUNDLED_MODULES,
    BUNDLED_STAGES,
    BUNDLED_TABLE_OPTIONS,
    Runtime,
    Weights,
    build_config,
    loaded_stages,
    resolve_options,
    resolve_runtime,
)

CPU = Runtime("cpu", "openvino", "bf16", threads=2)


def network(name: str, **more: Any) -> dict[str, Any]:
    return {"module_name": "any", "model_name": name, "model_dir": None, **more}


def general_ocr(**more: Any) -> dict[str, Any]:
    return {
        "pipeline_name": "OCR",
        "use_doc_preprocessor": False,
        "use_textline_orientation": True,
        **more,
        "SubModules": {
            "TextDetection": network("PP-OCRv5_server_det", limit_side_len=736),
            "TextLineOrientation": network("PP-LCNet_x1_0_textline_ori", batch_size=8),
            "TextRecognition": network("PP-OCRv5_server_rec", batch_size=8),
        },
    }


def preprocessor() -> dict[str, Any]:
    return {
        "pipeline_name": "doc_preprocessor",
        "use_doc_orientation_classify": True,
        "use_doc_unwarping": True,
        "SubModules": {
            "DocOrientationClassify": network("PP-LCNet_x1_0_doc_ori"),
            "DocUnwarping": network("UVDoc"),
        },
    }


# Trimmed copies of paddlex 3.7.2, configs/pipelines/{OCR,PP-StructureV3}.yaml.
OCR: Mapping[str, Any] = {
    **general_ocr(use_doc_preprocessor=True),
    "SubPipelines": {"DocPreprocessor": preprocessor()},
}
STRUCTURE: Mapping[str, Any] = {
    "pipeline_name": "PP-StructureV3",
    "use_doc_preprocessor": False,
    "use_seal_recognition": False,
    "use_table_recognition": True,
    "use_formula_recognition": True,
    "use_chart_recognition": False,
    "use_region_detection": True,
    "SubModules": {
        "LayoutDetection": network("PP-DocLayout_plus-L", threshold={0: 0.3}, batch_size=8),
        "ChartRecognition": network("PP-Chart2Table"),
        "RegionDetection": network("PP-DocBlockLayout"),
    },
    "SubPipelines": {
        "DocPreprocessor": preprocessor(),
        "GeneralOCR": general_ocr(),
        "TableRecognition": {
            "pipeline_name": "table_recognition_v2",
            "SubModules": {
                "TableClassification": network("PP-LCNet_x1_0_table_cls"),
                "WiredTableStructureRecognition": network("SLANeXt_wired"),
                "WirelessTableStructureRecognition": network("SLANet_plus"),
                "WiredTableCellsDetection": network("RT-DETR-L_wired_table_cell_det"),
                "WirelessTableCellsDetection": network("RT-DETR-L_wireless_table_cell_det"),
                "TableOrientationClassify": network("PP-LCNet_x1_0_doc_ori"),
            },
            "SubPipelines": {"GeneralOCR": general_ocr()},
        },
        "SealRecognition": {
            "pipeline_name": "seal_recognition",
            "SubPipelines": {"SealOCR": general_ocr()},
        },
        "FormulaRecognition": {
            "pipeline_name": "formula_recognition",
            "SubModules": {"FormulaRecognition": network("PP-FormulaNet_plus-L")},
        },
    },
}
DEFAULTS = {"OCR": OCR, "PP-StructureV3": STRUCTURE}


def model(pipeline: str, **settings: Any) -> ModelSettings:
    return ModelSettings.model_validate({"pipeline": pipeline, **settings})


def built(settings: ModelSettings, runtime: Runtime = CPU) -> dict[str, Any]:
    return build_config(settings, DEFAULTS[settings.pipeline], bundled_weights, runtime)


def bundled_weights(name: str) -> Weights:
    return Weights(Path("/weights") / name, "paddle" if name == "SLANet_plus" else "onnx")


def from_hub(name: str) -> Weights:
    return Weights(None, "paddle")


def modules(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """All networks of a configuration by path, e.g. ``GeneralOCR/TextDetection``."""
    return dict(_walk(config, ""))


def _walk(config: Mapping[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, node in config.get("SubModules", {}).items():
        yield path + name, node
    for name, node in config.get("SubPipelines", {}).items():
        yield from _walk(node, f"{path}{name}/")


# ---- Stages ----------------------------------------------------------------------------------


def test_bundled_weights_load_the_stages_that_they_bring() -> None:
    assert loaded_stages(model("PP-StructureV3"), STRUCTURE) == BUNDLED_STAGES
    assert loaded_stages(model("OCR"), OCR) == {"orientation", "textline_orientation"}


def test_the_hub_loads_paddlexs_own_stages() -> None:
    hub = {"source": "hub"}
    stages = loaded_stages(model("PP-StructureV3", weights=hub), STRUCTURE)
    assert stages == {
        "orientation",
        "unwarping",
        "textline_orientation",
        "table",
        "formula",
        "region",
    }
    stages = loaded_stages(model("OCR", weights=hub), OCR)
    assert stages == {"orientation", "unwarping", "textline_orientation"}


def test_named_stages_are_loaded_as_far_as_the_pipeline_has_them() -> None:
    chosen = ["table", "textline_orientation"]
    assert loaded_stages(model("PP-StructureV3", stages=chosen), STRUCTURE) == set(chosen)
    assert loaded_stages(model("OCR", stages=chosen), OCR) == {"textline_orientation"}
    assert loaded_stages(model("OCR", stages=[]), OCR) == frozenset()


def test_modules_of_stages_that_are_off_are_cut_out() -> None:
    names = modules(built(model("PP-StructureV3")))
    assert set(names) == {
        "LayoutDetection",
        "DocPreprocessor/DocOrientationClassify",
        "GeneralOCR/TextDetection",
        "GeneralOCR/TextLineOrientation",
        "GeneralOCR/TextRecognition",
        *(f"TableRecognition/{name}" for name in table_modules()),
    }


def table_modules() -> list[str]:
    return list(STRUCTURE["SubPipelines"]["TableRecognition"]["SubModules"])


def test_switches_follow_the_stages() -> None:
    config = built(model("PP-StructureV3"))
    assert config["use_table_recognition"] is True
    for stage in ("formula_recognition", "seal_recognition", "chart_recognition"):
        assert config[f"use_{stage}"] is False
    assert config["use_region_detection"] is False
    assert config["use_doc_preprocessor"] is True
    doc = config["SubPipelines"]["DocPreprocessor"]
    assert (doc["use_doc_orientation_classify"], doc["use_doc_unwarping"]) == (True, False)


def test_without_its_stages_the_preprocessor_is_gone() -> None:
    for pipeline in ("OCR", "PP-StructureV3"):
        config = built(model(pipeline, stages=[]))
        assert config["use_doc_preprocessor"] is False
        assert "DocPreprocessor" not in config["SubPipelines"]
        ocr = config["SubPipelines"].get("GeneralOCR", config)
        assert ocr["use_textline_orientation"] is False
        assert set(ocr["SubModules"]) == {"TextDetection", "TextRecognition"}


def test_paddlexs_defaults_are_not_changed() -> None:
    before = copy.deepcopy(DEFAULTS)
    for pipeline in ("OCR", "PP-StructureV3"):
        built(model(pipeline, stages=[]))
    assert before == DEFAULTS


# ---- Weights and runtime ---------------------------------------------------------------------


def test_bundled_models_take_the_place_of_paddlexs() -> None:
    found = modules(built(model("PP-StructureV3")))
    for path, node in found.items():
        name = BUNDLED_MODULES[path.rpartition("/")[2]]
        assert (node["model_name"], node["model_dir"]) == (name, f"/weights/{name}")


def test_a_named_model_wins_and_the_rest_stays() -> None:
    settings = model("OCR", modules={"TextRecognition": "latin_PP-OCRv5_mobile_rec"})
    found = modules(built(settings))
    assert found["TextRecognition"]["model_name"] == "latin_PP-OCRv5_mobile_rec"
    assert found["TextDetection"]["model_name"] == BUNDLED_MODULES["TextDetection"]


def test_the_hub_keeps_paddlexs_models_and_finds_them_itself() -> None:
    settings = model("OCR", weights={"source": "hub"})
    found = modules(build_config(settings, OCR, from_hub, CPU))
    assert found["TextRecognition"]["model_name"] == "PP-OCRv5_server_rec"
    assert found["TextRecognition"]["model_dir"] is None
    assert found["TextRecognition"]["engine"] == "paddle_static"


def test_missing_weights_are_the_finders_error() -> None:
    def missing(name: str) -> Weights:
        raise UnknownBundledModel(name)

    with pytest.raises(UnknownBundledModel):
        build_config(model("OCR"), OCR, missing, CPU)


def test_onnx_runs_in_openvino_and_paddles_format_in_paddle() -> None:
    found = modules(built(model("PP-StructureV3")))
    detection = found["GeneralOCR/TextDetection"]
    assert detection["engine"] == "onnxruntime"
    assert detection["engine_config"]["providers"] == ["OpenVINOExecutionProvider"]
    (options,) = detection["engine_config"]["provider_options"]
    cpu = json.loads(options["load_config"])["CPU"]
    assert (cpu["INFERENCE_PRECISION_HINT"], cpu["INFERENCE_NUM_THREADS"]) == ("bf16", "2")
    table = found["TableRecognition/WiredTableStructureRecognition"]
    assert (table["engine"], table["engine_config"]) == ("paddle_static", {"cpu_threads": 2})


def test_what_weights_need_of_their_engine_wins() -> None:
    special = Weights(Path("/weights/x"), "paddle", {"enable_new_ir": False, "cpu_threads": 1})
    assert CPU.module_engine(special) == {
        "engine": "paddle_static",
        "engine_config": {"cpu_threads": 1, "enable_new_ir": False},
    }


def test_other_providers() -> None:
    weights = bundled_weights("PP-OCRv6_small_det")
    cpu = Runtime("cpu", "cpu", "f32", 3).module_engine(weights)
    assert cpu["engine_config"] == {
        "providers": ["CPUExecutionProvider"],
        "intra_op_num_threads": 3,
        "enable_cpu_mem_arena": False,
        "enable_mem_pattern": False,
    }
    cuda = Runtime("gpu", "cuda", "f32", 1).module_engine(weights)
    assert cuda["engine_config"]["providers"] == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    paddle = Runtime("gpu", "paddle", "f32", 1).module_engine(weights)
    assert paddle == {"engine": "paddle_static", "engine_config": {"run_mode": "paddle"}}


def test_the_batch_of_recognition_is_the_settings() -> None:
    found = modules(built(model("OCR", engine={"rec_batch_size": 11})))
    assert found["TextRecognition"]["batch_size"] == 11
    assert "batch_size" not in found["TextDetection"]


def test_only_the_bundled_layout_model_gets_its_own_thresholds() -> None:
    """PaddleX's are per class of another model, with other classes."""
    bundled = modules(built(model("PP-StructureV3")))["LayoutDetection"]
    assert isinstance(bundled["threshold"], float)
    assert bundled["batch_size"] == 1
    settings = model("PP-StructureV3", modules={"LayoutDetection": "PP-DocLayout_plus-L"})
    other = modules(built(settings))["LayoutDetection"]
    assert (other["threshold"], other["batch_size"]) == ({0: 0.3}, 8)


@pytest.mark.parametrize(
    ("flags", "asked", "provider", "precision"),
    [
        ({"avx2", "amx_bf16"}, "auto", "openvino", "bf16"),
        ({"avx512_bf16"}, "auto", "openvino", "bf16"),
        ({"avx2", "avx512f"}, "auto", "cpu", "f32"),
        (set(), "auto", "cpu", "f32"),
        ({"amx_bf16"}, "f32", "cpu", "f32"),
        (set(), "bf16", "openvino", "bf16"),
    ],
)
def test_bf16_and_openvino_only_where_the_processor_computes_in_bf16(
    flags: set[str],
    asked: str,
    provider: Literal["openvino", "cpu"],
    precision: Literal["bf16", "f32"],
) -> None:
    engine = EngineSettings.model_validate({"precision": asked, "threads": 4})
    assert resolve_runtime(engine, "cpu", flags) == Runtime("cpu", provider, precision, 4)


def test_the_provider_follows_the_device_unless_named() -> None:
    assert resolve_runtime(EngineSettings(), "gpu", ()).provider == "cuda"
    assert resolve_runtime(EngineSettings(provider="paddle"), "gpu", ()).provider == "paddle"
    assert resolve_runtime(EngineSettings(provider="openvino"), "cpu", ()).provider == "openvino"


def test_without_openvino_a_cpu_computes_in_f32_with_onnx_runtimes_own_provider() -> None:
    """The environment of a GPU: a CPU pool in it has the same module ``onnxruntime``."""
    found = resolve_runtime(EngineSettings(), "cpu", {"amx_bf16"}, openvino=False)
    assert found == Runtime("cpu", "cpu", "f32", 1)


def test_on_a_gpu_paddles_format_stays_on_the_cpu_unless_paddle_computes_all() -> None:
    cuda, paddle = Runtime("gpu", "cuda", "f32", 3), Runtime("gpu", "paddle", "f32", 3)
    assert (cuda.pipeline_device, paddle.pipeline_device) == ("cpu", "gpu:0")
    assert CPU.pipeline_device == "cpu"
    table = cuda.module_engine(bundled_weights("SLANet_plus"))
    assert table == {"engine": "paddle_static", "engine_config": {"cpu_threads": 3}}


def test_a_gpus_budget_is_split_over_the_sessions_of_onnx_models() -> None:
    budget = 2 * 2**30
    runtime = Runtime("gpu", "cuda", "f32", 1, budget)
    found = modules(built(model("PP-StructureV3"), runtime))
    limits = {
        path: node["engine_config"]["provider_options"][0]["gpu_mem_limit"]
        for path, node in found.items()
        if node["engine"] == "onnxruntime"
    }
    assert set(found) - set(limits) == {
        "TableRecognition/WiredTableStructureRecognition",
        "TableRecognition/WirelessTableStructureRecognition",
    }
    assert sum(limits.values()) <= budget - cuda_options.OUTSIDE_BYTES
    assert limits["GeneralOCR/TextDetection"] > limits["GeneralOCR/TextLineOrientation"]


def test_a_budget_that_is_too_small_is_an_error_before_anything_is_loaded() -> None:
    runtime = Runtime("gpu", "cuda", "f32", 1, 2**30)
    with pytest.raises(EngineUnavailable, match=r"1024 MiB \(num_gpus.* too small"):
        built(model("OCR"), runtime)
    assert built(model("OCR"), replace(runtime, budget_bytes=None))


# ---- Options of a request --------------------------------------------------------------------


def test_a_requests_option_wins_over_the_models() -> None:
    settings = model("OCR", options={"text_det_thresh": 0.2, "text_rec_score_thresh": 0.5})
    resolved = resolve_options(settings, BUNDLED_STAGES, {"text_det_thresh": 0.4})
    assert resolved.arguments["text_det_thresh"] == 0.4
    assert resolved.arguments["text_rec_score_thresh"] == 0.5
    assert resolved.notices == ()


def test_loaded_preprocessing_runs_only_when_it_is_asked_for() -> None:
    stages = loaded_stages(model("OCR"), OCR)
    plain = resolve_options(model("OCR"), stages, {}).arguments
    assert plain["use_doc_orientation_classify"] is False
    asked = {"use_doc_orientation_classify": True}
    assert resolve_options(model("OCR"), stages, asked).arguments == {**plain, **asked}
    configured = model("OCR", options=asked)
    assert resolve_options(configured, stages, {}).arguments == {**plain, **asked}


def test_a_stage_that_is_not_loaded_is_left_out_with_a_notice() -> None:
    asked = {"use_chart_recognition": True, "use_doc_unwarping": True}
    resolved = resolve_options(model("PP-StructureV3"), BUNDLED_STAGES, asked)
    assert resolved.arguments["use_chart_recognition"] is False
    assert resolved.arguments["use_doc_unwarping"] is False
    assert resolved.notices == (
        "use_doc_unwarping: this stage is not loaded and was left out",
        "use_chart_recognition: this stage is not loaded and was left out",
    )


def test_a_stage_that_is_off_needs_no_notice() -> None:
    asked = {"use_chart_recognition": False}
    resolved = resolve_options(model("PP-StructureV3"), BUNDLED_STAGES, asked)
    assert (resolved.arguments["use_chart_recognition"], resolved.notices) == (False, ())


def test_an_ocr_pipeline_gets_no_options_of_other_pipelines() -> None:
    arguments = resolve_options(model("OCR"), loaded_stages(model("OCR"), OCR), {}).arguments
    assert set(arguments) == {
        "use_doc_orientation_classify",
        "use_doc_unwarping",
        "use_textline_orientation",
    }


def test_bundled_tables_are_recognised_in_the_only_way_that_computes_something() -> None:
    settings = model("PP-StructureV3")
    asked = {"use_ocr_results_with_table_cells": True, "use_e2e_wired_table_rec_model": True}
    resolved = resolve_options(settings, BUNDLED_STAGES, asked)
    for option, only in BUNDLED_TABLE_OPTIONS.items():
        assert resolved.arguments[option] is only
    (notice,) = resolved.notices
    assert "use_ocr_results_with_table_cells" in notice


def test_other_table_models_take_all_the_options() -> None:
    settings = model("PP-StructureV3", modules={"WiredTableCellsDetection": "another"})
    asked = {"use_ocr_results_with_table_cells": True}
    resolved = resolve_options(settings, BUNDLED_STAGES, asked)
    assert resolved.arguments["use_ocr_results_with_table_cells"] is True
    assert resolved.notices == ()
