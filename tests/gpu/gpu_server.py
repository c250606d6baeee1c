"""A server whose pages are computed on the GPU: its command, and its configuration."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pynvml
import yaml

from tests.e2e.server import CHECKOUT, ROOT, app_args

SHARE, WORKERS, CRITICAL = 0.5, 2, 0.95
CONFIG = ROOT / "configs" / "gpu.yaml"
# The one that runs this, or what `make gpu` has made.
PYTHONS = (sys.executable, str(ROOT / ".venv-gpu" / "bin" / "python"))
HAS_CUDA = "import onnxruntime as o; assert 'CUDAExecutionProvider' in o.get_available_providers()"
ASK_TIMEOUT_S = 120


def program() -> tuple[str, ...] | None:
    """The server's command, in an environment that has CUDA; None if there is none."""
    for python in PYTHONS:
        if not Path(python).exists():
            continue
        command = [python, "-c", HAS_CUDA]
        if subprocess.run(command, capture_output=True, timeout=ASK_TIMEOUT_S).returncode == 0:
            return CHECKOUT if python == sys.executable else (python, "-m", "serve_app")
    return None


def config() -> dict[str, Any]:
    """Two workers on one card from the start, and no CPU pool that could answer for them."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    args = app_args(config)
    pool = args["pools"]["gpu"]
    del pool["autoscaling"]
    workers = {"num_replicas": WORKERS, "num_gpus": SHARE, "spill_pages": 2}
    args["pools"] = {"gpu": {**pool, **workers}}
    return config


def used_bytes(card: Any) -> int:
    """Of the card, by whomever; ``card``: NVML's handle."""
    memory = pynvml.nvmlDeviceGetMemoryInfo(card)
    return int(memory.total - memory.free)
