"""/v1/uploads: a file in parts, whatever happens between two of them."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_app.api import uploads
from serve_app.api.api_keys import new_key
from serve_app.api.auth import role_of
from serve_app.clock import epoch
from serve_app.testing.service import fake_settings
from tests import documents
from tests.http_client import RawRequest
from tests.unit.jobs_scene import JobScene, eventually, job_scene, job_settings

DATA = documents.tiff([(64, 48)] * 2)
SIZE = len(DATA)


@dataclass
class _BreaksOff(RawRequest):
    """A body of which only the beginning comes; then the client goes, or stays."""

    left: list[bytes] = field(default_factory=list)
    stays: bool = False

    async def _receive(self) -> dict[str, Any]:
        if self.left:
            return {"type": "http.request", "body": self.left.pop(0), "more_body": True}
        if self.stays:
            await self.gone.wait()
        return {"type": "http.disconnect"}


async def begun(scene: JobScene, size_bytes: int = SIZE, **query: Any) -> str:
    """The path of an upload that was announced."""
    answer = await scene.client.post("/v1/uploads", params={"bytes": size_bytes, **query})
    assert answer.status_code == 201, answer.text
    path: str = answer.headers["location"]
    assert answer.json()["links"]["self"] == path
    return path


def a_range(at: int, data: bytes, total: int | str = SIZE) -> dict[str, str]:
    return {"content-range": f"bytes {at}-{at + len(data) - 1}/{total}"}


async def send(scene: JobScene, path: str, at: int, data: bytes) -> httpx.Response:
    return await scene.client.put(path, content=data, headers=a_range(at, data))


def stored_parts(folder: Path) -> list[Path]:
    return list((folder / "files").glob("*/part-*"))


async def test_a_file_in_parts_becomes_a_job(tmp_path: Path) -> None:
    async with job_scene(tmp_path) as scene:
        path = await begun(scene, name="book.tiff")
        upload_id = path.rsplit("/", 1)[1]
        for at in range(0, SIZE, 10_000):
            asked = await scene.client.head(path)
            assert asked.headers["upload-offset"] == str(at)
            assert asked.headers["upload-length"] == str(SIZE)
            early = await scene.client.post("/v1/jobs", json={"upload_id": upload_id})
            assert (early.status_code, early.json()["error"]["code"]) == (409, "upload_incomplete")
            answer = await send(scene, path, at, DATA[at : at + 10_000])
            assert answer.status_code == 200, answer.text
        whole = answer.json()
        assert whole == (await scene.client.get(path)).json()
        facts = (whole["name"], whole["bytes"], whole["received"], whole["complete"])
        assert facts == ("book.tiff", SIZE, SIZE, True)
        asked_for = {"upload_id": upload_id, "model": "ocr"}
        job = (await scene.client.post("/v1/jobs", json=asked_for)).json()
        assert (await scene.job(job["id"], wait=30))["state"] == "done"
        assert bytes(scene.service.calls[0].request.data) == DATA
        wanted = await scene.client.post("/v1/parse", content=DATA)
        parsed = await scene.client.post("/v1/parse", json={"upload_id": upload_id})
        assert parsed.text == wanted.text
        shown = await scene.client.get(f"/v1/files/{upload_id}/content")
        assert shown.content == DATA
        assert [one["id"] for one in (await scene.client.get("/v1/jobs")).json()["jobs"]] == [
            job["id"]
        ]


async def test_without_a_range_it_is_the_whole_file(tmp_path: Path) -> None:
    async with job_scene(tmp_path, started=False) as scene:
        path = await begun(scene)
        assert (await scene.client.put(path, content=DATA)).json()["complete"] is True
        again = await scene.client.put(path, content=DATA)
        assert (again.status_code, again.json()["error"]["received"]) == (409, SIZE)
        packed = await begun(scene)
        headers = {"content-encoding": "gzip"}
        answer = await scene.client.put(packed, content=gzip.compress(DATA), headers=headers)
        assert answer.json()["complete"] is True, answer.text


async def test_a_part_at_another_byte_hears_where_to_go_on(tmp_path: Path) -> None:
    async with job_scene(tmp_path, started=False) as scene:
        path = await begun(scene)
        await send(scene, path, 0, DATA[:100])
        for at in (0, 99, 101):
            answer = await send(scene, path, at, DATA[at : at + 10])
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (409, "upload_offset")
            assert error["received"] == 100
        assert len(stored_parts(tmp_path)) == 1


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({"content-range": "bytes 0-9"}, DATA[:10]),
        ({"content-range": "bytes 9-0/10"}, DATA[:10]),
        ({"content-range": f"bytes 0-9/{SIZE + 1}"}, DATA[:10]),
        ({"content-range": f"bytes 0-8/{SIZE}"}, DATA[:10]),
        ({"content-range": f"bytes 0-{SIZE}/*"}, DATA + b"x"),
        ({}, DATA + b"x"),
        ({"content-encoding": "gzip"}, gzip.compress(DATA + b"x")),
    ],
)
async def test_a_part_that_cannot_be_is_refused(
    tmp_path: Path, headers: dict[str, str], content: bytes
) -> None:
    async with job_scene(tmp_path, started=False) as scene:
        path = await begun(scene)
        answer = await scene.client.put(path, content=content, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_request")
        assert (await scene.client.get(path)).json()["received"] == 0
        assert stored_parts(tmp_path) == []


@pytest.mark.parametrize("query", ["", "bytes=0", "bytes=-1", "bytes=x", "bytes=5&size=5"])
async def test_a_file_is_announced_with_its_size(tmp_path: Path, query: str) -> None:
    async with job_scene(tmp_path, started=False) as scene:
        answer = await scene.client.post(f"/v1/uploads?{query}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_request")


async def test_what_came_of_a_part_that_breaks_off_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client goes in the middle; what was stored before, and what had come since, is there."""
    monkeypatch.setattr(uploads, "PART_BYTES", 4096)
    async with job_scene(tmp_path, started=False) as scene:
        path = await begun(scene)
        request = _BreaksOff(path, b"", {"host": "test"}, method="PUT", left=[DATA[:9000]])
        await request.run(scene.app)
        assert request.status == 499
        assert (await scene.client.get(path)).json()["received"] == 9000
        assert (await send(scene, path, 9000, DATA[9000:])).json()["complete"] is True
        answer = await scene.client.get(f"/v1/files/{path.rsplit('/', 1)[1]}/content")
        assert answer.content == DATA


async def test_a_body_that_stalls_keeps_what_came(tmp_path: Path) -> None:
    settings = fake_settings(gateway={"body_timeout_s": 0.05})
    async with job_scene(tmp_path, settings=settings, started=False) as scene:
        path = await begun(scene)
        request = _BreaksOff(
            path, b"", {"host": "test"}, method="PUT", left=[DATA[:9000]], stays=True
        )
        await request.run(scene.app)
        assert request.status == 408
        assert (await scene.client.get(path)).json()["received"] == 9000


async def test_of_two_that_come_at_once_one_is_kept(tmp_path: Path) -> None:
    other = bytes(100)
    async with job_scene(tmp_path, started=False) as scene:
        path = await begun(scene)
        answers = await asyncio.gather(
            send(scene, path, 0, DATA[:100]),
            send(scene, path, 0, other),
            send(scene, path, 0, b"x"),
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
        assert len(stored_parts(tmp_path)) == 1
        there = (await scene.client.get(path)).json()["received"]
        assert stored_parts(tmp_path)[0].read_bytes() in (DATA[:100], other, b"x")
        assert stored_parts(tmp_path)[0].stat().st_size == there


async def test_an_upload_goes_on_in_another_gateway_after_a_restart(tmp_path: Path) -> None:
    async with job_scene(tmp_path, started=False) as scene:
        path = await begun(scene)
        await send(scene, path, 0, DATA[:5000])
    async with job_scene(tmp_path) as scene:
        assert (await send(scene, path, 5000, DATA[5000:])).json()["complete"] is True
        asked_for = {"upload_id": path.rsplit("/", 1)[1]}
        job = (await scene.client.post("/v1/jobs", json=asked_for)).json()
        assert (await scene.job(job["id"], wait=30))["state"] == "done"


@pytest.mark.parametrize(
    ("limits", "sizes", "status", "code", "key"),
    [
        ({"max_upload_bytes": 99}, [100], 413, "request_too_large", "jobs.max_upload_bytes"),
        (
            {"max_uploads_per_owner": 2},
            [1, 1, 1],
            429,
            "too_many_requests",
            "jobs.max_uploads_per_owner",
        ),
        (
            {"max_upload_bytes_per_owner": 150},
            [100, 51],
            429,
            "too_many_requests",
            "jobs.max_upload_bytes_per_owner",
        ),
        ({"max_stored_bytes": 150}, [100, 51], 503, "storage_full", "jobs.max_stored_bytes"),
    ],
)
async def test_bounds(
    tmp_path: Path, limits: dict[str, int], sizes: list[int], status: int, code: str, key: str
) -> None:
    async with job_scene(tmp_path, settings=job_settings(**limits), started=False) as scene:
        for size in sizes[:-1]:
            path = await begun(scene, size)
        answer = await scene.client.post(f"/v1/uploads?bytes={sizes[-1]}")
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (status, code)
        assert error.get("config_key", key) == key
        assert key in error["message"]
        if len(sizes) > 1:  # what is let go of makes room
            assert (await scene.client.delete(path)).json()["deleted"] is True
            await begun(scene, sizes[-1])


async def test_a_file_that_nobody_could_hold_is_refused_before_it_comes(tmp_path: Path) -> None:
    settings = fake_settings(gateway={"max_body_bytes_total": 1000})
    async with job_scene(tmp_path, settings=settings, started=False) as scene:
        answer = await scene.client.post("/v1/uploads?bytes=1001")
        error = answer.json()["error"]
        assert (answer.status_code, error["config_key"]) == (413, "gateway.max_body_bytes_total")


async def test_a_request_has_its_own_limit(tmp_path: Path) -> None:
    settings = fake_settings(limits={"max_request_bytes": 1000})
    async with job_scene(tmp_path, settings=settings, started=False) as scene:
        path = await begun(scene)
        answer = await scene.client.put(path, content=DATA)
        error = answer.json()["error"]
        assert (answer.status_code, error["config_key"]) == (413, "limits.max_request_bytes")
        assert "send several" in error["message"]
        assert (await send(scene, path, 0, DATA[:1000])).json()["received"] == 1000


async def test_parts_are_bounded_in_number(tmp_path: Path) -> None:
    async with job_scene(tmp_path, settings=job_settings(max_upload_parts=2)) as scene:
        path = await begun(scene)
        for at in (0, 1):
            await send(scene, path, at, DATA[at : at + 1])
        answer = await send(scene, path, 2, DATA[2:])
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (422, "too_many_parts")
        assert error["config_key"] == "jobs.max_upload_parts"


async def test_a_full_disk_is_told_and_the_part_may_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    async with job_scene(tmp_path, started=False) as scene:
        path = await begun(scene)
        with monkeypatch.context() as broken:
            broken.setattr("os.fsync", full)
            answer = await send(scene, path, 0, DATA[:100])
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "storage_full")
        assert answer.headers["retry-after"]
        assert (await send(scene, path, 0, DATA)).json()["complete"] is True


async def test_what_nobody_goes_on_with_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with job_scene(tmp_path, settings=job_settings(retention_s=100)) as scene:
        path = await begun(scene)
        await send(scene, path, 0, DATA[:100])
        later = epoch() + 101
        monkeypatch.setattr("serve_app.jobs.sweeper.epoch", lambda: later)
        await scene.jobs._sweeper.sweep()
        assert (await scene.client.get(path)).status_code == 404
        assert list((tmp_path / "files").glob("*")) == []


async def test_an_upload_that_is_deleted_while_a_part_comes_leaves_nothing(tmp_path: Path) -> None:
    async with job_scene(tmp_path, started=False) as scene:
        path = await begun(scene)
        request = _BreaksOff(
            path, b"", {"host": "test"}, method="PUT", left=[DATA[:9000]], stays=True
        )
        running = asyncio.create_task(request.run(scene.app))
        await eventually(lambda: not request.left)
        assert (await scene.client.delete(path)).status_code == 200
        request.leave()
        await running
        assert list((tmp_path / "files").glob("*")) == []


async def test_every_way_in_asks_for_a_key(tmp_path: Path) -> None:
    async with job_scene(tmp_path, started=False) as scene:
        roles = {str(getattr(route, "path", "")): role_of(route) for route in scene.app.routes}
    own = {path: role for path, role in roles.items() if path.startswith("/v1/uploads")}
    assert own == {"/v1/uploads": "client", "/v1/uploads/{upload_id}": "client"}


async def test_uploads_of_others_do_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with keyed_scene(tmp_path, monkeypatch) as (scene, ask):
        begun_by_alice = await ask("alice", "POST", f"/v1/uploads?bytes={SIZE}")
        path = begun_by_alice.headers["location"]
        asked_for = {"upload_id": begun_by_alice.json()["id"]}
        assert (await ask("alice", "PUT", path, content=DATA)).status_code == 200
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            assert (await ask("mallory", method, path)).status_code == 404
            assert (await scene.client.request(method, path)).status_code == 401
        for route in ("/v1/jobs", "/v1/parse"):
            answer = await ask("mallory", "POST", route, json=asked_for)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "file_not_found")
        assert (await ask("mallory", "GET", "/v1/uploads")).json() == {"uploads": []}
        assert [one["id"] for one in (await ask("root", "GET", "/v1/uploads")).json()["uploads"]]
        assert (await ask("alice", "POST", "/v1/jobs", json=asked_for)).status_code == 202
        assert (await ask("root", "DELETE", path)).status_code == 200


async def test_the_bounds_of_one_owner_are_not_anothers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with keyed_scene(tmp_path, monkeypatch, max_uploads_per_owner=1) as (_, ask):
        for name, status in (("alice", 201), ("mallory", 201), ("alice", 429)):
            assert (await ask(name, "POST", "/v1/uploads?bytes=9")).status_code == status


async def test_without_jobs_no_file_is_kept() -> None:
    from tests.http_client import http_client

    async with http_client() as client:
        assert (await client.post("/v1/uploads?bytes=9")).status_code == 404
        answer = await client.post("/v1/parse", json={"upload_id": "x"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_request")
        assert "jobs.enabled" in answer.json()["error"]["message"]


@asynccontextmanager
async def keyed_scene(
    folder: Path, monkeypatch: pytest.MonkeyPatch, **own: Any
) -> AsyncIterator[tuple[JobScene, Any]]:
    """A gateway that asks for keys, and how somebody asks it."""
    roles: list[tuple[str, Any]] = [
        ("alice", "client"),
        ("mallory", "client"),
        ("root", "operator"),
    ]
    keys = {name: new_key(name, role) for name, role in roles}
    entries = [entry.model_dump(mode="json") for _, entry in keys.values()]
    monkeypatch.setenv("OCR_SERVE_API_KEYS", json.dumps(entries))
    settings = fake_settings(auth={"required": True}, jobs=own)
    async with job_scene(folder, settings=settings, started=False) as scene:

        async def ask(name: str, method: str, path: str, **more: Any) -> httpx.Response:
            headers = {"authorization": f"Bearer {keys[name][0]}"}
            return await scene.client.request(method, path, headers=headers, **more)

        yield scene, ask
