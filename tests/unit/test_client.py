"""``ocr-serve parse`` and what is below it, against the application in process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_app.api.app import build_http_app
from serve_app.client import http as client_http
from serve_app.client.batch import Batch, Summary
from serve_app.client.files import documents
from serve_app.client.http import ClientError, JobClient
from serve_app.command import cli
from serve_app.errors import PageFailed
from serve_app.testing.service import FakeDocumentService, fake_settings
from tests import documents as samples
from tests.unit.jobs_scene import JobScene, job_scene

PNG = samples.picture("png")


def tree(folder: Path, *names: str) -> None:
    for number, name in enumerate(names, 1):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(samples.tiff([(64, 48)] * number))


def client_of(app: Any, **more: Any) -> JobClient:
    return JobClient("http://test", transport=httpx.ASGITransport(app), **more)


async def run(scene: JobScene, folder: Path, out: Path | None = None, **more: Any) -> Summary:
    found, missing = documents([str(folder)], out, "text")
    assert not missing
    client = client_of(scene.app)
    try:
        return await Batch(client, {"format": "text"}, **more).run(found)
    finally:
        await client.close()


# Which files


def test_a_folder_is_searched_and_its_places_are_kept(tmp_path: Path) -> None:
    tree(tmp_path / "in", "a.pdf", "sub/b.PNG", "notes.md")
    found, missing = documents([str(tmp_path / "in")], tmp_path / "out", "markdown")
    assert [one.source.name for one in found] == ["a.pdf", "b.PNG"]
    targets = [one.target.relative_to(tmp_path).as_posix() for one in found]
    assert targets == ["out/a.pdf.md", "out/sub/b.PNG.md"]
    assert missing == []


def test_results_are_beside_their_documents_without_a_folder_for_them(tmp_path: Path) -> None:
    tree(tmp_path, "a.pdf", "a.png")
    found, _ = documents([str(tmp_path)], None, "json")
    assert [one.target.name for one in found] == ["a.pdf.json", "a.png.json"]


def test_a_pattern_a_named_file_and_one_that_is_named_twice(tmp_path: Path) -> None:
    tree(tmp_path, "a.pdf", "sub/b.tif", "scan")
    given = [str(tmp_path / "**/*.tif"), str(tmp_path / "scan"), str(tmp_path / "sub")]
    found, missing = documents([*given, str(tmp_path / "no*.pdf")], None, "text")
    assert [one.source.name for one in found] == ["b.tif", "scan"]
    assert missing == [str(tmp_path / "no*.pdf")]


# A run


async def test_each_document_gets_its_result(tmp_path: Path) -> None:
    tree(tmp_path / "in", "a.tiff", "b.tiff", "c.tiff")
    told: list[tuple[str, int, int]] = []
    async with job_scene(tmp_path / "state") as scene:
        summary = await run(
            scene,
            tmp_path / "in",
            tmp_path / "out",
            progress=lambda document, done, total: told.append((document.source.name, done, total)),
        )
    assert (summary.count("done"), summary.pages, summary.failures) == (3, 6, {})
    assert (tmp_path / "out/b.tiff.txt").read_text() == "Page 1\nHello 42\n\nPage 2\nHello 42\n"
    assert ("c.tiff", 3, 3) in told


async def test_a_second_run_leaves_alone_what_is_there(tmp_path: Path) -> None:
    tree(tmp_path / "in", "a.tiff", "b.tiff")
    async with job_scene(tmp_path / "state") as scene:
        await run(scene, tmp_path / "in")
        (tmp_path / "in/b.tiff.txt").unlink()
        again = await run(scene, tmp_path / "in")
        assert (again.count("done"), again.count("skipped")) == (1, 1)
        # Its job was found again: nothing was predicted twice.
        assert len(scene.service.calls) == 2
        forced = await run(scene, tmp_path / "in", force=True)
        assert forced.count("done") == 2
        os.utime(tmp_path / "in/a.tiff", (2**31, 2**31))
        assert (await run(scene, tmp_path / "in")).count("skipped") == 1


async def test_a_run_that_is_interrupted_goes_on(tmp_path: Path) -> None:
    tree(tmp_path / "in", "a.tiff")
    service = FakeDocumentService(blocked=asyncio.Event())
    assert service.blocked
    async with job_scene(tmp_path / "state", service) as scene:
        first = asyncio.create_task(run(scene, tmp_path / "in"))
        await service.begun.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert [path.name for path in (tmp_path / "in").iterdir()] == ["a.tiff"]
        service.blocked.set()
        assert (await run(scene, tmp_path / "in")).count("done") == 1
        assert len(service.calls) == 1


async def test_a_document_that_fails_is_told_and_does_not_stop_the_others(tmp_path: Path) -> None:
    tree(tmp_path / "in", "a.tiff", "b.tiff")
    (tmp_path / "in/c.png").write_bytes(b"no picture")
    service = FakeDocumentService(errors={1: PageFailed("it raised ValueError")})
    async with job_scene(tmp_path / "state", service) as scene:
        summary = await run(scene, tmp_path / "in")
        assert (summary.count("done"), summary.count("failed")) == (1, 2)
        reasons = {one.source.name: why for one, why in summary.failures.items()}
        assert reasons["b.tiff"] == f"page_failed: {PageFailed.outside}"
        assert reasons["c.png"].startswith("unsupported_file: ")
        # Tried anew by the next run, not answered with the old failure.
        service.errors = {}
        assert (await run(scene, tmp_path / "in")).count("done") == 1


class Breaking(httpx.ASGITransport):
    """Notes the parts that go over it; the line breaks at one of them."""

    def __init__(self, app: Any, breaks_at: int | None = None) -> None:
        super().__init__(app)
        self.parts: list[str] = []
        self._breaks_at = breaks_at

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            if len(self.parts) == self._breaks_at:
                raise httpx.ConnectError("the line breaks")
            self.parts.append(request.headers["content-range"])
        return await super().handle_async_request(request)


async def test_a_large_file_comes_in_parts_and_goes_on_in_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_http, "LARGE_BYTES", 10_000)
    monkeypatch.setattr(client_http, "PART_BYTES", 10_000)
    data = samples.tiff([(64, 48)] * 3)
    async with job_scene(tmp_path) as scene:
        broken, whole = Breaking(scene.app, breaks_at=1), Breaking(scene.app)
        client = JobClient("http://test", patience_s=0, transport=broken)
        with pytest.raises(ClientError, match="the line breaks"):
            await client.submit(data, {"format": "text"}, "key")
        await client.close()
        assert scene.service.calls == []
        client = JobClient("http://test", transport=whole)
        jobs = [await client.submit(data, {"format": "text"}, "key") for _ in range(2)]
        await client.close()
        assert jobs[0]["id"] == jobs[1]["id"]
        size = len(data)
        first, last = f"bytes 10000-19999/{size}", f"bytes 20000-{size - 1}/{size}"
        assert broken.parts + whole.parts[:2] == [f"bytes 0-9999/{size}", first, last]
        assert (await scene.job(jobs[0]["id"], wait=30))["state"] == "done"
        assert bytes(scene.service.calls[0].request.data) == data
        assert (await scene.client.get("/v1/uploads")).json() == {"uploads": []}


async def test_a_part_that_came_though_its_answer_did_not_is_not_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_pause: list[float]
) -> None:
    monkeypatch.setattr(client_http, "LARGE_BYTES", 10_000)
    monkeypatch.setattr(client_http, "PART_BYTES", 10_000)

    class Loses(Breaking):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await super().handle_async_request(request)
            if request.method == "PUT" and len(self.parts) == 1:
                raise httpx.ReadError("the answer is lost")
            return response

    data = samples.tiff([(64, 48)] * 3)
    async with job_scene(tmp_path) as scene:
        client = JobClient("http://test", transport=Loses(scene.app))
        job = await client.submit(data, {}, "key")
        await client.close()
        assert (await scene.job(job["id"], wait=30))["state"] == "done"
        assert bytes(scene.service.calls[0].request.data) == data


async def test_a_server_without_uploads_gets_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_http, "LARGE_BYTES", 10)
    monkeypatch.setattr(client_http, "UPLOADS", "/v1/nothing")
    async with job_scene(tmp_path) as scene:
        client = client_of(scene.app)
        assert (await client.submit(PNG, {}, "key"))["id"]
        await client.close()


async def test_a_server_without_jobs_is_asked_for_the_whole(tmp_path: Path) -> None:
    tree(tmp_path / "in", "a.tiff")
    app = build_http_app(FakeDocumentService(), fake_settings())
    found, _ = documents([str(tmp_path / "in")], None, "text")
    client = client_of(app)
    summary = await Batch(client, {"format": "text"}).run(found)
    await client.close()
    assert summary.count("done") == 1
    assert found[0].target.read_text() == "Page 1\nHello 42\n"


class Moods:
    """A server that answers with one after the other."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("serve_app.client.http.asyncio.sleep", note)
    return pauses


async def test_what_may_pass_is_tried_again(no_pause: list[float]) -> None:
    moods = Moods(
        httpx.Response(503, headers={"retry-after": "7"}, json={"error": {}}),
        httpx.ConnectError("refused"),
        httpx.Response(500, text="the gateway has died"),
        httpx.Response(200, json={"id": "j"}),
    )
    client = JobClient("http://test", "key", transport=httpx.MockTransport(moods))
    assert await client.submit(b"x", {}, "k") == {"id": "j"}
    assert moods.asked == 4
    assert 7 <= no_pause[0] <= 9
    await client.close()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            httpx.Response(422, json={"error": {"code": "empty_file", "message": "no bytes"}}),
            "empty_file: no bytes",
        ),
        (httpx.Response(500, json={"error": {"code": "internal", "message": "?"}}), "internal"),
        (httpx.Response(403, text="no"), "the server answered 403"),
        (httpx.Response(200, text="<html>"), "is this its URL"),
        (httpx.Response(200, json=[]), "is this its URL"),
    ],
)
async def test_what_does_not_pass_is_an_error_at_once(
    answer: httpx.Response, message: str, no_pause: list[float]
) -> None:
    client = JobClient("http://test", transport=httpx.MockTransport(Moods(answer)))
    with pytest.raises(ClientError, match=message):
        await client.submit(b"x", {}, "k")
    assert no_pause == []
    await client.close()


async def test_patience_ends(no_pause: list[float]) -> None:
    moods = Moods(*(httpx.ConnectError("refused") for _ in range(3)))
    transport = httpx.MockTransport(moods)
    client = JobClient("http://test", patience_s=0, transport=transport)
    with pytest.raises(ClientError, match="ConnectError: refused"):
        await client.submit(b"x", {}, "k")
    await client.close()


async def test_a_result_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    async def pieces() -> Any:
        yield b"half"
        raise httpx.ReadError("gone")

    moods = Moods(httpx.Response(200, content=pieces()))
    client = JobClient("http://test", transport=httpx.MockTransport(moods))
    with pytest.raises(ClientError, match="broke off"):
        await client.fetch("j", {}, tmp_path / "a.md")
    assert os.listdir(tmp_path) == []
    await client.close()


# The command


@contextmanager
def served(app: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command's client, answered in process."""
    made = client_http.JobClient.__init__

    def make(self: JobClient, url: str, key: str | None = None, **_: Any) -> None:
        made(self, url, key, patience_s=0, transport=httpx.ASGITransport(app))

    with monkeypatch.context() as patch:
        patch.setattr(client_http.JobClient, "__init__", make)
        yield


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    def run(*arguments: str) -> tuple[int, str]:
        app = build_http_app(FakeDocumentService(), fake_settings())
        with served(app, monkeypatch):
            code = cli.main(["parse", *arguments])
        return code, capsys.readouterr().err

    return run


def test_the_command_ends_with_a_summary_and_its_exit_code(
    tmp_path: Path, command: Callable[..., tuple[int, str]]
) -> None:
    tree(tmp_path, "a.tiff", "b.tiff")
    code, told = command(str(tmp_path), "--option", "model=ocr", "--pages", "1")
    assert code == 0
    assert told.startswith("2 done in ")
    assert (tmp_path / "b.tiff.md").read_text() == "# Page 1\n\nHello 42\n"
    (tmp_path / "bad[1].png").write_bytes(b"no picture")
    code, told = command(str(tmp_path))
    assert code == 1
    assert "bad[1].png:unsupported_file:" in "".join(told.split()), "wherever it is broken"
    assert "1 failed" in told


@pytest.mark.parametrize(
    "arguments",
    [["no-such-file.pdf"], [".", "--option", "x"], [".", "--at-once", "0"]],
)
def test_wrong_arguments_are_2(
    arguments: list[str], command: Callable[..., tuple[int, str]]
) -> None:
    code, told = command(*arguments)
    assert code == 2
    assert told.startswith("ocr-serve: ")
