"""Jobs driven by one or two gateways around fake services: kept, taken over, shared fairly."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from serve_app.document import DocumentInfo, PageInfo, PageResult, PredictOptions
from serve_app.jobs.driver import page_name
from serve_app.jobs.records import JobSpec
from serve_app.jobs.service import Order
from serve_app.policy.job import Job, JobRules, Lease
from serve_app.testing.service import FakeDocumentService, canned_page, fake_settings
from tests import documents
from tests.unit.jobs_scene import JobScene, eventually, job_scene, job_settings

PNG = documents.picture("png")


def pages(count: int) -> bytes:
    return documents.tiff([(64, 48)] * count)


class Gate:
    """Lets so many pages through, then holds the next one."""

    def __init__(self, service: FakeDocumentService, through: int) -> None:
        self.service, self.left = service, through
        service.blocked = asyncio.Event()
        service.blocked.set()
        service.page = self.page

    def page(self, info: PageInfo) -> PageResult:
        self.left -= 1
        if self.left == 0:
            assert self.service.blocked
            self.service.blocked.clear()
        return canned_page(info)

    def open(self) -> None:
        self.left = -1
        assert self.service.blocked
        self.service.blocked.set()


async def lapse(scene: JobScene, job_id: str) -> None:
    """As when its gateway has not been heard of for long."""

    def change(job: Job) -> Job:
        assert job.lease
        return replace(job, lease=replace(job.lease, until=0.0))

    await scene.jobs._store.update(job_id, change)


def vanish(scene: JobScene) -> None:
    """As a gateway that was killed: nothing is written any more."""
    scene.jobs._driver._claiming.cancel()  # type: ignore[union-attr]
    for turn in list(scene.jobs._driver._turns.values()):
        turn.lose()


async def test_a_killed_gateways_job_goes_on_where_it_was(tmp_path: Path) -> None:
    first, second = FakeDocumentService(), FakeDocumentService()
    Gate(first, through=5)
    async with job_scene(tmp_path, first) as killed:
        job = await killed.submit(pages(12))
        await killed.until_pages(job["id"], 5)
        vanish(killed)
        await eventually(lambda: first.ended == 1)
        async with job_scene(tmp_path, second) as heir:
            assert not await heir.jobs._driver._claim()
            assert (await heir.job(job["id"]))["state"] == "running"  # its lease holds
            assert not second.yielded
            await lapse(heir, job["id"])
            done = await heir.job(job["id"], wait=30)
            assert (done["state"], done["pages"]["done"]) == ("done", 12)
            result = await heir.client.get(f"/v1/jobs/{job['id']}/result?format=json")
            assert [page["page"] for page in result.json()["pages"]] == list(range(1, 13))
    assert first.yielded == [0, 1, 2, 3, 4]
    assert second.yielded == list(range(5, 12))


async def test_a_gateway_that_was_away_for_too_long_writes_nothing(tmp_path: Path) -> None:
    slow, heir_service = FakeDocumentService(), FakeDocumentService()
    gate = Gate(slow, through=2)
    async with job_scene(tmp_path, slow, job_settings(max_running=1)) as away:
        job = await away.submit(pages(4))
        await away.until_pages(job["id"], 2)
        async with job_scene(tmp_path, heir_service) as heir:
            await lapse(heir, job["id"])
            done = await heir.job(job["id"], wait=30)
            assert done["state"] == "done"
            gate.open()
            await eventually(lambda: slow.ended == 1)
            assert (await heir.job(job["id"])) == done
    assert heir_service.yielded == [2, 3]


async def test_a_gateway_takes_its_own_job_again_if_its_lease_has_lapsed(tmp_path: Path) -> None:
    """As after a suspended laptop: the turn from before writes nothing."""
    service = FakeDocumentService()
    gate = Gate(service, through=2)
    async with job_scene(tmp_path, service) as scene:
        job = await scene.submit(pages(4))
        await scene.until_pages(job["id"], 2)
        await lapse(scene, job["id"])
        await eventually(lambda: len(service.calls) == 2)
        gate.open()
        done = await scene.job(job["id"], wait=30)
        assert (done["state"], done["pages"]["done"]) == ("done", 4)
        assert scene.ledger.open_entries == 0
    assert service.yielded == [0, 1, 2, 3]


async def test_a_gateway_that_stops_finishes_its_pages_and_hands_the_job_back(
    tmp_path: Path,
) -> None:
    first, second = FakeDocumentService(), FakeDocumentService()
    gate = Gate(first, through=3)
    async with job_scene(tmp_path, first) as stopping:
        job = await stopping.submit(pages(8))
        await stopping.until_pages(job["id"], 3)
        turns = list(stopping.jobs._driver._turns.values())
        finishing = asyncio.create_task(stopping.jobs.finish(10))
        await eventually(lambda: all(turn.over for turn in turns))
        gate.open()
        await finishing
        assert (await stopping.job(job["id"]))["state"] == "queued"
        assert stopping.ledger.open_entries == 0
        async with job_scene(tmp_path, second) as heir:
            assert (await heir.job(job["id"], wait=30))["state"] == "done"
    assert first.yielded + second.yielded == list(range(8))


async def test_a_gateway_that_stops_waits_for_a_page_no_longer_than_it_may(
    tmp_path: Path,
) -> None:
    service = FakeDocumentService(blocked=asyncio.Event())
    async with job_scene(tmp_path, service) as scene:
        job = await scene.submit(pages(3))
        await service.begun.wait()
        await asyncio.wait_for(scene.jobs.finish(0.05), 10)
        assert (await scene.job(job["id"]))["state"] == "queued"
        assert service.ended == 1


async def test_two_gateways_share_the_jobs_and_predict_each_page_once(tmp_path: Path) -> None:
    services = [FakeDocumentService(), FakeDocumentService()]
    async with job_scene(tmp_path, services[0]) as one, job_scene(tmp_path, services[1]) as other:
        scenes = [one, other]
        submitted = [scenes[n % 2].submit(pages(3)) for n in range(20)]
        jobs = [job["id"] for job in await asyncio.gather(*submitted)]
        for number, job_id in enumerate(jobs):
            job = await scenes[number % 2].job(job_id, wait=30)
            assert (job["state"], job["pages"]["done"]) == ("done", 3)
        assert len(one.ended) + len(other.ended) == 20
    yielded = Counter(services[0].yielded) + Counter(services[1].yielded)
    assert yielded == {0: 20, 1: 20, 2: 20}


async def test_a_cancel_through_another_gateway_stops_the_job_within_two_seconds(
    tmp_path: Path,
) -> None:
    service = FakeDocumentService()
    gate = Gate(service, through=2)
    async with job_scene(tmp_path, service) as driving, job_scene(tmp_path, started=False) as other:
        job = await driving.submit(pages(50))
        await driving.until_pages(job["id"], 2)
        assert (await other.client.delete(f"/v1/jobs/{job['id']}")).status_code == 200
        await eventually(lambda: service.ended == 1, within_s=2.0)
        gate.open()
        assert service.yielded == [0, 1]
        assert (await driving.job(job["id"]))["state"] == "cancelled"
        assert driving.ledger.open_entries == 0


async def submit_as(scene: JobScene, owner: str, count: int) -> str:
    info = DocumentInfo("tiff", tuple(PageInfo(n, 64, 48) for n in range(count)))
    spec = JobSpec(info, tuple(range(count)), PredictOptions(), {})
    job = await scene.jobs.submit(Order(owner, owner.encode(), spec, "ocr", "batch"))
    return job.id


@pytest.mark.parametrize("max_running", [1, 2, 3])
async def test_two_owners_get_as_many_pages_within_a_tenth(
    tmp_path: Path, max_running: int
) -> None:
    """One has long jobs and came first, the other many short ones."""
    service = FakeDocumentService()
    order: list[str] = []
    settings = job_settings(max_running=max_running)
    async with job_scene(tmp_path, service, settings, started=False) as scene:
        kept = scene.jobs._driver._keep

        async def keep(turn: Any, page: Any) -> None:
            await kept(turn, page)
            order.append(turn.job.owner)

        scene.jobs._driver._keep = keep  # type: ignore[method-assign]
        for _ in range(max_running):  # or it could not use as many places
            await submit_as(scene, "long", 120)
        for _ in range(30):
            await submit_as(scene, "short", 4)
        scene.jobs.start()
        await eventually(lambda: len(order) >= 160, within_s=60)
    shares = Counter(order[:160])
    assert abs(shares["long"] - shares["short"]) <= 16, shares


async def test_a_batch_job_makes_way_for_an_interactive_one(tmp_path: Path) -> None:
    service = FakeDocumentService()
    gate = Gate(service, through=3)
    settings = job_settings(max_running=1)
    async with job_scene(tmp_path, service, settings) as scene:
        long = await scene.submit(pages(30))
        await scene.until_pages(long["id"], 3)
        quick = await scene.submit(pages(1), priority="interactive")
        gate.open()
        assert (await scene.job(quick["id"], wait=30))["state"] == "done"
        assert (await scene.job(long["id"]))["pages"]["done"] <= 6
        assert (await scene.job(long["id"], wait=30))["state"] == "done"
    assert len(service.yielded) == 31


async def test_a_job_past_its_deadline_expires_and_its_pages_stay(tmp_path: Path) -> None:
    service = FakeDocumentService()
    Gate(service, through=2)
    async with job_scene(tmp_path, service) as scene:
        job = await scene.submit(pages(9), deadline_s=3600)
        await scene.until_pages(job["id"], 2)
        await scene.jobs._store.update(job["id"], lambda job: replace(job, deadline_at=1.0))
        await scene.jobs._sweeper.sweep()
        late = await scene.job(job["id"])
        assert (late["state"], late["error"]["code"]) == ("expired", "deadline_exceeded")
        await eventually(lambda: service.ended == 1)
        some = await scene.client.get(f"/v1/jobs/{job['id']}/result?partial=true&format=text")
        assert some.text == "Hello 42\n\nHello 42\n"
        assert [job.state for job in scene.ended] == ["expired"]


async def test_ended_jobs_are_forgotten_after_their_retention(tmp_path: Path) -> None:
    async with job_scene(tmp_path) as scene:
        job = await scene.ended_job(PNG)
        await scene.jobs._sweeper.sweep()
        assert (await scene.client.get(f"/v1/jobs/{job['id']}")).status_code == 200
        await scene.jobs._store.update(job["id"], lambda job: replace(job, expires_at=1.0))
        await scene.jobs._sweeper.sweep()
        assert (await scene.client.get(f"/v1/jobs/{job['id']}")).status_code == 404
        assert list((tmp_path / "files").iterdir()) == []


async def test_files_of_no_job_are_swept_when_they_are_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with job_scene(tmp_path, started=False) as scene:
        job = await scene.submit(PNG)
        await scene.jobs._files.put("cut-off", "input", [b"x"])
        await scene.jobs._sweeper.sweep_orphans()
        assert len(list((tmp_path / "files").iterdir())) == 2
        monkeypatch.setattr("serve_app.jobs.sweeper.ORPHAN_AGE_S", -1.0)
        await scene.jobs._sweeper.sweep_orphans()
        assert [path.name for path in (tmp_path / "files").iterdir()] == [job["id"]]


async def test_a_job_without_its_file_fails_in_the_end(tmp_path: Path) -> None:
    async with job_scene(tmp_path, started=False) as scene:
        job = await scene.submit(PNG)
        await scene.jobs._files.delete(job["id"])
        scene.jobs.start()
        failed = await scene.job(job["id"], wait=30)
        assert (failed["state"], failed["error"]["code"]) == ("failed", "job_file_lost")


async def test_a_service_that_gives_nothing_is_given_up(tmp_path: Path) -> None:
    settings = fake_settings(gateway={"request_timeout_s": 0.1}, jobs={})
    service = FakeDocumentService(blocked=asyncio.Event())
    async with job_scene(tmp_path, service, settings) as scene:
        job_id = await submit_as(scene, "a", 1)
        await eventually(lambda: scene.ended)
        job = await scene.job(job_id)
        assert (job["state"], job["error"]["code"]) == ("failed", "page_failed")
        assert "no page came" in job["error"]["message"]


async def test_a_job_of_a_model_that_is_not_declared_here_waits_for_who_has_it(
    tmp_path: Path,
) -> None:
    other = fake_settings(models={"structure": {"pipeline": "PP-StructureV3"}})
    async with job_scene(tmp_path, started=False) as scene:
        job = await scene.submit(PNG, model="ocr")
        async with job_scene(tmp_path, settings=other) as without:
            assert not await without.jobs._driver._claim()
            assert (await without.job(job["id"]))["state"] == "queued"


async def test_a_page_that_was_written_but_not_noted_is_predicted_again(tmp_path: Path) -> None:
    """As when a gateway is killed between the two."""
    service = FakeDocumentService()
    async with job_scene(tmp_path, service, started=False) as scene:
        job = await scene.submit(pages(2))
        await scene.jobs._files.put(job["id"], page_name(0), [b"half"])
        scene.jobs.start()
        assert (await scene.job(job["id"], wait=30))["state"] == "done"
        result = await scene.client.get(f"/v1/jobs/{job['id']}/result?format=text")
        assert result.text.count("Hello 42") == 2
    assert service.yielded == [0, 1]


async def test_a_job_that_ends_its_gateway_again_and_again_is_given_up(tmp_path: Path) -> None:
    rules = JobRules(max_failures=2, retention_s=100.0)
    async with job_scene(tmp_path, settings=job_settings(max_failures=2), started=False) as scene:
        job = await scene.submit(PNG)
        await scene.jobs._store.claim(Lease("h", "t", 0.0), 1.0, ["structure"], rules)
        await scene.jobs._store.claim(Lease("h", "u", 0.0), 2.0, ["structure"], rules)
        scene.jobs.start()
        failed = await scene.job(job["id"], wait=30)
        assert (failed["state"], failed["error"]["code"]) == ("failed", "job_abandoned")
        assert not scene.service.calls
