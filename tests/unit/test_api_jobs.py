from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pypdfium2
import pytest

from serve_app.api.auth import role_of
from serve_app.document import PageInfo, PageResult
from serve_app.errors import EngineUnavailable, PageFailed, QueueFull
from serve_app.testing.service import FakeDocumentService, canned_page, fake_settings
from tests import documents
from tests.unit.jobs_scene import JobScene, eventually, job_scene, job_settings

PNG = documents.picture("png")


def pages(count: int) -> bytes:
    return documents.tiff([(64, 48)] * count)


def text_of(data: bytes) -> str:
    pdf = pypdfium2.PdfDocument(data)
    try:
        return "\n".join(page.get_textpage().get_text_range() for page in pdf)
    finally:
        pdf.close()


async def test_a_job_is_accepted_at_once_and_done_later(tmp_path: Path) -> None:
    service = FakeDocumentService(blocked=asyncio.Event())
    assert service.blocked
    async with job_scene(tmp_path, service) as scene:
        answer = await scene.client.post("/v1/jobs", content=pages(3))
        assert answer.status_code == 202
        job = answer.json()
        assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
        assert job["pages"] == {"total": 3, "done": 0, "failed": 0}
        assert (job["state"], job["queue_position"]) == ("queued", 1)
        await service.begun.wait()
        assert (await scene.job(job["id"]))["state"] == "running"
        service.blocked.set()
        done = await scene.job(job["id"], wait=30)
        assert (done["state"], done["pages"]["done"]) == ("done", 3)
        result = await scene.client.get(f"/v1/jobs/{job['id']}/result")
        assert result.status_code == 200
        assert (
            result.text == "# Page 1\n\nHello 42\n\n# Page 2\n\nHello 42\n\n# Page 3\n\nHello 42\n"
        )
        assert scene.ledger.open_entries == 0


async def test_the_result_comes_in_any_form_and_is_that_of_parse(tmp_path: Path) -> None:
    async with job_scene(tmp_path) as scene:
        job = await scene.ended_job(pages(2), format="text")
        for form in ("markdown", "json", "text", "html", "hocr", "alto", "chunks"):
            want = await scene.client.post("/v1/parse", params={"format": form}, content=pages(2))
            url = f"/v1/jobs/{job['id']}/result"
            got = await scene.client.get(url, params={"format": form})
            assert got.content == want.content
            assert got.headers["content-type"] == want.headers["content-type"]
        as_submitted = await scene.client.get(f"/v1/jobs/{job['id']}/result")
        assert as_submitted.text == "Page 1\nHello 42\n\nPage 2\nHello 42\n"


@pytest.mark.parametrize("way", ["form", "body", "json"])
async def test_each_way_of_sending_a_file(tmp_path: Path, way: str) -> None:
    from tests.http_client import b64

    sent: dict[str, Any] = {
        "form": {"files": {"file": ("a.png", PNG)}, "data": {"model": "ocr"}},
        "body": {"content": PNG, "params": {"model": "ocr"}},
        "json": {"json": {"file": b64(PNG), "model": "ocr", "use_doc_unwarping": False}},
    }
    async with job_scene(tmp_path) as scene:
        answer = await scene.client.post("/v1/jobs", **sent[way])
        assert answer.status_code == 202, answer.text
        assert answer.json()["model"] == "ocr"
        assert (await scene.job(answer.json()["id"], wait=30))["state"] == "done"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"content": b"no picture"}, "unsupported_file"),
        ({"content": PNG, "params": {"pages": "2"}}, "invalid_request"),
        ({"content": PNG, "params": {"modle": "ocr"}}, "invalid_request"),
        ({"content": PNG, "params": {"model": "no"}}, "unknown_model"),
        ({"content": PNG, "params": {"deadline_s": "0"}}, "invalid_request"),
        ({"content": PNG, "params": {"deadline_s": "1e9"}}, "invalid_request"),
        ({"content": PNG, "params": {"priority": "urgent"}}, "invalid_request"),
        ({"content": PNG, "headers": {"idempotency-key": "a b"}}, "invalid_request"),
        ({"json": {"url": "http://example.org/a.pdf"}}, "url_fetch_disabled"),
        ({"json": {"url": "a.pdf"}}, "invalid_request"),
        ({"json": {"file": "QUJD", "url": "http://example.org"}}, "invalid_request"),
        ({"json": {}}, "invalid_request"),
        ({"json": [1]}, "invalid_request"),
    ],
)
async def test_what_cannot_be_parsed_is_refused_when_it_is_submitted(
    tmp_path: Path, request_: dict[str, Any], code: str
) -> None:
    async with job_scene(tmp_path) as scene:
        answer = await scene.client.post("/v1/jobs", **request_)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)
        assert (await scene.client.get("/v1/jobs")).json() == {"jobs": []}
        assert list((tmp_path / "files").glob("*")) == []


async def test_the_same_idempotency_key_is_the_same_job(tmp_path: Path) -> None:
    async with job_scene(tmp_path) as scene:
        post = scene.client.post
        headers = {"idempotency-key": "order-7"}
        first = await post("/v1/jobs", content=PNG, headers=headers)
        again = await post("/v1/jobs", content=PNG, headers=headers)
        other = await post("/v1/jobs", content=pages(2), headers=headers)
        assert again.status_code == 202
        assert first.json()["id"] == again.json()["id"]
        assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
        await scene.job(first.json()["id"], wait=30)
        assert len(scene.service.calls) == 1


async def test_jobs_are_listed_newest_first_in_parts(tmp_path: Path) -> None:
    async with job_scene(tmp_path, started=False) as scene:
        ids = [(await scene.submit(PNG))["id"] for _ in range(5)]
        first = (await scene.client.get("/v1/jobs?limit=3")).json()
        rest = (await scene.client.get(first["next"])).json()
        got = [job["id"] for job in first["jobs"] + rest["jobs"]]
        assert got == ids[::-1]
        assert "next" not in rest


async def test_waiting_ends_with_the_wait_or_the_job(tmp_path: Path) -> None:
    service = FakeDocumentService(blocked=asyncio.Event())
    assert service.blocked
    async with job_scene(tmp_path, service) as scene:
        job = await scene.submit(PNG)
        assert (await scene.job(job["id"], wait=0.05))["state"] in ("queued", "running")
        waiting = asyncio.create_task(scene.job(job["id"], wait=30))
        await service.begun.wait()
        service.blocked.set()
        assert (await waiting)["state"] == "done"


@pytest.mark.parametrize("wait", ["-1", "61", "x", "nan"])
async def test_a_wait_is_a_number_up_to_a_minute(tmp_path: Path, wait: str) -> None:
    async with job_scene(tmp_path, started=False) as scene:
        job = await scene.submit(PNG)
        answer = await scene.client.get(f"/v1/jobs/{job['id']}", params={"wait": wait})
        assert answer.status_code == 422


def events_of(text: str) -> list[tuple[str, str | None, dict[str, Any]]]:
    events = []
    for part in text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in part.splitlines() if not line.startswith(":"))
        events.append((lines["event"], lines.get("id"), json.loads(lines["data"])))
    return events


async def test_events_tell_of_state_each_page_and_the_end(tmp_path: Path) -> None:
    service = FakeDocumentService(blocked=asyncio.Event())
    assert service.blocked
    async with job_scene(tmp_path, service) as scene:
        job = await scene.submit(pages(3))
        watching = asyncio.create_task(scene.client.get(f"/v1/jobs/{job['id']}/events"))
        await service.begun.wait()
        service.blocked.set()
        answer = await watching
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = events_of(answer.text)
        assert [number for name, number, _ in events if name == "page"] == ["1", "2", "3"]
        assert [data["page"] for name, _, data in events if name == "page"] == [1, 2, 3]
        assert events[0][0] == "state"
        assert (events[-1][0], events[-1][2]["state"]) == ("end", "done")


async def test_events_resume_after_the_last_id(tmp_path: Path) -> None:
    async with job_scene(tmp_path) as scene:
        job = await scene.ended_job(pages(4))
        url, headers = f"/v1/jobs/{job['id']}/events", {"last-event-id": "2"}
        events = events_of((await scene.client.get(url, headers=headers)).text)
        assert [(name, number) for name, number, _ in events] == [
            ("page", "3"),
            ("page", "4"),
            ("end", None),
        ]
        wrong = await scene.client.get(url, headers={"last-event-id": "x"})
        assert wrong.status_code == 422


async def test_too_many_listeners_are_refused_and_a_wait_is_not_held(tmp_path: Path) -> None:
    settings = job_settings(max_waiting=1)
    async with job_scene(tmp_path, settings=settings, started=False) as scene:
        job = await scene.submit(PNG)
        with scene.jobs.waiters.place():
            refused = await scene.client.get(f"/v1/jobs/{job['id']}/events")
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "queue_full")
            assert (await scene.job(job["id"], wait=60))["state"] == "queued"


class PacedPages:
    """Pages that are handed out one by one; notes those that were asked for."""

    def __init__(self, hold_after: int) -> None:
        self.asked: list[int] = []
        self._hold_after = hold_after

    def __call__(self, page: PageInfo) -> PageResult:
        self.asked.append(page.index)
        return canned_page(page)


async def test_a_cancelled_job_is_answered_at_once_and_no_further_page_starts(
    tmp_path: Path,
) -> None:
    service = FakeDocumentService(blocked=asyncio.Event())
    gate = service.blocked
    assert gate

    def page(info: PageInfo) -> PageResult:
        if info.index == 9:
            gate.clear()  # the eleventh waits
        return canned_page(info)

    service.page = page
    gate.set()
    async with job_scene(tmp_path, service) as scene:
        job = await scene.submit(pages(100))
        await scene.until_pages(job["id"], 10)
        started = asyncio.get_running_loop().time()
        answer = await scene.client.delete(f"/v1/jobs/{job['id']}")
        assert asyncio.get_running_loop().time() - started < 1
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
        gate.set()
        await eventually(lambda: service.ended == 1)
        assert service.yielded == list(range(10))
        assert scene.ledger.open_entries == 0
        after = await scene.job(job["id"])
        assert (after["state"], after["pages"]["done"]) == ("cancelled", 10)
        whole = await scene.client.get(f"/v1/jobs/{job['id']}/result")
        assert (whole.status_code, whole.json()["error"]["code"]) == (409, "job_not_done")
        some = await scene.client.get(
            f"/v1/jobs/{job['id']}/result", params={"partial": "true", "format": "text"}
        )
        assert some.text == "\n".join(["Hello 42\n"] * 10)
        assert some.headers["x-ocr-partial"] == "10/100"
        assert [job.state for job in scene.ended] == ["cancelled"]


async def test_a_second_delete_forgets_the_job_and_its_files(tmp_path: Path) -> None:
    async with job_scene(tmp_path) as scene:
        job = await scene.ended_job(pages(2))
        assert list((tmp_path / "files").glob("*/page-*"))
        answer = await scene.client.delete(f"/v1/jobs/{job['id']}")
        assert (answer.status_code, answer.json()["deleted"]) == (200, True)
        assert (await scene.client.get(f"/v1/jobs/{job['id']}")).status_code == 404
        assert list((tmp_path / "files").glob("*")) == []


async def test_a_job_that_did_not_end_well_keeps_its_results_but_not_its_file(
    tmp_path: Path,
) -> None:
    service = FakeDocumentService(errors={2: PageFailed("no")})
    async with job_scene(tmp_path, service) as scene:
        job = await scene.ended_job(pages(3))
        await eventually(lambda: not list((tmp_path / "files").glob("*/input")))
        assert len(list((tmp_path / "files" / job["id"]).glob("page-*"))) == 2
        url = f"/v1/jobs/{job['id']}/result"
        partial = {"partial": "true", "format": "docx"}
        assert (await scene.client.get(url, params=partial)).status_code == 200
        answer = await scene.client.get(url, params={**partial, "format": "pdf"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "job_not_done")
        assert "its file is not there" in answer.json()["error"]["message"]


async def test_the_file_of_a_done_job_goes_with_its_results(tmp_path: Path) -> None:
    data = pages(2)
    async with job_scene(tmp_path) as scene:
        job = await scene.ended_job(data)
        assert (tmp_path / "files" / job["id"] / "input").read_bytes() == data
        assert job["stored_bytes"] > len(data)
        await scene.client.delete(f"/v1/jobs/{job['id']}")
        assert list((tmp_path / "files").glob("*")) == []


async def test_files_that_are_put_together_are_those_of_parse(tmp_path: Path) -> None:
    files = {"file": ("letter.tiff", pages(2))}
    async with job_scene(tmp_path) as scene:
        answer = await scene.client.post("/v1/jobs", files=files)
        job = await scene.job(answer.json()["id"], wait=30)
        for form in ("pdf", "docx"):
            want = await scene.client.post("/v1/parse", params={"format": form}, files=files)
            url = f"/v1/jobs/{job['id']}/result"
            got = await scene.client.get(url, params={"format": form})
            assert (want.status_code, got.status_code) == (200, 200)
            for header in ("content-type", "content-disposition", "content-security-policy"):
                assert got.headers[header] == want.headers[header]
            assert got.content[:4] == want.content[:4]
            if form == "pdf":
                assert text_of(got.content) == text_of(want.content)
                assert "Hello 42" in text_of(got.content)
        assert scene.ledger.open_entries == 0


async def test_what_was_asked_of_a_job_reaches_its_pages(tmp_path: Path) -> None:
    asked = {
        "model": "structure",
        "text_layer": "only",
        "layout_threshold": '{"0": 0.4}',
        "layout_unclip_ratio": "[1.0, 2.0]",
        "orientation": "auto",
    }
    async with job_scene(tmp_path) as scene:
        await scene.ended_job(PNG, **asked)
        await scene.client.post("/v1/parse", params=asked, content=PNG)
        of_job, of_parse = (call.request.options for call in scene.service.calls)
        assert of_job.predict == of_parse.predict
        assert of_job.predict["layout_threshold"] == {0: 0.4}
        assert (of_job.text_layer, of_job.auto_orientation) == ("only", True)
        assert of_job.keep_all_text == of_parse.keep_all_text


async def test_one_page_and_its_pictures(tmp_path: Path) -> None:
    jpeg = documents.picture("jpeg")

    def page(info: PageInfo) -> PageResult:
        return canned_page(
            info,
            markdown="![](imgs/a.jpg)",
            markdown_images={"imgs/a.jpg": jpeg},
            images={"input_img": jpeg + b"1"},
        )

    async with job_scene(tmp_path, FakeDocumentService(page)) as scene:
        job = await scene.ended_job(pages(2), visualize="true")
        url = f"/v1/jobs/{job['id']}/pages/2"
        text = await scene.client.get(url, params={"format": "text"})
        assert text.text == "Hello 42\n"
        image = await scene.client.get(f"{url}/image")
        assert (image.content, image.headers["content-type"]) == (jpeg + b"1", "image/jpeg")
        other = await scene.client.get(f"{url}/image", params={"name": "imgs/a.jpg"})
        assert other.content == jpeg
        none = await scene.client.get(f"{url}/image", params={"name": "../../etc/passwd"})
        assert (none.status_code, none.json()["error"]["code"]) == (404, "page_not_found")
        for number in ("0", "3", "x", "-1"):
            missing = await scene.client.get(f"/v1/jobs/{job['id']}/pages/{number}")
            assert missing.status_code == 404


async def test_the_page_that_boxes_are_about_comes_without_drawn_ones(tmp_path: Path) -> None:
    def page(info: PageInfo) -> PageResult:
        return canned_page(info, images={"page": PNG})

    service = FakeDocumentService(page=page)
    async with job_scene(tmp_path, service) as scene:
        job = await scene.ended_job(pages(1), visualize="page")
        options = service.calls[0].request.options
        assert (options.page_image, options.visualize) == (True, False)
        picture = await scene.client.get(f"/v1/jobs/{job['id']}/pages/1/image?name=page")
        assert (picture.status_code, picture.content) == (200, PNG)
        answer = await scene.client.post("/v1/jobs?visualize=some", content=PNG)
        assert answer.status_code == 422
        assert "one of true, false, page" in answer.json()["error"]["message"]


async def test_pictures_that_were_not_drawn_are_named_as_such(tmp_path: Path) -> None:
    async with job_scene(tmp_path) as scene:
        job = await scene.ended_job(PNG)
        answer = await scene.client.get(f"/v1/jobs/{job['id']}/pages/1/image")
        assert answer.status_code == 404
        assert "visualize=true" in answer.json()["error"]["message"]


async def test_a_page_that_fails_fails_the_job_and_says_why(tmp_path: Path) -> None:
    service = FakeDocumentService(errors={1: PageFailed("it raised ValueError")})
    async with job_scene(tmp_path, service) as scene:
        job = await scene.ended_job(pages(3))
        assert job["state"] == "failed"
        assert job["error"] == {"code": "page_failed", "message": PageFailed.outside}
        assert job["pages"]["done"] == 1
        result = await scene.client.get(f"/v1/jobs/{job['id']}/result")
        assert result.status_code == 409
        assert PageFailed.outside in result.json()["error"]["message"]


async def test_an_unexpected_error_fails_the_job_without_its_text(tmp_path: Path) -> None:
    service = FakeDocumentService(errors={0: RuntimeError("secret")})
    async with job_scene(tmp_path, service) as scene:
        job = await scene.ended_job(PNG)
        assert job["error"] == {"code": "internal", "message": "Internal server error"}


async def test_with_partial_pages_a_job_is_done_with_the_others(tmp_path: Path) -> None:
    service = FakeDocumentService(errors={1: PageFailed("it raised ValueError")})
    async with job_scene(tmp_path, service) as scene:
        job = await scene.ended_job(pages(3), on_page_error="partial", format="json")
        assert (job["state"], job["pages"]) == ("done", {"total": 3, "done": 3, "failed": 1})
        result = await scene.client.get(f"/v1/jobs/{job['id']}/result")
        assert result.headers["x-ocr-failed-pages"] == "2"
        second = result.json()["pages"][1]
        assert second["error"] == {"code": "page_failed", "message": PageFailed.outside}
        events = events_of((await scene.client.get(f"/v1/jobs/{job['id']}/events")).text)
        assert "error" in next(data for name, _, data in events if data.get("page") == 2)


async def test_a_job_all_of_whose_pages_fail_has_failed(tmp_path: Path) -> None:
    service = FakeDocumentService(errors={0: PageFailed("no"), 1: PageFailed("no")})
    async with job_scene(tmp_path, service) as scene:
        job = await scene.ended_job(pages(2), on_page_error="partial")
        assert (job["state"], job["error"]["code"]) == ("failed", "page_failed")


async def test_a_job_that_finds_no_room_is_tried_again(tmp_path: Path) -> None:
    service = FakeDocumentService(errors={1: QueueFull("full")})
    async with job_scene(tmp_path, service) as scene:
        job = await scene.submit(pages(3))
        await eventually(lambda: service.ended == 1)
        service.errors = {}
        done = await scene.job(job["id"], wait=30)
        assert done["state"] == "done"
        assert service.yielded == [0, 1, 2]  # the first page was kept


async def test_a_job_whose_model_never_loads_fails_in_the_end(tmp_path: Path) -> None:
    service = FakeDocumentService(errors={0: EngineUnavailable("no weights")})
    async with job_scene(tmp_path, service, job_settings(max_failures=2)) as scene:
        job = await scene.ended_job(PNG)
        assert (job["state"], job["error"]["code"]) == ("failed", "engine_unavailable")
        assert service.ended == 2


async def test_jobs_of_others_do_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from serve_app.api.api_keys import new_key

    keys = {name: new_key(name, role) for name, role in ROLES}
    entries = [entry.model_dump(mode="json") for _, entry in keys.values()]
    monkeypatch.setenv("OCR_SERVE_API_KEYS", json.dumps(entries))
    settings = fake_settings(auth={"required": True})
    async with job_scene(tmp_path, settings=settings) as scene:

        async def ask(name: str, method: str, path: str, **more: Any) -> httpx.Response:
            headers = {"authorization": f"Bearer {keys[name][0]}"}
            return await scene.client.request(method, path, headers=headers, **more)

        job = (await ask("alice", "POST", "/v1/jobs", content=PNG)).json()
        url = f"/v1/jobs/{job['id']}"
        assert (await ask("alice", "GET", f"{url}?wait=30")).json()["state"] == "done"
        for method, path in EVERY_ROUTE:
            for_mallory = await ask("mallory", method, url + path)
            for_nobody = await ask("mallory", method, "/v1/jobs/0123" + path)
            assert for_mallory.status_code == for_nobody.status_code == 404
            error, other = for_mallory.json()["error"], for_nobody.json()["error"]
            assert error["code"] == other["code"] == "job_not_found"
            assert (await scene.client.request(method, url + path)).status_code == 401
        assert (await ask("mallory", "GET", "/v1/jobs")).json() == {"jobs": []}
        assert [one["id"] for one in (await ask("root", "GET", "/v1/jobs")).json()["jobs"]]
        assert (await ask("root", "DELETE", url)).status_code == 200


ROLES: list[tuple[str, Any]] = [("alice", "client"), ("mallory", "client"), ("root", "operator")]
EVERY_ROUTE = [
    ("GET", ""),
    ("GET", "/events"),
    ("GET", "/result"),
    ("GET", "/result?partial=true"),
    ("GET", "/pages/1"),
    ("GET", "/pages/1/image"),
    ("DELETE", ""),
]


@pytest.mark.parametrize(
    ("limits", "status", "code", "key"),
    [
        ({"max_queued": 2}, 503, "queue_full", "jobs.max_queued"),
        ({"max_queued_per_owner": 2}, 429, "too_many_requests", "jobs.max_queued_per_owner"),
        ({"max_stored_bytes": 2 * len(PNG)}, 503, "storage_full", "jobs.max_stored_bytes"),
    ],
)
async def test_what_is_too_much_is_refused_and_leaves_no_file(
    tmp_path: Path, limits: dict[str, int], status: int, code: str, key: str
) -> None:
    async with job_scene(tmp_path, settings=job_settings(**limits), started=False) as scene:
        for _ in range(2):
            await scene.submit(PNG)
        answer = await scene.client.post("/v1/jobs", content=PNG)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert key in answer.json()["error"]["message"]
        assert int(answer.headers["retry-after"]) >= 1
        assert len(list((tmp_path / "files").glob("*"))) == 2


async def test_a_store_that_cannot_be_used_is_a_503(tmp_path: Path) -> None:
    (tmp_path / "jobs").write_text("in the way")
    async with job_scene(tmp_path / "jobs", started=False) as scene:
        for answer in (
            await scene.client.post("/v1/jobs", content=PNG),
            await scene.client.get("/v1/jobs"),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "jobs_unavailable")
        assert (await scene.client.post("/v1/parse", content=PNG)).status_code == 200


async def test_documentation_has_the_jobs(tmp_path: Path) -> None:
    async with job_scene(tmp_path, started=False) as scene:
        spec = (await scene.client.get("/openapi.json")).json()
        assert {"/v1/jobs", "/v1/jobs/{job_id}/result"} <= set(spec["paths"])
        json.dumps(spec)


async def test_only_signed_urls_are_for_those_without_a_key(tmp_path: Path) -> None:
    async with job_scene(tmp_path, started=False) as scene:
        roles = {str(getattr(route, "path", "")): role_of(route) for route in scene.app.routes}
    job_routes = {path: role for path, role in roles.items() if "/jobs" in path}
    signed = "/api/v2/ocr/jobs/{job_id}/"
    assert {path for path, role in job_routes.items() if role == "anybody"} == {
        f"{signed}result.jsonl",
        f"{signed}result.md",
        f"{signed}pages/{{number}}/{{name}}",
    }
    assert set(job_routes.values()) == {"anybody", "client"}


async def test_a_scene_has_no_job_of_another(tmp_path: Path) -> None:
    async with job_scene(tmp_path / "a") as one, job_scene(tmp_path / "b") as other:
        assert isinstance(one, JobScene)
        await one.ended_job(PNG)
        assert (await other.client.get("/v1/jobs")).json() == {"jobs": []}
