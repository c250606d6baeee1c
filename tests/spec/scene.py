"""What the scenarios set up and look at: simulated devices, configuration, operator's API."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serve_app.testing.devices import write_simulated_devices
from tests.e2e.server import app_args, shipped_config

GIB = 2**30
GPU_TOTAL = 16 * GIB
RAM_TOTAL = 64 * GIB
IDLE_TIMEOUT_S = 6.0
QUEUE_TIMEOUT_S, SHORT_QUEUE_TIMEOUT_S = 8.0, 5.0
# A model that two pages may use at once.
PAIR = "pair"


@dataclass(frozen=True)
class Devices:
    """The simulated memory: GPU of the pool `main`, RAM of the pool `spare`."""

    file: Path

    def set(
        self,
        *,
        gpu: float = 0.1,
        ram: float = 0.1,
        gpu_total: int = GPU_TOTAL,
        ram_total: int = RAM_TOTAL,
    ) -> None:
        """Used by others, as fractions of the whole; on the GPU, ours comes on top."""
        gpus = [
            {"uuid": name, "total_bytes": gpu_total, "others_bytes": int(gpu * gpu_total)}
            for name in ("GPU-a", "GPU-b")
        ]
        used = {"total_bytes": ram_total, "used_bytes": int(ram * ram_total)}
        write_simulated_devices(self.file, ram=used, gpus=gpus)


def spec_config() -> dict[str, Any]:
    """The shipped configuration with short times and the two pools."""
    config = shipped_config()
    args = app_args(config)
    cpu = args["pools"].pop("cpu")
    gpu = {**copy.deepcopy(cpu), "device": "gpu", "num_gpus": 0.5}
    args["pools"] = {"main": gpu, "spare": cpu}
    for pool in args["pools"].values():
        pool["queue_timeout_s"] = QUEUE_TIMEOUT_S
    args["models"][PAIR] = copy.deepcopy(args["models"]["ocr"])
    for model in args["models"].values():
        model.setdefault("engine", {})["device"] = "cpu"
        model["idle_timeout_s"] = IDLE_TIMEOUT_S
    args["models"]["ocr"]["max_concurrent_predictions"] = 1
    args["models"]["structure"] |= {"max_concurrent_predictions": 2, "grow_after_s": 0.1}
    args["pressure"] = {"sample_interval_s": 0.1}
    return config


def one_pool_config() -> dict[str, Any]:
    """The shipped configuration, where no other pool can take a page; its own sampling interval."""
    config = shipped_config()
    args = app_args(config)
    pool = args["pools"].pop("cpu")
    args["pools"] = {"main": {**pool, "queue_timeout_s": SHORT_QUEUE_TIMEOUT_S}}
    args["models"][PAIR] = args["models"].pop("ocr")
    args["paddlex"]["ocr_model"] = PAIR
    return config
