"""Memory of a real GPU, for tests: taken through CUDA's driver, without any framework.

``python -m serve_app.testing.cuda BYTES`` is another tenant of the GPU: it takes that much, says
so, and holds it until its standard input ends.
"""

from __future__ import annotations

import ctypes
import sys


class CudaError(Exception):
    """A call of the driver failed. Args: the call, CUDA's number of the error."""


def take(count: int) -> None:
    """Take ``count`` bytes of the first visible GPU, until this process ends.

    Raises:
        OSError: there is no driver.
        CudaError: the driver refused (2: out of memory).
    """
    cuda = ctypes.CDLL("libcuda.so.1")
    device, context, memory = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
    _check("cuInit", cuda.cuInit(0))
    _check("cuDeviceGet", cuda.cuDeviceGet(ctypes.byref(device), 0))
    # The primary context is one per process, however often it is asked for.
    retained = cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
    _check("cuDevicePrimaryCtxRetain", retained)
    _check("cuCtxSetCurrent", cuda.cuCtxSetCurrent(context))
    taken = cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(count))
    _check("cuMemAlloc", taken)


def _check(call: str, error: int) -> None:
    if error:
        raise CudaError(call, error)


if __name__ == "__main__":
    take(int(sys.argv[1]))
    print("taken", flush=True)
    sys.stdin.read()
