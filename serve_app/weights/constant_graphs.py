"""ONNX graphs that answer the same to every picture. They are constants, not trained models.

PaddleX's table pipeline constructs a table classifier and two table cell detectors even where
its options make no use of them, and no package index carries their weights. The graphs here let
it start, and say the one thing that leads to the end-to-end table model: every table is
"wireless_table", and no cell is found.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

SIDE = 32  # pixels: small, since the picture is not looked at
_OPSET = 13
_IR_VERSION = 8
_NOTICE = "A constant: its outputs do not depend on the picture. Not a trained model."


def write_constant_classifier(directory: Path) -> None:
    """Write ``inference.onnx``: x [n, 3, 32, 32] → scores [n, 2], always (0, 1)."""
    from onnx import TensorProto, helper

    picture = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 2])
    nodes = _repeat(["x"], "answer", "scores")
    _save(directory, nodes, [picture], [scores], {"answer": np.array([[0, 1]], np.float32)})


def write_constant_detector(directory: Path) -> None:
    """Write ``inference.onnx`` with RT-DETR's inputs and outputs, and never a box.

    Inputs im_shape [n, 2], image [n, 3, 32, 32], scale_factor [n, 2]; outputs boxes [n, 6] and
    boxes_num [n], always 1. The one row per picture has class -1, which PaddleX drops: not every
    ONNX Runtime provider takes a tensor of length 0. Nor an input that nothing reads (OpenVINO's
    then feeds the inputs in the wrong order), so n is read from all three.
    """
    from onnx import TensorProto, helper

    def value(name: str, element: int, shape: list[str | int]) -> Any:
        return helper.make_tensor_value_info(name, element, shape)

    inputs = [
        value("im_shape", TensorProto.FLOAT, ["n", 2]),
        value("image", TensorProto.FLOAT, ["n", 3, SIDE, SIDE]),
        value("scale_factor", TensorProto.FLOAT, ["n", 2]),
    ]
    outputs = [
        value("boxes", TensorProto.FLOAT, ["n", 6]),
        value("boxes_num", TensorProto.INT32, ["n"]),
    ]
    constants = {
        "no_box": np.array([[-1, 0, 0, 0, 0, 0]], np.float32),
        "one": np.array([[1]], np.int32),
        "flat": np.array([-1]),
    }
    nodes = [
        *_repeat(["im_shape", "image", "scale_factor"], "no_box", "boxes"),
        *_repeat(["image"], "one", "counts"),
        helper.make_node("Reshape", ["counts", "flat"], ["boxes_num"]),
    ]
    _save(directory, nodes, inputs, outputs, constants)


def _repeat(inputs: list[str], row: str, output: str) -> list[Any]:
    """Nodes that repeat the constant ``row`` [1, k] once per picture → ``output`` [n, k]."""
    from onnx import helper

    nodes = []
    for name in inputs:
        shape, length = f"{output}/shape/{name}", f"{output}/n/{name}"
        nodes.append(helper.make_node("Shape", [name], [shape]))
        nodes.append(helper.make_node("Gather", [shape, "first"], [length], axis=0))
    lengths = [f"{output}/n/{name}" for name in inputs]
    return [
        *nodes,
        helper.make_node("Max", lengths, [f"{output}/n"]),
        helper.make_node("Concat", [f"{output}/n", "unit"], [f"{output}/target"], axis=0),
        helper.make_node("Expand", [row, f"{output}/target"], [output]),
    ]


def _save(
    directory: Path,
    nodes: list[Any],
    inputs: list[Any],
    outputs: list[Any],
    constants: dict[str, np.ndarray[Any, Any]],
) -> None:
    import onnx
    from onnx import helper, numpy_helper

    constants = {**constants, "first": np.array([0]), "unit": np.array([1])}
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(
        nodes, "constant", inputs, outputs, initializer=tensors, doc_string=_NOTICE
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="ocr-serve",
        doc_string=_NOTICE,
    )
    onnx.checker.check_model(model)
    onnx.save(model, directory / "inference.onnx")
