"""A head and a worker as podman containers, started as KubeRay starts the pods of an overlay.

They share one network namespace that has nothing but its loopback: nodes differ in their addresses
(127.0.0.x) and ports, and nothing leaves it. Variables, sizes, start parameters and Serve's
configuration are those of the manifests.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.image_test import IMAGE, Tools
from tests.deploy.manifests import built, pod_specs, quantity, ray_service

CLIENT = Path(__file__).parents[1] / "image_client.py"
PYTHON = "/opt/ocr-serve/.venv/bin/python"
HEAD = "127.0.0.2"
GCS_PORT, DASHBOARD_PORT = 6379, 8265
START_S, STOP_S, ASK_S = 120, 60, 60
# Run in a container, where the token is: method, address, body as JSON.
ASK = f"""
import os, sys, urllib.request
method, url, body = sys.argv[1:]
headers = {{
    "Content-Type": "application/json",
    "Authorization": "Bearer " + os.environ["RAY_AUTH_TOKEN"],
}}
request = urllib.request.Request(url, body.encode() or None, headers, method=method)
urllib.request.urlopen(request, timeout={ASK_S}).read()
"""
# Only here: in one network namespace the proxies of all nodes share the port that each pod has.
SHARED_PORT = {"SERVE_SOCKET_REUSE_PORT_ENABLED": "1"}


@dataclass(frozen=True)
class Node:
    """One pod. ``number`` tells its address and its ports from the others'."""

    name: str
    number: int
    group: str
    cpus: int

    @property
    def address(self) -> str:
        return f"127.0.0.{self.number + 2}"

    def ports(self) -> list[str]:
        """Those that every pod has for itself, and here must not meet."""
        first = 20000 + 1000 * self.number
        return [
            f"--node-manager-port={first}",
            f"--object-manager-port={first + 1}",
            f"--dashboard-agent-grpc-port={first + 2}",
            f"--dashboard-agent-listen-port={first + 3}",
            f"--runtime-env-agent-port={first + 4}",
            f"--metrics-export-port={first + 5}",
            f"--min-worker-port={first + 100}",
            f"--max-worker-port={first + 999}",
        ]


class Cluster:
    """The containers of an overlay."""

    def __init__(self, tools: Tools, overlay: str, nodes: Sequence[Node]) -> None:
        documents = built(overlay)
        self._tools = tools
        self._nodes = nodes
        self._service = ray_service(documents)
        self._variables = _variables(documents) | SHARED_PORT
        self._variables["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        self._prefix = f"ocr-serve-cluster-{os.getpid()}"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """All nodes, head first; the containers and their volumes are gone at the end."""
        try:
            self._podman(
                *("run", "--detach", f"--name={self._named('network')}", "--network=none"),
                *("--hostname=ocr", "--add-host=ocr:127.0.0.1", "--entrypoint=sleep"),
                *(IMAGE, "infinity"),
            )
            # What the Job of the manifests does, from the image's own weights.
            self._podman(
                *("run", "--rm", "--network=none", "--user=0", "--entrypoint=cp"),
                *(f"--volume={self._named('weights')}:/cache", IMAGE),
                *("-r", "/opt/weights", "/cache/ocr-serve"),
            )
            for node in self._nodes:
                self.start(node)
                if node.group == "head":
                    self._wait_for_dashboard(node)
            yield
        finally:
            self._remove()

    def start(self, node: Node) -> None:
        """Its container, with the pod's user, limits and mounts."""
        spec = pod_specs(self._service)[node.group]
        container = spec["containers"][0]
        limit = int(quantity(container["resources"]["limits"]["memory"]))
        variables = self._variables | {one["name"]: one["value"] for one in container["env"]}
        self._podman(
            *("run", "--detach", f"--name={self._named(node.name)}"),
            *(f"--network=container:{self._named('network')}", "--ulimit=host"),
            *("--read-only", "--read-only-tmpfs=false", "--user=1000", "--cap-drop=all"),
            *("--tmpfs=/tmp:rw,size=2g,mode=1777", "--volume=/home/ocr", "--shm-size=1200m"),
            *(f"--memory={limit}", f"--memory-swap={limit}"),
            *(f"--volume={self._named('weights')}:/cache:ro", f"--volume={CLIENT}:/client.py:ro"),
            *(f"--env={name}={value}" for name, value in variables.items()),
            *(IMAGE, "ray", "start", "--block", f"--node-ip-address={node.address}"),
            *node.ports(),
            *self._start_params(node, limit),
        )

    def deploy(self) -> None:
        """Serve's configuration, to the dashboard, as KubeRay's operator does."""
        config = yaml.safe_load(self._service["spec"]["serveConfigV2"])
        told = self._dashboard(self._nodes[0], "PUT", "serve/applications/", json.dumps(config))
        told.check_returncode()

    def inside(self, node: Node, *arguments: str, timeout_s: float) -> str:
        """What Python prints in the node's container. CalledProcessError if it fails."""
        command = ("exec", self._named(node.name), PYTHON, *arguments)
        return self._podman(*command, timeout_s=timeout_s)

    def logs(self, node: Node) -> str:
        return self._podman("logs", "--tail=30", self._named(node.name))

    def _start_params(self, node: Node, limit: int) -> list[str]:
        cluster = self._service["spec"]["rayClusterConfig"]
        groups = {one["groupName"]: one for one in cluster["workerGroupSpecs"]}
        group = cluster["headGroupSpec"] if node.group == "head" else groups[node.group]
        # KubeRay says the pod's limits where the manifest says nothing.
        given = {"memory": str(limit), "num-cpus": str(node.cpus)} | group["rayStartParams"]
        if node.group == "head":
            given |= {"port": str(GCS_PORT), "dashboard-host": HEAD}
            return ["--head", *(f"--{name}={value}" for name, value in given.items())]
        given["address"] = f"{HEAD}:{GCS_PORT}"
        return [f"--{name}={value}" for name, value in given.items()]

    def _wait_for_dashboard(self, node: Node) -> None:
        deadline = time.monotonic() + START_S
        while self._dashboard(node, "GET", "version").returncode:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no dashboard within {START_S} s: {self.logs(node)}")
            time.sleep(1)

    def _dashboard(
        self, node: Node, method: str, path: str, body: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Ask it from within a node, with Ray's token."""
        url = f"http://{HEAD}:{DASHBOARD_PORT}/api/{path}"
        command = ("exec", self._named(node.name), PYTHON, "-c", ASK, method, url, body)
        return self._tools.run("podman", *command, check=False, timeout_s=ASK_S + 30)

    def _remove(self) -> None:
        names = [self._named(node.name) for node in reversed(self._nodes)]
        for name in (*names, self._named("network")):
            self._tools.run(
                *("podman", "rm", "--force", "--volumes", "--ignore", "--time=5", name),
                check=False,
                timeout_s=STOP_S,
            )
        volume = ("volume", "rm", "--force", self._named("weights"))
        self._tools.run("podman", *volume, check=False, timeout_s=STOP_S)

    def _podman(self, *arguments: str, timeout_s: float = START_S) -> str:
        return self._tools.run("podman", *arguments, timeout_s=timeout_s).stdout

    def _named(self, name: str) -> str:
        return f"{self._prefix}-{name}"


def _variables(documents: tuple[dict[str, Any], ...]) -> dict[str, str]:
    """Of the ConfigMap that all pods have."""
    (found,) = [
        document["data"]
        for document in documents
        if document["kind"] == "ConfigMap"
        and document["metadata"]["name"].startswith("ocr-serve-ray-env")
    ]
    return dict(found)
