"""Every metric of the dashboard and the alerts is exported with the labels used.

A real server with fake engines, which are made to do everything that there is to count.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from serve_app.devices.scripted import SIMULATED_DEVICES
from serve_app.telemetry import metrics
from serve_app.testing.devices import write_simulated_devices
from tests.deploy.manifests import ROOT
from tests.e2e.server import Server, app_args, checkout_importable, running
from tests.e2e.waiting import eventually
from tests.faults.scene import MIB, fault_config, page, pages

pytestmark = [pytest.mark.integration, pytest.mark.slow]

MONITORING = ROOT / "k8s" / "monitoring"
REQUESTS = 1000
RAM_BYTES = 64 * 2**30
SUFFIX = re.compile(r"_(bucket|sum|count)$")
SERIES = re.compile(r"^(ray_ocr_\w+)\{(.*)\} ")
# Of a process or a node, from Ray; a restart brings new ones.
RAYS_LABELS = {"Component", "NodeAddress", "SessionName", "Version", "WorkerId", "JobId", "NodeId"}


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("devices") / "devices.json"


@pytest.fixture(scope="module")
def server(devices: Path) -> Iterator[Server]:
    use_ram(devices, 0.2)
    config = fault_config(recycle={"max_pages": 100})
    args = app_args(config)
    pool = args["pools"]["cpu"] | {"max_queued_pages": 64}
    # Its worker wants a GPU that only Ray has been told of, so its pages go to the other pool.
    never = {k: v for k, v in pool.items() if k != "num_replicas"}
    never |= {"device": "gpu", "num_gpus": 0.5, "num_cpus": 0}
    never |= {"autoscaling": {"max_replicas": 1, "start_wait_s": 0.5}}
    args["pools"] = {"never": never, "cpu": pool}
    args["models"]["broken"] = {"pipeline": "OCR", "load_timeout_s": 0.001}
    environment = {**checkout_importable(), SIMULATED_DEVICES: str(devices)}
    environment["RAY_OVERRIDE_RESOURCES"] = '{"GPU": 1}'
    with running(config, environment) as server:
        yield server


def use_ram(devices: Path, fraction: float) -> None:
    ram = {"total_bytes": RAM_BYTES, "used_bytes": int(fraction * RAM_BYTES)}
    write_simulated_devices(devices, ram=ram)


class Exported:
    """The metrics endpoint of the node."""

    def __init__(self, server: Server) -> None:
        (port,) = server.session_files("metrics_export_port_*")
        self._url = f"http://127.0.0.1:{int(port.read_text())}/metrics"

    def series(self) -> dict[str, set[frozenset[tuple[str, str]]]]:
        """Name (without the suffixes of histograms) → our labels of each series."""
        text = httpx.get(self._url, timeout=30, trust_env=False).text
        found: dict[str, set[frozenset[tuple[str, str]]]] = {}
        for line in text.splitlines():
            if match := SERIES.match(line):
                name = SUFFIX.sub("", match[1])
                labels = re.findall(r'(\w+)="([^"]*)"', match[2])
                own = frozenset(pair for pair in labels if pair[0] not in RAYS_LABELS)
                found.setdefault(name, set()).add(own)
        return found


@pytest.fixture(scope="module")
def exported(server: Server, devices: Path) -> Exported:
    """After traffic in which everything happened that is counted."""
    big = 256 * MIB
    for data in (page(), page(fail="no"), page(crash=9), page(eat_bytes=big), b"no picture"):
        server.parse(data)
    assert server.parse(page(), model="broken").status_code >= 500
    assert server.parse(page(), model="ocr").status_code == 200
    assert server.http.post("/v1/models/ocr/unload", params={"timeout_s": "20"}).status_code == 200
    job = server.http.post("/v1/jobs", content=page()).json()["id"]
    done = server.http.get(f"/v1/jobs/{job}", params={"wait": "20"}).json()
    assert done["state"] == "done", done
    use_ram(devices, 0.85)
    eventually(lambda: server.events("memory level crossed", after="warning"), 20, "a crossing")
    use_ram(devices, 0.2)
    eventually(lambda: server.events("memory level crossed", after="normal"), 20, "and back")
    with ThreadPoolExecutor(4) as clients:  # enough for an engine to be replaced
        list(clients.map(lambda _: server.parse(pages(10)), range(30)))
    return Exported(server)


def used_in_monitoring() -> dict[str, set[str]]:
    """Metric → the labels by which it is selected, grouped or shown."""
    dashboard = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
    alerts = yaml.safe_load((MONITORING / "alerts.yaml").read_text(encoding="utf-8"))
    expressions = [
        target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())
    ]
    expressions += [rule["expr"] for group in alerts["spec"]["groups"] for rule in group["rules"]]
    found: dict[str, set[str]] = {}
    for expression in expressions:
        grouped = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", expression))))
        for name, selector in re.findall(r"(ray_ocr_\w+)(\{[^}]*\})?", expression):
            selected = set(re.findall(r"(\w+)(?:=~|!=|!~|=)\"", selector))
            found.setdefault(SUFFIX.sub("", name), set()).update(selected | grouped - {"le"})
    return found


def test_everything_that_is_shown_or_alerted_on_is_exported(exported: Exported) -> None:
    shown = set(used_in_monitoring())
    with contextlib.suppress(AssertionError):  # the next line says which are missing
        eventually(lambda: shown <= set(exported.series()), 40, "every metric is there")
    series = exported.series()
    assert shown - set(series) == set()
    for name, labels in used_in_monitoring().items():
        there = {label for one in series[name] for label, _ in one}
        assert labels <= there, name


def test_every_metric_is_in_the_dashboard(exported: Exported) -> None:
    """And the endpoint has no other of ours than those of telemetry/metrics.py."""
    declared = {f"ray_{name}" for name in metrics.declared()}
    assert declared == set(used_in_monitoring())
    assert set(exported.series()) <= declared


def test_more_requests_make_no_more_series(server: Server, exported: Exported) -> None:
    """GIVEN the second half of 1,000 requests: the series are those of the first half."""

    def send(count: int) -> set[int]:
        with ThreadPoolExecutor(8) as clients:
            answers = clients.map(lambda _: server.parse(page()), range(count))
            return {answer.status_code for answer in answers}

    assert send(REQUESTS // 2) == {200}
    before = eventually(lambda: _settled(exported), 30, "the endpoint has settled")
    assert send(REQUESTS // 2) == {200}
    after = eventually(lambda: _settled(exported), 30, "the endpoint has settled")
    assert after == before


def _settled(exported: Exported) -> dict[str, Any] | None:
    first = exported.series()
    return first if first == exported.series() else None
