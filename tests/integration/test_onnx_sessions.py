"""What engines do to sessions, with the real ONNX Runtime: CUDA's part is played by its CPU."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from serve_app.engines.onnx_sessions import (
    CUDA,
    ShrinkingSession,
    assert_providers,
    load_cuda,
    weights_outside_arenas,
)
from serve_app.errors import EngineUnavailable

pytestmark = pytest.mark.integration

CPU = "CPUExecutionProvider"


@pytest.fixture(scope="module")
def graph() -> bytes:
    """y = max(x, 0), for rows of any length."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", "length"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "length"])
    made = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(made, opset_imports=opset, ir_version=8)
    data: bytes = model.SerializeToString()
    onnx.checker.check_model(data)
    return data


def session(graph: bytes, *providers: str) -> Any:
    return onnxruntime.InferenceSession(graph, providers=[*providers, CPU])


def feeds(length: int) -> dict[str, np.ndarray]:
    return {"x": np.full((1, length), -1, np.float32)}


def test_a_session_answers_as_before_and_its_arena_shrinks(graph: bytes) -> None:
    found = ShrinkingSession(session(graph), onnxruntime.RunOptions(), "cpu:0")
    assert [one.name for one in found.get_inputs()] == ["x"]
    for length in (2**20, 8):
        (answer,) = found.run(["y"], feeds(length))
        assert answer.shape == (1, length)
        assert not answer.any()
    found.shrink()


def test_the_runtime_knows_the_option_and_refuses_an_arena_that_is_not_there(graph: bytes) -> None:
    """So a name that it did not know would not go unseen."""
    found = ShrinkingSession(session(graph), onnxruntime.RunOptions(), "gpu:0")
    found.run(["y"], feeds(8))
    with pytest.raises(Exception, match=r"(?i)arena|device"):
        found.shrink()


def test_paddlexs_runner_passes_the_entry_on() -> None:
    from paddlex.inference.models.runners.onnxruntime_runner import ONNXRuntimeRunner

    runner = ONNXRuntimeRunner.__new__(ONNXRuntimeRunner)
    runner._ort, runner._config = onnxruntime, {"intra_op_num_threads": 1}
    name = "session.use_device_allocator_for_initializers"
    with weights_outside_arenas(ONNXRuntimeRunner):
        assert runner._build_session_options().get_session_config_entry(name) == "1"
    with pytest.raises(RuntimeError):
        runner._build_session_options().get_session_config_entry(name)


def test_a_session_that_asked_for_cuda_and_got_the_cpu_is_found(graph: bytes) -> None:
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.warns(UserWarning, match=CUDA):
        fell_back = session(graph, CUDA)
    runner = SimpleNamespace(
        _config={"providers": [CUDA, CPU]}, session=fell_back, model_dir=Path("/weights/det")
    )
    with pytest.raises(EngineUnavailable, match=f"det would compute on the CPU: {CUDA}"):
        assert_providers([runner], on_gpu=True)
    with pytest.raises(EngineUnavailable, match="has no CUDA"):
        load_cuda(onnxruntime)
