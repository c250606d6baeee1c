"""``Client`` and ``AsyncClient`` against the application in process."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import httpx
import pytest

from serve_app.client import ApiError, AsyncClient, Client, JobFailed, JobTimeout, UnexpectedAnswer
from serve_app.errors import PageFailed
from serve_app.testing.service import FakeDocumentService
from tests import documents
from tests.unit.jobs_scene import JobScene, job_scene

PNG = documents.picture("png")


def client_of(scene: JobScene) -> AsyncClient:
    return AsyncClient("http://test", transport=httpx.ASGITransport(scene.app))


def test_both_have_the_same_names_and_parameters() -> None:
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if not name.startswith("_"):
            other = getattr(AsyncClient, name)
            assert inspect.signature(method) == inspect.signature(other), name


async def test_a_document_at_once(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(PNG)
    async with job_scene(tmp_path / "jobs") as scene, client_of(scene) as client:
        assert await client.parse(file) == "# Page 1\n\nHello 42\n"
        assert await client.parse(str(file), format="text") == "Page 1\nHello 42\n"
        assert b'"pages":[' in await client.parse_bytes(PNG, format="json", visualize=None)
        with pytest.raises(ApiError, match="did you mean `pages`") as caught:
            await client.parse(PNG, page="1")
        assert (caught.value.status, caught.value.code) == (422, "invalid_request")


async def test_a_job(tmp_path: Path) -> None:
    async with job_scene(tmp_path) as scene, client_of(scene) as client:
        data = documents.tiff([(64, 48)] * 3)
        job = await client.submit(data, idempotency_key="k", format="text")
        assert (await client.submit(data, idempotency_key="k", format="text")).id == job.id
        done = await client.wait(job.id, timeout_s=30)
        assert (done.state, done.pages, done.pages_done, done.pages_failed) == ("done", 3, 3, 0)
        assert (await client.result(job.id)).startswith(b"Page 1\n")
        assert (await client.result(job.id, format="markdown")).startswith(b"# Page 1\n")
        assert [one.id for one in await client.jobs()] == [job.id]
        await client.cancel(job.id)
        assert await client.jobs() == []


async def test_a_job_that_fails_and_one_that_takes_too_long(tmp_path: Path) -> None:
    service = FakeDocumentService(errors={0: PageFailed("it raised ValueError")})
    async with job_scene(tmp_path, service) as scene, client_of(scene) as client:
        job = await client.submit(PNG)
        with pytest.raises(JobFailed, match="page_failed"):
            await client.wait(job.id, timeout_s=30)
    service = FakeDocumentService(blocked=asyncio.Event())
    async with job_scene(tmp_path / "2", service) as scene, client_of(scene) as client:
        job = await client.submit(PNG)
        with pytest.raises(JobTimeout):
            await client.wait(job.id, timeout_s=0.05)
        assert (await client.cancel(job.id)).state == "cancelled"


def test_another_server_is_noticed() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text="hello"))
    with Client("http://test", key="k", transport=transport) as client:
        with pytest.raises(UnexpectedAnswer):
            client.submit(PNG)
        assert client.parse(PNG) == "hello"
