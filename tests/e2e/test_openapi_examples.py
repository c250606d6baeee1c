"""Every example of our OpenAPI description is sent to the real server, and what it answers is what
the description shows: status, members and types, and the response's schema."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from serve_app.api.app import build_http_app
from serve_app.api.hello_example import HELLO_PNG
from serve_app.jobs.folder import stores
from serve_app.jobs.service import Jobs
from serve_app.settings import AppSettings
from serve_app.testing.service import FakeDocumentService, FakeOperatorService
from tests import documents
from tests.e2e.server import Server, app_args, shipped_config
from tests.e2e.waiting import eventually
from tests.openapi_examples import (
    Body,
    Operation,
    differences,
    operations,
    schema_errors,
    text_differs,
)

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PNG = base64.b64decode(HELLO_PNG)
BINARY, ANYTHING = "binary", "application/octet-stream"
# Which `format` an answer of this type is.
FORMATS = {
    "application/json": "json",
    "text/markdown": "markdown",
    "text/plain": "text",
    "text/html": "html",
    "text/vnd.hocr+html": "hocr",
    "application/xml": "alto",
}
# What lists and overviews are about.
NEEDS = {
    "models": ["job"],
    "listJobs": ["running_job"],
    "getPaddleBatch": ["paddle_job"],
    "listUploads": ["upload"],
    "listFiles": ["file"],
    "getMemory": ["job"],
    "getMemoryHistory": ["job"],
    "listTasks": ["job"],
}
# Examples that are not answered as they show, and why.
EXCEPTIONS = {
    ("submitPaddleJob", "application/json"): "its file is at a URL, and no test asks the internet",
}


def description() -> dict[str, Any]:
    """Of an application like the server's, without one: nothing behind it is asked."""
    settings = AppSettings.model_validate(app_args(shipped_config()))
    service = FakeDocumentService()
    jobs = Jobs(service, *stores(Path("/nonexistent")), settings)
    return build_http_app(service, settings, operator=FakeOperatorService(), jobs=jobs).openapi()


SPEC = description()
OPERATIONS = operations(SPEC)
CASES = [
    pytest.param(one, body, id=f"{one.name}-{body.media_type}")
    for one in OPERATIONS
    for body in one.bodies()
]


@dataclass
class Scene:
    """The server, and what was made there for examples that are about something."""

    http: httpx.Client
    made: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What ``make`` has made; the same for all."""
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    def job(self) -> str:
        """The id of a job that is done."""
        asked_for = {"visualize": "true", "model": "structure"}
        answer = self.http.post("/v1/jobs", params=asked_for, content=PNG)
        job_id = str(answer.json()["id"])
        assert self.http.get(f"/v1/jobs/{job_id}?wait=60").json()["state"] == "done"
        return job_id

    def running_job(self) -> str:
        """The id of one that has begun and goes on for a while."""
        data = documents.text_pdf(60)
        asked_for = {"model": "structure", "text_layer": "off"}
        job_id = str(self.http.post("/v1/jobs", params=asked_for, content=data).json()["id"])

        def has_pages() -> bool:
            return bool(self.http.get(f"/v1/jobs/{job_id}").json()["pages"]["done"])

        eventually(has_pages, 60, "the job has pages")
        return job_id

    def paddle_job(self) -> str:
        form = {"model": "PP-StructureV3", "batchId": "monday"}
        answer = self.http.post("/api/v2/ocr/jobs", data=form, files={"file": ("a.png", PNG)})
        return str(answer.json()["data"]["jobId"])

    def paddle_result(self) -> dict[str, str]:
        """The URLs of a result."""
        job_id = self.once("paddle_job", self.paddle_job)
        data = self.http.get(f"/api/v2/ocr/jobs/{job_id}").json()["data"]
        assert data["state"] == "done"
        return dict(data["resultUrl"])

    def paddle_picture(self) -> str:
        """The URL of a picture of a page."""
        form = {"model": "PaddleOCR-VL-1.6", "optionalPayload": '{"visualize": true}'}
        answer = self.http.post("/api/v2/ocr/jobs", data=form, files={"file": ("a.png", PNG)})
        job_id = answer.json()["data"]["jobId"]
        data = self.http.get(f"/api/v2/ocr/jobs/{job_id}").json()["data"]
        lines = self.http.get(data["resultUrl"]["jsonUrl"]).json()
        pictures = lines["result"]["layoutParsingResults"][0]["outputImages"]
        return str(next(iter(pictures.values())))

    def task(self) -> str:
        """Of docling."""
        answer = self.http.post("/v1/convert/file/async", files={"files": ("paper.pdf", PNG)})
        task_id = str(answer.json()["task_id"])
        assert (
            self.http.get(f"/v1/status/poll/{task_id}?wait=60").json()["task_status"] == "success"
        )
        return task_id

    def file(self) -> str:
        answer = self.http.post("/v1/files", files={"file": ("paper.pdf", PNG)})
        return str(answer.json()["id"])

    def upload(self) -> str:
        """Of which nothing has come yet."""
        answer = self.http.post("/v1/uploads", params={"bytes": len(PNG), "name": "book.pdf"})
        return str(answer.json()["id"])

    def whole_upload(self) -> str:
        upload_id = self.upload()
        assert self.http.put(f"/v1/uploads/{upload_id}", content=PNG).json()["complete"]
        return upload_id


@pytest.fixture(scope="module")
def scene(server: Server) -> Iterator[Scene]:
    made = Scene(server.http)
    yield made
    for job in server.http.get("/v1/jobs").json()["jobs"]:
        server.http.delete(f"/v1/jobs/{job['id']}")


def path_of(scene: Scene, operation: Operation) -> str:
    """The path, with the ids of things that are there."""
    path, deletes = operation.path, operation.method == "DELETE"
    if operation.name in ("paddleJobLines", "paddleJobMarkdown"):
        urls: dict[str, str] = scene.once("paddle_result", scene.paddle_result)
        return urls["jsonUrl" if operation.name == "paddleJobLines" else "markdownUrl"]
    if operation.name == "paddleJobImage":
        return scene.paddle_picture()
    if operation.name == "downloadSignedFile":
        file_id = scene.once("file", scene.file)
        signed = urlsplit(scene.http.get(f"/v1/files/{file_id}/url").json()["url"])
        return f"{signed.path}?{signed.query}"
    ids: dict[str, Callable[[], str]] = {
        "/v1/jobs/{job_id}": scene.running_job
        if deletes or operation.name == "getJob"
        else scene.job,
        "/api/v2/ocr/jobs/{job_id}": scene.paddle_job,
        "{task_id}": scene.task,
        "{file_id}": scene.file,
        "{upload_id}": scene.upload,
    }
    for part, make in ids.items():
        if part in path:
            fresh = deletes or operation.method == "PUT"
            made = make() if fresh else scene.once(make.__name__, make)
            place = part[part.index("{") :]
            path = path.replace(place, made)
    for made_first in NEEDS.get(operation.name, ()):
        scene.once(made_first, getattr(scene, made_first))
    return path.replace("{batch_id}", "monday").replace("{name}", "ocr").replace("{number}", "1")


def request_of(scene: Scene, body: Body) -> dict[str, Any]:
    """The body as httpx sends it."""
    if body.media_type == "application/json":
        assert body.example is not None, "a JSON body needs an example"
        ids = {"upload_id": lambda: scene.once("whole_upload", scene.whole_upload)}
        return {"json": {k: ids[k]() if k in ids else v for k, v in body.example.items()}}
    if body.media_type == "multipart/form-data":
        files, data = {}, {}
        for name, schema in body.schema["properties"].items():
            if schema.get("format") == BINARY:
                files[name] = ("paper.pdf", PNG)
            elif "example" in schema:
                data[name] = schema["example"]
            else:
                assert name not in body.schema["required"], f"{name} needs an example"
        return {"files": files, "data": data}
    return {"content": PNG} if body.media_type else {}


def send(scene: Scene, operation: Operation, body: Body, **query: Any) -> httpx.Response:
    sent = request_of(scene, body)
    path = path_of(scene, operation)
    params = {**operation.parameters("query"), **query} or None
    headers = operation.parameters("header")
    return scene.http.request(operation.method, path, params=params, headers=headers, **sent)


@pytest.mark.parametrize(("operation", "body"), CASES)
def test_an_example_is_answered_as_it_is_shown(
    scene: Scene, operation: Operation, body: Body
) -> None:
    ((status, contents),) = operation.answers().items()
    if (operation.name, body.media_type) in EXCEPTIONS:
        answer = send(scene, operation, body)
        documented = operation.facts["responses"][str(answer.status_code)]
        check(documented["content"], answer, "application/json")
        return
    if len(contents) > 1:  # beside another one it is for programs that make clients
        contents = {kind: one for kind, one in contents.items() if kind != ANYTHING}
    several = len(contents) > 1
    for media_type in contents:
        query = {"format": FORMATS[media_type]} if several else {}
        answer = send(scene, operation, body, **query)
        assert str(answer.status_code) == status, answer.text[:2000]
        check(contents, answer, media_type)


def check(contents: Mapping[str, Any], answer: httpx.Response, media_type: str) -> None:
    """An answer against what is documented of this type."""
    assert answer.headers["content-type"].split(";")[0] == media_type
    documented = contents[media_type]
    example = documented["example"]
    if documented["schema"].get("format") == BINARY:
        assert answer.content
    elif media_type == "application/json":
        value = answer.json()
        found = [*schema_errors(SPEC, documented["schema"], value), *differences(example, value)]
        assert not found, "\n".join(found)
    else:
        assert text_differs(example, answer.text) is None, answer.text[:2000]


def test_what_is_described_here_is_what_the_server_describes(server: Server) -> None:
    described = operations(server.http.get("/openapi.json").json())
    assert [(one.method, one.path, one.name) for one in described] == [
        (one.method, one.path, one.name) for one in OPERATIONS
    ]


def test_every_exception_is_one() -> None:
    there = {(one.name, body.media_type) for one in OPERATIONS for body in one.bodies()}
    assert set(EXCEPTIONS) <= there
