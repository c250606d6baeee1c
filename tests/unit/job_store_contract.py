"""What every ``JobStore`` and ``FileStore`` must do; ``test_job_stores.py`` runs it for each."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from serve_app.document import DocumentInfo, PageInfo, PredictOptions
from serve_app.errors import (
    JobNotFound,
    QueueFull,
    StorageFull,
    TooManyRequests,
    UploadOffset,
)
from serve_app.jobs.ports import FileStore, JobStore
from serve_app.jobs.records import JobSpec, StoredPage, Totals
from serve_app.messages import Priority
from serve_app.policy import webhook
from serve_app.policy.job import Fault, Job, JobRules, Lease, LeaseLost, cancelled, ended, renewed
from serve_app.policy.job_queue import QueueBounds
from serve_app.policy.upload_parts import Part, part_stored

RULES = JobRules(max_failures=3, retention_s=100.0)
BOUNDS = QueueBounds(
    max_queued=100,
    max_queued_per_owner=50,
    max_stored_bytes=10**9,
    max_uploads_per_owner=3,
    max_upload_bytes_per_owner=50,
)
MODELS = ("ocr", "structure")
SPEC = JobSpec(
    DocumentInfo("pdf", (PageInfo(0, 10, 20), PageInfo(1, 30, 40))),
    (1, 0),
    PredictOptions({"use_doc_unwarping": True, "layout_unclip_ratio": (1.0, 2.0)}, visualize=True),
    {"format": "json", "pages": "2,1"},
)


def a_job(job_id: str, owner: str = "alice", priority: Priority = "batch", **more: Any) -> Job:
    return Job(
        **{
            "id": job_id,
            "owner": owner,
            "model": "ocr",
            "priority": priority,
            "pages": 2,
            "submitted_at": 0.0,
            "deadline_at": 1000.0,
            "input_bytes": 10,
            **more,
        }
    )


def a_lease(token: str, until: float = 25.0) -> Lease:
    return Lease("host:1", token, until)


class JobStoreContract:
    """Subclasses give ``store`` and ``other``: the same records through another process's eyes."""

    async def add(self, store: JobStore, *jobs: Job) -> None:
        for job in jobs:
            await store.add(job, SPEC, BOUNDS)

    async def claim(self, store: JobStore, token: str, now: float = 10.0) -> str | None:
        job = await store.claim(a_lease(token, now + 15), now, MODELS, RULES)
        return job.id if job else None

    async def test_a_job_is_found_by_everybody(self, store: JobStore, other: JobStore) -> None:
        job = a_job("j", batch="b", idempotency_key="k", fault=Fault("c", "m"), asked_model="x")
        assert await store.add(job, SPEC, BOUNDS) == job
        assert await other.get("j") == job
        assert await other.spec("j") == SPEC
        assert await other.submitted("alice", "k") == job
        assert await other.get("k") is None
        assert await other.spec("k") is None
        assert await other.submitted("bob", "k") is None

    async def test_the_same_key_is_the_same_job(self, store: JobStore, other: JobStore) -> None:
        job = a_job("j", idempotency_key="k")
        await self.add(store, job)
        assert await other.add(a_job("x", idempotency_key="k"), SPEC, BOUNDS) == job
        assert await store.get("x") is None
        await self.add(store, a_job("y", owner="bob", idempotency_key="k"))

    async def test_bounds_are_kept(self, store: JobStore) -> None:
        await self.add(store, a_job("1"), a_job("2", owner="bob"))
        for bounds, error in (
            (replace(BOUNDS, max_queued=2), QueueFull),
            (replace(BOUNDS, max_queued_per_owner=1), TooManyRequests),
            (replace(BOUNDS, max_stored_bytes=29), StorageFull),
        ):
            with pytest.raises(error):
                await store.add(a_job("3"), SPEC, bounds)
        assert await store.get("3") is None
        await store.update("1", partial(cancelled, now=5.0, rules=RULES))
        await store.add(a_job("3"), SPEC, replace(BOUNDS, max_queued=2, max_queued_per_owner=1))

    async def test_uploads_have_bounds_of_their_owners(
        self, store: JobStore, other: JobStore
    ) -> None:
        def upload(name: str, size_bytes: int = 10, owner: str = "alice") -> Job:
            more: Any = {"kind": "upload", "batch": "uploads", "state": "done", "ended_at": 0.0}
            return a_job(name, owner, input_bytes=size_bytes, **more)

        await self.add(store, a_job("job", batch="uploads", input_bytes=500))
        await self.add(store, upload("1", 20), upload("2", 20), upload("b", 50, "bob"))
        with pytest.raises(TooManyRequests, match="max_upload_bytes_per_owner"):
            await other.add(upload("3", 11), SPEC, BOUNDS)
        await self.add(other, upload("3"))
        with pytest.raises(TooManyRequests, match="max_uploads_per_owner"):
            await store.add(upload("4", 0), SPEC, BOUNDS)
        await other.remove("1")
        await self.add(store, upload("4", 20))

    async def test_a_part_is_seen_by_everybody(self, store: JobStore, other: JobStore) -> None:
        more: Any = {"kind": "upload", "state": "done", "missing_bytes": 10}
        await self.add(store, a_job("u", **more))
        part = Part("p", at=0, size_bytes=4, expires_at=99.0)
        after = await store.update("u", partial(part_stored, part=part, most_parts=2))
        assert (after.missing_bytes, after.parts, after.expires_at) == (6, ("p",), 99.0)
        assert await other.get("u") == after
        with pytest.raises(UploadOffset):
            await other.update("u", partial(part_stored, part=part, most_parts=2))
        assert [job.id for job in await other.due(99.0, 10)] == ["u"]

    async def test_jobs_are_listed_newest_first(self, store: JobStore) -> None:
        await self.add(store, *(a_job(str(n), batch="b" if n % 2 else None) for n in range(4)))
        await self.add(store, a_job("x", owner="bob", batch="b"))

        async def ids(*args: Any, **more: Any) -> list[str]:
            return [job.id for job in await store.listed(*args, **{"limit": 10, **more})]

        assert await ids("alice") == ["3", "2", "1", "0"]
        assert await ids("alice", limit=2) == ["3", "2"]
        assert await ids("alice", before="2") == ["1", "0"]
        assert await ids("alice", batch="b") == ["3", "1"]
        assert await ids(None, batch="b") == ["x", "3", "1"]
        assert await ids("carol") == []

    async def test_a_change_is_seen_by_everybody_and_an_error_changes_nothing(
        self, store: JobStore, other: JobStore
    ) -> None:
        await self.add(store, a_job("j"))
        await store.update("j", lambda job: replace(job, waits=5))
        found = await other.get("j")
        assert found
        assert found.waits == 5

        def fail(job: Job) -> Job:
            raise LeaseLost("no")

        with pytest.raises(LeaseLost):
            await store.update("j", fail)
        with pytest.raises(JobNotFound):
            await store.update("x", lambda job: job)
        assert await other.get("j") == found

    async def test_changes_at_once_are_one_after_the_other(
        self, store: JobStore, other: JobStore
    ) -> None:
        await self.add(store, a_job("j"))
        changes = [
            one.update("j", lambda job: replace(job, waits=job.waits + 1))
            for one in (store, other)
            for _ in range(20)
        ]
        await asyncio.gather(*changes)
        found = await store.get("j")
        assert found
        assert found.waits == 40

    async def test_many_drivers_that_claim_at_once_get_different_jobs(
        self, store: JobStore, other: JobStore
    ) -> None:
        await self.add(store, *(a_job(str(n)) for n in range(10)))
        claims = [self.claim(one, f"{one}{n}") for n in range(8) for one in (store, other)]
        claimed = [job for job in await asyncio.gather(*claims) if job is not None]
        assert sorted(claimed) == sorted(str(n) for n in range(10))

    async def test_only_jobs_for_these_models_are_claimed(self, store: JobStore) -> None:
        await self.add(store, a_job("j", model="another-servers"))
        assert await self.claim(store, "t") is None

    async def test_a_job_that_waits_for_later_or_is_too_late_is_not_claimed(
        self, store: JobStore
    ) -> None:
        await self.add(store, a_job("1", not_before=20.0), a_job("2", deadline_at=9.0))
        assert await self.claim(store, "t", now=10.0) is None
        assert await self.claim(store, "t", now=20.0) == "1"

    async def test_a_lapsed_lease_lets_another_one_drive_and_only_that_one(
        self, store: JobStore, other: JobStore
    ) -> None:
        await self.add(store, a_job("j"))
        assert await self.claim(store, "t", now=10.0) == "j"
        assert await self.claim(other, "u", now=24.0) is None
        assert await self.claim(other, "u", now=25.0) == "j"
        page = StoredPage(0, 5)
        with pytest.raises(LeaseLost):
            await store.store_page("j", "t", page, 26.0)
        assert await store.pages("j") == []
        await other.store_page("j", "u", page, 26.0)

    async def test_a_renewed_lease_is_kept(self, store: JobStore, other: JobStore) -> None:
        await self.add(store, a_job("j"))
        await self.claim(store, "t", now=10.0)
        await store.update("j", partial(renewed, token="t", until=60.0))
        assert await self.claim(other, "u", now=59.0) is None

    async def test_pages_are_numbered_as_they_come(self, store: JobStore, other: JobStore) -> None:
        await self.add(store, a_job("j"))
        await self.claim(store, "t")
        fault = Fault("page_failed", "it raised")
        await store.store_page("j", "t", StoredPage(1, 5), 11.0)
        job = await store.store_page("j", "t", StoredPage(0, 0, fault), 12.0)
        assert (job.pages_done, job.pages_failed, job.result_bytes) == (2, 1, 5)
        first, second = StoredPage(1, 5, None, 1), StoredPage(0, 0, fault, 2)
        assert await other.pages("j") == [first, second]
        assert await other.pages("j", after=1) == [second]
        assert await other.page("j", 0) == second
        assert await other.page("j", 7) is None
        assert await other.get("j") == job

    async def test_owners_take_turns_by_their_pages(self, store: JobStore) -> None:
        await self.add(store, *(a_job(f"a{n}") for n in range(3)))
        await self.add(store, *(a_job(f"b{n}", owner="bob") for n in range(3)))
        order = []
        for turn in range(6):
            job_id = await self.claim(store, f"t{turn}")
            assert job_id
            await store.store_page(job_id, f"t{turn}", StoredPage(0, 1), 11.0)
            await store.update(
                job_id, partial(ended, token=f"t{turn}", state="done", now=12.0, rules=RULES)
            )
            order.append(job_id)
        assert order == ["a0", "b0", "a1", "b1", "a2", "b2"]

    async def test_a_new_owner_does_not_make_up_for_the_past(self, store: JobStore) -> None:
        await self.add(store, *(a_job(f"a{n}") for n in range(10)))
        for turn in range(5):
            job_id = await self.claim(store, f"t{turn}")
            assert job_id
            await store.store_page(job_id, f"t{turn}", StoredPage(0, 1), 11.0)
        await self.add(store, a_job("b0", owner="bob"), a_job("b1", owner="bob"))
        view = await store.queue(10.0, MODELS)
        assert view.uses["bob"].served == view.uses["alice"].served == 5
        assert view.uses["alice"].running == 5
        assert sorted(head.job_id for head in view.heads) == ["a5", "b0"]

    async def test_interactive_jobs_are_claimed_first(self, store: JobStore) -> None:
        await self.add(store, a_job("1"), a_job("2", priority="interactive"))
        assert await self.claim(store, "t") == "2"

    async def test_places_in_the_queue(self, store: JobStore) -> None:
        jobs = [
            a_job("a0"),
            a_job("a1"),
            a_job("b0", owner="bob"),
            a_job("i", "eve", "interactive"),
        ]
        await self.add(store, *jobs)
        assert [await store.place(job) for job in jobs] == [2, 4, 2, 1]
        await self.claim(store, "t")
        assert await store.place(jobs[3]) is None
        assert await store.place(jobs[0]) == 1

    async def test_what_is_due(self, store: JobStore) -> None:
        await self.add(store, a_job("1"), a_job("2", deadline_at=50.0), a_job("3"))
        await store.update("3", partial(cancelled, now=10.0, rules=RULES))
        assert await store.due(49.0, 10) == []
        assert {job.id for job in await store.due(50.0, 10)} == {"2"}
        assert {job.id for job in await store.due(110.0, 10)} == {"2", "3"}
        assert len(await store.due(110.0, 1)) == 1

    async def test_callbacks_that_are_due(self, store: JobStore, other: JobStore) -> None:
        url = "https://example.com/"
        await self.add(store, a_job("1", callback_url=url), a_job("2"), a_job("3"))
        assert await store.callbacks_due(100.0, 10) == []
        for job_id in ("1", "2"):
            await store.update(job_id, partial(cancelled, now=10.0, rules=RULES))
        assert await store.callbacks_due(9.0, 10) == []
        assert [job.id for job in await other.callbacks_due(10.0, 10)] == ["1"]
        await store.update("1", partial(webhook.claimed, now=10.0, lease_s=5.0))
        assert await other.callbacks_due(14.0, 10) == []
        with pytest.raises(LeaseLost):
            await other.update("1", partial(webhook.claimed, now=14.0, lease_s=5.0))
        assert len(await other.callbacks_due(15.0, 10)) == 1
        await other.update("1", partial(webhook.answered, status=204, now=15.0))
        assert await store.callbacks_due(1000.0, 10) == []

    async def test_what_is_stored_in_all(self, store: JobStore, other: JobStore) -> None:
        assert await store.totals() == Totals()
        await self.add(store, a_job("1"), a_job("2", owner="bob"), a_job("3"))
        job_id = await self.claim(store, "t")
        assert job_id
        await store.store_page(job_id, "t", StoredPage(0, 5), 11.0)
        assert await other.totals() == Totals(queued=2, running=1, stored_bytes=35)
        await store.update("3", partial(cancelled, now=12.0, rules=RULES))
        assert await other.totals() == Totals(queued=1, running=1, stored_bytes=25)
        for job_id in ("1", "2", "3"):
            await store.remove(job_id)
        assert await store.totals() == Totals()

    async def test_a_removed_job_is_gone_with_its_pages(
        self, store: JobStore, other: JobStore
    ) -> None:
        await self.add(store, a_job("j"))
        await self.claim(store, "t")
        await store.store_page("j", "t", StoredPage(0, 5), 11.0)
        await other.remove("j")
        await other.remove("j")
        assert await store.get("j") is None
        assert await store.pages("j") == []
        with pytest.raises(JobNotFound):
            await store.store_page("j", "t", StoredPage(1, 5), 12.0)

    async def test_the_secret_is_everybodys(self, store: JobStore, other: JobStore) -> None:
        assert await store.secret() == await other.secret()
        assert len(await store.secret()) == 32


class FileStoreContract:
    """Subclasses give ``files``."""

    async def test_a_file_is_whole_or_not_there(self, files: FileStore) -> None:
        assert await files.get("j", "input") is None
        assert await files.put("j", "input", [b"ab", b"", b"c"]) == 3
        assert await files.get("j", "input") == b"abc"
        assert await files.put("j", "input", [b"new"]) == 3

        def broken() -> Any:
            yield b"half"
            raise ValueError("broken off")

        with pytest.raises(ValueError, match="broken off"):
            await files.put("j", "input", broken())
        assert await files.get("j", "input") == b"new"

    async def test_files_are_deleted_one_by_one_or_together(self, files: FileStore) -> None:
        for job, name in (("j", "a"), ("j", "b"), ("k", "a")):
            await files.put(job, name, [b"x"])
        await files.delete("j", "a")
        await files.delete("j", "a")
        assert await files.get("j", "b") == b"x"
        await files.delete("j")
        await files.delete("j")
        assert await files.get("j", "b") is None
        assert await files.get("k", "a") == b"x"

    async def test_jobs_that_have_had_files_for_long(self, files: FileStore) -> None:
        assert await files.older_than(0) == []
        await files.put("j", "a", [b"x"])
        assert await files.older_than(3600) == []
        assert list(await files.older_than(-1)) == ["j"]
