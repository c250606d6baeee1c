"""A client that openapi-python-client 0.29.1 generates from our description: its calls give typed
objects."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.client_environment import python_with, run_script
from tests.served import Served, served

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.long]

SCRIPT = r"""
import io, json, sys
url, file, folder = sys.argv[1:]
sys.path.insert(0, folder)
from generated import Client
from generated.api.documents import parse
from generated.api.jobs import cancel_job, get_job, list_jobs, submit_job
from generated.models import ErrorAnswer, JobAnswer, JobsAnswer, ParsedDocument, ParseFormat
from generated.types import File

client = Client(base_url=url)
data = open(file, "rb").read()
body = File(payload=io.BytesIO(data), file_name="a.pdf", mime_type="application/pdf")
seen = {}
document = parse.sync(client=client, body=body, format_=ParseFormat.JSON)
assert isinstance(document, ParsedDocument), document
seen["pages"] = [page.markdown for page in document.pages]
seen["box"] = document.pages[0].lines[0].box
body = File(payload=io.BytesIO(data), file_name="a.pdf", mime_type="application/pdf")
job = submit_job.sync(client=client, body=body)
assert isinstance(job, JobAnswer), job
done = get_job.sync(job.id, client=client, wait=20.0)
assert isinstance(done, JobAnswer)
seen["job"] = [str(done.state), done.pages.total, done.pages.done]
jobs = list_jobs.sync(client=client)
assert isinstance(jobs, JobsAnswer)
seen["jobs"] = [one.id == job.id for one in jobs.jobs]
lost = get_job.sync("unknown", client=client)
assert isinstance(lost, ErrorAnswer)
seen["error"] = lost.error.code
assert isinstance(cancel_job.sync(job.id, client=client), JobAnswer)
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("generated")) as running:
        yield running


def test_parse_and_jobs_give_typed_objects(server: Served, tmp_path: Path) -> None:
    python = python_with("openapi-python-client==0.29.1")
    description = tmp_path / "openapi.json"
    description.write_bytes(httpx.get(f"{server.url}/openapi.json").content)
    generated = subprocess.run(
        [
            python.with_name("openapi-python-client"),
            "generate",
            "--meta=none",
            f"--path={description}",
            f"--output-path={tmp_path / 'generated'}",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={"PATH": f"{python.parent}:/usr/bin:/bin"},
    )
    told = generated.stdout + generated.stderr
    assert generated.returncode == 0, told[-4000:]
    assert "WARNING" not in told, told[-4000:]
    seen: Any = json.loads(run_script(python, SCRIPT, server.url, server.file(2), str(tmp_path)))
    assert seen["pages"][1].startswith("# Page 2")
    assert len(seen["box"]) == 4
    assert seen["job"] == ["done", 2, 2]
    assert seen["jobs"] == [True]
    assert seen["error"] == "job_not_found"
