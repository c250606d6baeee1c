"""Two gateways on the same stores, of which one is not heard of any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serve_app.clock import epoch
from serve_app.document import PredictOptions
from serve_app.jobs.caller import Caller
from serve_app.jobs.driver import Driver
from serve_app.jobs.local_files import LocalFiles
from serve_app.jobs.ports import JobStore
from serve_app.jobs.records import JobSpec
from serve_app.jobs.service import Jobs, Order
from serve_app.testing.service import FakeDocumentService
from tests import documents
from tests.unit.jobs_scene import job_settings


async def one_ends_without_a_word(
    a_store: Callable[[], JobStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No page is predicted twice but for those under way."""
    settings = job_settings(lease_s=5, max_running=1)
    held = asyncio.Event()
    first = FakeDocumentService(settings=settings)
    second = FakeDocumentService(settings=settings)

    def gateway(service: FakeDocumentService) -> Jobs:
        return Jobs(service, a_store(), LocalFiles(tmp_path / "f"), settings)

    one, two = gateway(first), gateway(second)
    data = documents.tiff([(64, 48)] * 8)
    info = await first.inspect(data)
    spec = JobSpec(info, tuple(range(8)), PredictOptions(), {})
    real = Driver._keep

    async def keep(self: Driver, turn: Any, page: Any) -> None:
        await real(self, turn, page)
        if page.index == 2 and self is one._driver:
            held.set()
            await asyncio.Event().wait()  # it is not heard of any more

    async def silent(*args: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Driver, "_keep", keep)
    monkeypatch.setattr("serve_app.jobs.driver.keep_lease", silent)
    one.start()
    job = await one.submit(Order("", data, spec, "ocr", "batch"))
    await asyncio.wait_for(held.wait(), 20)
    two.start()
    everybody = Caller(all_jobs=True)
    started = epoch()
    done = await two.wait(job, everybody, 30)
    assert (done.state, done.pages_done) == ("done", 8)
    assert epoch() - started < 15
    assert second.yielded == [3, 4, 5, 6, 7]
    await two.close()
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task():
            task.cancel()
