"""Which of ONNX Runtime's packages is installed: they are one module, and know other providers.

Asked of the packages' metadata, since a worker does not load what its engines compute with.
"""

from __future__ import annotations

import functools
from importlib import metadata

OPENVINO = "onnxruntime-openvino"


@functools.cache
def has_openvino() -> bool:
    """Whether OpenVINO can be used; not beside CUDA, for instance (extras ``cpu``, ``gpu``)."""
    try:
        metadata.distribution(OPENVINO)
    except metadata.PackageNotFoundError:
        return False
    return True
