"""Twenty kills at random moments: no job is lost, none is done twice, none is stuck.

With the embedded store one server is killed and started again; with Redis there are two gateways,
of which one is killed at a time.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import documents
from tests.e2e.server import free_port
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.long]

SEED = int(os.environ.get("OCR_SERVE_SOAK_SEED", "1"))
KILLS = 20
JOBS, PAGES = 12, 25
# Of a gateway that is killed: jobs that it drives at once.
RUNNING = 2


class Gateway:
    """One server, which can be killed and started again."""

    def __init__(self, folder: Path, notes: Path, records_url: str | None) -> None:
        self._arguments = [str(folder), str(notes), *([records_url] if records_url else [])]
        self.port = free_port()
        self.process = self._start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.faults.jobs_server", str(self.port)]
        process = subprocess.Popen([*command, *self._arguments])
        eventually(lambda: self._answers(process), 60, "the server answers")
        return process

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None
        try:
            return httpx.get(f"{self.url}/livez").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def killed_and_started(self) -> None:
        self.kill()
        self.process = self._start()


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    command = shutil.which("redis-server")
    if command is None:
        pytest.skip("redis-server is not installed")
    port = free_port()
    arguments = ["--port", str(port), "--dir", str(folder), "--save", "", "--bind", "127.0.0.1"]
    process = subprocess.Popen([command, *arguments], stdout=subprocess.DEVNULL)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(30)


def soak(folder: Path, gateways: list[Gateway], notes: Path) -> None:
    chance = random.Random(SEED)
    ids = []
    with httpx.Client(timeout=30) as client:
        for number in range(JOBS):
            data = documents.tiff([(32 + number, 48)] * PAGES)
            answer = client.post(f"{gateways[0].url}/v1/jobs", content=data)
            ids.append(answer.json()["id"])
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.3, 3.0))
            chance.choice(gateways).killed_and_started()

        def states() -> list[dict[str, Any]]:
            return [client.get(f"{gateways[0].url}/v1/jobs/{one}").json() for one in ids]

        def ended() -> bool:
            return all(job["state"] not in ("queued", "running") for job in states())

        eventually(ended, 300, "all jobs have ended")
        for job in states():
            assert job["state"] == "done", job
            assert job["pages"] == {"total": PAGES, "done": PAGES, "failed": 0}
        for one in ids:
            text = client.get(f"{gateways[0].url}/v1/jobs/{one}/result?format=text").text
            assert text.count("Hello 42") == PAGES
    predicted = Counter(notes.read_text().splitlines())
    assert len(predicted) == JOBS * PAGES
    again = sum(predicted.values()) - len(predicted)
    assert again <= KILLS * RUNNING, f"{again} pages were predicted more than once"


def test_the_embedded_store(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    gateway = Gateway(tmp_path / "jobs", notes, None)
    try:
        soak(tmp_path, [gateway], notes)
    finally:
        gateway.kill()


def test_redis_and_two_gateways(tmp_path: Path) -> None:
    pytest.importorskip("redis", reason="the extra `redis` is not installed")
    notes = tmp_path / "notes"
    with redis_server(tmp_path) as url:
        gateways = [Gateway(tmp_path / "jobs", notes, url) for _ in range(2)]
        try:
            soak(tmp_path, gateways, notes)
        finally:
            for gateway in gateways:
                gateway.kill()
