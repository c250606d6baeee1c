"""`configs/prod.yaml` on one machine without a GPU, and what its driver would tell of the GPUs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from serve_app.devices import process_memory
from tests.e2e.server import ROOT, Server, app_args
from tests.integration.nvml_stub.builder import StubGpu, StubProcess, write_state
from tests.spec.scene import GIB, GPU_TOTAL

PRODUCTION = ROOT / "configs" / "prod.yaml"
# Longer than a load of the one model, in which nobody asks for the other.
IDLE_TIMEOUT_S = 15.0
GPUS = ("GPU-a", "GPU-b")
REPLICAS = 2
REPORT_S = 0.2


def shipped_production() -> dict[str, Any]:
    """The file as it is."""
    config: dict[str, Any] = yaml.safe_load(PRODUCTION.read_text(encoding="utf-8"))
    return config


def production_config() -> dict[str, Any]:
    """The same, changed only in what cannot run here.

    Engines compute on the CPU with the bundled weights, Ray books little of two cores and their
    RAM, models grow idle soon, and nothing but this machine is listened to.
    """
    config = shipped_production()
    config["http_options"]["host"] = "127.0.0.1"
    args = app_args(config)
    args["auth"] = {"required": False}
    for model in args["models"].values():
        model["weights"] = {"source": "bundled"}
        model["engine"] = {**model.get("engine", {}), "device": "cpu"}
        model["idle_timeout_s"] = IDLE_TIMEOUT_S
    for pool in args["pools"].values():
        # The budget of a CPU pool, so one engine of each model; on a GPU only a booking.
        # Both shares of a GPU from the start: how pools grow is test_autoscaling.py's.
        del pool["autoscaling"]
        pool |= {
            "num_replicas": REPLICAS,
            "num_cpus": 0.1,
            "memory_bytes": GIB if pool["device"] == "gpu" else 3 * GIB,
        }
    args["gateway"]["num_cpus"] = 0.1
    return config


@dataclass
class Driver:
    """Keeps the stub NVML library's file true to the engines that run, as a GPU's driver would.

    Attributes:
        folder: of the stub library.
        foreign: processes of others by GPU.
    """

    folder: Path
    foreign: dict[str, StubProcess] = field(default_factory=dict)

    @contextlib.contextmanager
    def watching(self, server: Server) -> Iterator[None]:
        """For the length of the block."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(REPORT_S):
                self.tell(server.engine_processes())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def tell(self, engines: list[psutil.Process] | None = None) -> None:
        """Write the file. An engine holds on the GPU that it sees what it really holds in RAM."""
        here: dict[str, list[StubProcess]] = {name: [] for name in GPUS}
        for gpu, process in list(self.foreign.items()):
            here[gpu].append(process)
        for engine in engines or ():
            visible, held = visible_gpus(engine), process_memory.read(engine.pid)
            if visible and held:
                here[GPUS[int(visible)]].append(StubProcess(engine.pid, held.resident_bytes))
        write_state(self.folder, [StubGpu(name, GPU_TOTAL, tuple(here[name])) for name in GPUS])


def visible_gpus(engine: psutil.Process) -> str | None:
    """What the process was started with; None if it has ended, or was not told."""
    try:
        return engine.environ().get("CUDA_VISIBLE_DEVICES")
    except psutil.Error:
        return None
