"""An application with jobs around a fake service, in a folder of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from serve_app.api.app import build_http_app
from serve_app.jobs.folder import stores
from serve_app.jobs.service import Jobs
from serve_app.jobs.webhooks import Webhooks
from serve_app.settings import AppSettings
from serve_app.task_ledger import TaskLedger
from serve_app.testing.service import FakeDocumentService, fake_settings


@dataclass
class JobScene:
    """What a test has in its hands."""

    client: httpx.AsyncClient
    service: FakeDocumentService
    jobs: Jobs
    ledger: TaskLedger
    app: Any = None
    ended: list[Any] = field(default_factory=list)

    async def submit(self, data: bytes, **query: Any) -> dict[str, Any]:
        """POST /v1/jobs; the job."""
        answer = await self.client.post("/v1/jobs", params=query, content=data)
        assert answer.status_code == 202, answer.text
        job: dict[str, Any] = answer.json()
        return job

    async def job(self, job_id: str, **query: Any) -> dict[str, Any]:
        """GET /v1/jobs/{id}."""
        answer = await self.client.get(f"/v1/jobs/{job_id}", params=query)
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        return job

    async def until_pages(self, job_id: str, count: int, within_s: float = 30.0) -> dict[str, Any]:
        """The job when so many of its pages have ended."""
        until = time.monotonic() + within_s
        while (job := await self.job(job_id))["pages"]["done"] < count:
            assert time.monotonic() < until, job
            await asyncio.sleep(0.005)
        return job

    async def ended_job(self, data: bytes, **query: Any) -> dict[str, Any]:
        """A job that has run to its end."""
        return await self.job((await self.submit(data, **query))["id"], wait=30)


def job_settings(**own: Any) -> AppSettings:
    """The smallest configuration, with these keys below ``jobs``."""
    return fake_settings(jobs=own)


@asynccontextmanager
async def job_scene(
    folder: Path,
    service: FakeDocumentService | None = None,
    settings: AppSettings | None = None,
    *,
    started: bool = True,
    headers: dict[str, str] | None = None,
    webhooks: Webhooks | None = None,
) -> AsyncIterator[JobScene]:
    """A gateway on ``folder``; several of them see the same jobs."""
    settings = settings or fake_settings()
    service = service or FakeDocumentService(settings=settings)
    ledger = TaskLedger()
    ended: list[Any] = []
    jobs = Jobs(service, *stores(folder), settings, ledger, ended.append, webhooks)
    app = build_http_app(service, settings, jobs=jobs)
    transport = httpx.ASGITransport(app)
    if started:
        jobs.start()
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers=headers
    ) as client:
        try:
            yield JobScene(client, service, jobs, ledger, app, ended)
        finally:
            await jobs.close()


async def eventually(condition: Callable[[], Any], within_s: float = 10.0) -> None:
    """Until it is true; threads do part of the work, so there is nothing to wait on."""
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until, "not in time"
        await asyncio.sleep(0.005)
