"""``ocr-serve mcp`` by the official SDK (mcp 2.3.0), over stdio."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.command import cli
from tests.client_environment import python_with
from tests.e2e.mcp import Client
from tests.served import Served, served

# Long: an environment with the SDK of a client is made first.
pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.long]

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "import sys; from serve_app.client.mcp import run; run(sys.argv[1], None)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("mcp")) as running:
        yield running


def test_documents_and_jobs(server: Served) -> None:
    python = python_with("mcp==2.3.0", "httpx>=0.27")
    process = subprocess.Popen(
        [str(python), "-c", COMMAND, server.url],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        client = Client(process)
        assert client.tools() == [
            "parse_document",
            "submit_document",
            "job_status",
            "job_result",
        ]
        file = server.file(2)
        assert client.call("parse_document", file=file, format="text").startswith("Page 1")
        job = json.loads(client.call("submit_document", file=file))
        done = json.loads(client.call("job_status", job_id=job["job_id"]))
        assert (done["state"], done["pages_done"]) == ("done", 2)
        assert client.call("job_result", job_id=job["job_id"]).startswith("# Page 1")
    finally:
        process.kill()
        process.wait()


def test_without_the_sdk_the_command_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    monkeypatch.delitem(sys.modules, "serve_app.client.mcp", raising=False)
    assert cli.main(["mcp"]) == 2
    assert "ocr-serve[mcp]" in capsys.readouterr().err
