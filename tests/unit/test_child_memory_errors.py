"""Which errors of a pipeline mean that memory ran out: other engines are given up for those."""

from __future__ import annotations

import pytest

from serve_app.child.host import describe, is_out_of_memory

# As ONNX Runtime, CUDA's libraries and Paddle say it.
TOLD = [
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv "
    "node. Name:'Conv.3' Status Message: Failed to allocate memory for requested buffer of size 9",
    "[ONNXRuntimeError] : 1 : FAIL : Available memory of 1024 is smaller than requested bytes of 9",
    "CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc((void**)&p, size);",
    "CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED ; GPU=0",
    "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0",
    "ResourceExhaustedError: Out of memory error on GPU 0.",
    "std::bad_alloc",
]


@pytest.mark.parametrize("message", TOLD)
def test_memory_that_ran_out_is_known_by_what_is_said(message: str) -> None:
    error = RuntimeError(message)
    assert is_out_of_memory(error)
    assert describe(error)["kind"] == "memory"


def test_pythons_own_needs_no_words() -> None:
    assert is_out_of_memory(MemoryError())


@pytest.mark.parametrize(
    "message",
    [
        "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got invalid dimensions for input: x",
        "CUDNN failure 3: CUDNN_STATUS_BAD_PARAM ; GPU=0",
    ],
)
def test_another_error_is_one_of_the_page(message: str) -> None:
    assert not is_out_of_memory(RuntimeError(message))
    assert describe(RuntimeError(message))["kind"] == "exception"
