"""A new version of the configuration under load: every replica is replaced, no request fails."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
import yaml

from tests.e2e.server import ROOT, Server, app_args
from tests.e2e.waiting import eventually
from tests.faults.scene import fault_config, pages, running_with_faults

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.long]

CLIENTS = 3
# Longer than Serve's own limit for the requests of a replica that is replaced, 20 s.
SLOW_PAGE_S = 25.0
DEPLOYMENTS = ("gateway", "pool-cpu", "model-registry")


def test_a_rolling_redeploy_under_load_fails_no_request(tmp_path: Path) -> None:
    """GIVEN clients with documents all the time: another idle time-out is deployed."""
    config = fault_config()
    app_args(config)["models"]["ocr"]["predict_timeout_s"] = 60
    with running_with_faults(config) as server, ThreadPoolExecutor() as clients:
        before = {name: server.replica_process(name).pid for name in DEPLOYMENTS}
        over = Event()
        assert server.parse(pages(1)).status_code == 200  # an engine is loaded
        slow = clients.submit(server.parse, pages(1, sleep_s=SLOW_PAGE_S), format="text")
        eventually(lambda: server.models()["ocr"]["references"], 10, "the slow page runs")
        engines = {str(engine) for engine in server.engines_of("ocr")}
        asked = [clients.submit(send_until, server, over) for _ in range(CLIENTS)]
        try:
            redeploy(server, changed(config, server), tmp_path)
        finally:
            over.set()
        statuses = [status for one in asked for status in one.result()]
        after = {name: server.replica_process(name).pid for name in DEPLOYMENTS}
        assert not set(before.values()) & set(after.values())
        answer = slow.result()
        assert answer.status_code == 200
        assert answer.text.split()[0] in engines  # not once more on another one
        assert len(statuses) > CLIENTS
        assert set(statuses) == {200}
        assert server.parse(pages(1)).status_code == 200


def changed(config: dict[str, object], server: Server) -> dict[str, object]:
    """The same on the server's own port, with one value different."""
    new = copy.deepcopy(config)
    new["http_options"]["port"] = int(server.url.rpartition(":")[2])  # type: ignore[index]
    app_args(new)["models"]["ocr"]["idle_timeout_s"] = 77
    return new


def redeploy(server: Server, config: dict[str, object], folder: Path) -> None:
    """Tell the controller, and wait until all of it runs."""
    file = folder / "new.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    (port,) = server.session_files("gcs_server_port_*")
    address = f"127.0.0.1:{port.read_text().strip()}"
    told = subprocess.run(
        [sys.executable, "-m", "tests.deploy.redeploy", address, str(file)],
        cwd=ROOT,
        env={**os.environ, "RAY_AUTH_MODE": "token"},  # the server's, in ~/.ray
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert told.returncode == 0, told.stderr[-3000:]


def send_until(server: Server, over: Event) -> list[int]:
    """The status of one document after the other."""
    found = []
    while not over.is_set():
        found.append(server.parse(pages(2, sleep_s=0.1)).status_code)
    return found
