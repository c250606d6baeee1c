"""A Ray head on this machine whose autoscaler adds and removes nodes (fake_multinode).

Everything that is started inherits one variable, by which it is found and ended: nothing is ended
by name, and no other cluster of the machine is touched.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.e2e.server import free_port, tagged
from tests.e2e.waiting import eventually
from tests.processes import command_of

CLUSTER_TAG = "PYTHON_OCR_SERVE_TEST_CLUSTER"  # so that children inherit it
IDLE_MINUTES = 0.15
START_TIMEOUT_S = 60


@dataclass(frozen=True)
class FakeCluster:
    """A running head. ``environment`` makes a server join it."""

    environment: Mapping[str, str]
    tag: str

    def commands(self) -> list[str]:
        """The command lines of its processes, those of all its nodes."""
        return [" ".join(command_of(process)) for process in tagged(CLUSTER_TAG, self.tag)]

    @property
    def nodes(self) -> int:
        """How many there are, the head among them: each has one raylet."""
        return sum("raylet/raylet" in command for command in self.commands())


def autoscaler_config(address: str, worker: Mapping[str, float]) -> dict[str, Any]:
    """A head without replicas' resources to spare, and at most one node of the one worker type."""
    return {
        "cluster_name": "fake",
        "max_workers": 1,
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": IDLE_MINUTES,
        "provider": {
            "type": "fake_multinode",
            "use_node_id_as_ip": True,
            "gcs_address": address,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "foreground_node_launch": True,
            "worker_liveness_check": False,
        },
        "available_node_types": {
            "ray.head.default": {"resources": {}, "node_config": {}, "max_workers": 0},
            "ray.worker.gpu": {
                "resources": dict(worker),
                "node_config": {},
                "min_workers": 0,
                "max_workers": 1,
            },
        },
        "head_node_type": "ray.head.default",
        "auth": {},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        "cluster_synced_files": [],
        "rsync_exclude": [],
        "rsync_filter": [],
        "initialization_commands": [],
        "setup_commands": [],
        "head_setup_commands": [],
        "worker_setup_commands": [],
        "head_start_ray_commands": [],
        "worker_start_ray_commands": [],
    }


@contextlib.contextmanager
def fake_cluster(
    folder: Path, worker: Mapping[str, float], environment: Mapping[str, str]
) -> Iterator[FakeCluster]:
    """A head with 2 CPUs, for the length of the block."""
    port = free_port()
    address, tag = f"127.0.0.1:{port}", uuid.uuid4().hex
    config = folder / "autoscaler.yaml"
    config.write_text(yaml.safe_dump(autoscaler_config(address, worker)), encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="ocr-ray-", dir="/tmp") as session:
        common = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "PYTEST_"))},
            **environment,
            "RAY_AUTH_MODE": "disabled",
            "RAY_TMPDIR": session,
            "SPT_NOENV": "1",
            CLUSTER_TAG: tag,
        }
        head = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("ray")),
                "start",
                "--head",
                "--block",
                f"--autoscaling-config={config}",
                f"--port={port}",
                "--node-ip-address=127.0.0.1",
                "--num-cpus=2",
                "--num-gpus=0",
                "--object-store-memory=200000000",
                "--include-dashboard=false",
                "--disable-usage-stats",
                "--dashboard-agent-listen-port=0",
            ],
            env={
                **common,
                "RAY_FAKE_CLUSTER": "1",
                "RAY_enable_autoscaler_v2": "0",
                "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            joining = {**environment, "RAY_AUTH_MODE": "disabled", "RAY_ADDRESS": address}
            eventually(lambda: _answers(port), START_TIMEOUT_S, "the head answers")
            yield FakeCluster(joining, tag)
        finally:
            # The fake nodes are its grandchildren, in sessions of their own.
            for process in tagged(CLUSTER_TAG, tag):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            head.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
