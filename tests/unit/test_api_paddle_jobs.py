"""The Job API's wire format and its clients' quirks; ``tests/integration/test_paddle_sdk.py`` has
the clients themselves."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_app.document import PageInfo, PageResult
from serve_app.errors import PageFailed
from serve_app.testing.service import (
    FakeDocumentService,
    canned_layout_page,
    canned_page,
    fake_settings,
)
from tests import documents
from tests.unit.jobs_scene import JobScene, eventually, job_scene, job_settings

PNG = documents.picture("png")
JPEG = documents.picture("jpeg")
PATH = "/api/v2/ocr/jobs"
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def pages(count: int) -> bytes:
    return documents.tiff([(64, 48)] * count)


async def submit(
    scene: JobScene, data: bytes = PNG, model: str = "PP-StructureV3", **fields: str
) -> httpx.Response:
    form = {"model": model, "optionalPayload": "{}", **fields}
    return await scene.client.post(PATH, data=form, files={"file": ("document.pdf", data)})


async def submitted(scene: JobScene, *args: Any, **fields: Any) -> str:
    answer = await submit(scene, *args, **fields)
    assert (answer.status_code, answer.json()["code"]) == (200, 0), answer.text
    return str(answer.json()["data"]["jobId"])


async def status(scene: JobScene, job_id: str) -> dict[str, Any]:
    answer = await scene.client.get(f"{PATH}/{job_id}")
    assert answer.status_code == 200, answer.text
    assert "null" not in answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


async def lines(scene: JobScene, job_id: str) -> list[dict[str, Any]]:
    url = (await status(scene, job_id))["resultUrl"]["jsonUrl"]
    answer = await scene.client.get(url, headers={"authorization": ""})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson; charset=utf-8"
    assert answer.content.isascii()
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_a_job_from_submission_to_result(tmp_path: Path) -> None:
    async with job_scene(tmp_path) as scene:
        job_id = await submitted(scene, pages(3))
        done = await status(scene, job_id)
        assert (done["jobId"], done["state"]) == (job_id, "done")
        progress = done["extractProgress"]
        assert (progress["totalPages"], progress["extractedPages"]) == (3, 3)
        assert TIME.fullmatch(progress["startTime"])
        assert TIME.fullmatch(progress["endTime"])
        assert done["resultUrl"]["jsonUrl"].startswith("http://test/api/v2/ocr/jobs/")
        (line,) = await lines(scene, job_id)
        assert (line["errorCode"], line["errorMsg"]) == (0, "Success")
        result = line["result"]
        texts = [page["markdown"]["text"] for page in result["layoutParsingResults"]]
        assert texts == [f"# Page {n}\n\nHello 42" for n in (1, 2, 3)]
        assert all(page["markdown"]["images"] == {} for page in result["layoutParsingResults"])
        assert result["dataInfo"]["numPages"] == 3
        assert "notices" not in result


async def test_the_result_as_markdown(tmp_path: Path) -> None:
    async with job_scene(tmp_path) as scene:
        url = (await status(scene, await submitted(scene, pages(2))))["resultUrl"]["markdownUrl"]
        answer = await scene.client.get(url)
        assert answer.text == "# Page 1\n\nHello 42\n\n# Page 2\n\nHello 42\n"


async def test_lines_of_text(tmp_path: Path) -> None:
    async with job_scene(tmp_path) as scene:
        (line,) = await lines(scene, await submitted(scene, PNG, "PP-OCRv6"))
        (page,) = line["result"]["ocrResults"]
        assert page["prunedResult"]["rec_texts"] == ["Page 1", "Hello 42"]
        assert scene.service.calls[0].request.model == "ocr"


async def test_a_line_has_ten_pages_and_the_whole_data_info(tmp_path: Path) -> None:
    async with job_scene(tmp_path) as scene:
        found = await lines(scene, await submitted(scene, pages(23)))
        assert [len(line["result"]["layoutParsingResults"]) for line in found] == [10, 10, 3]
        assert {line["result"]["dataInfo"]["numPages"] for line in found} == {23}


async def test_page_ranges_choose_pages_and_their_sizes(tmp_path: Path) -> None:
    async with job_scene(tmp_path) as scene:
        (line,) = await lines(scene, await submitted(scene, pages(6), pageRanges="2,4-6"))
        result = line["result"]
        texts = [page["markdown"]["text"][:8] for page in result["layoutParsingResults"]]
        assert texts == ["# Page 2", "# Page 4", "# Page 5", "# Page 6"]
        assert result["dataInfo"]["numPages"] == len(result["dataInfo"]["pages"]) == 4


async def test_text_that_clients_would_split_at_is_escaped(tmp_path: Path) -> None:
    text = "a\u2028b\u0085c\x0bd é 漢 \U0001f600"
    service = FakeDocumentService(lambda page: canned_page(page, lines=[text], markdown=text))
    async with job_scene(tmp_path, service) as scene:
        (line,) = await lines(scene, await submitted(scene))
        (page,) = line["result"]["layoutParsingResults"]
        assert page["markdown"]["text"] == text
        assert page["prunedResult"]["rec_texts"] == [text]


def illustrated(page: PageInfo) -> PageResult:
    return canned_page(
        page,
        markdown='<img src="imgs/a.jpg"> ![](imgs/a.jpg.b.jpg)',
        markdown_images={"imgs/a.jpg": JPEG, "imgs/a.jpg.b.jpg": JPEG + b"b"},
        images={"layout_det_res": JPEG + b"l", "input_img": JPEG + b"i"},
        exports={"docx": b"PK"},
    )


async def test_pictures_are_urls_that_need_no_key(tmp_path: Path) -> None:
    async with job_scene(tmp_path, FakeDocumentService(illustrated)) as scene:
        payload = json.dumps({"visualize": True, "outputFormats": ["docx"]})
        (line,) = await lines(scene, await submitted(scene, pages(2), optionalPayload=payload))
        page = line["result"]["layoutParsingResults"][1]
        images = page["markdown"]["images"]
        # Plain names: the client saves no other.
        assert list(images) == ["page-2-a.jpg", "page-2-a.jpg.b.jpg"]
        assert page["markdown"]["text"] == ('<img src="page-2-a.jpg"> ![](page-2-a.jpg.b.jpg)')
        wanted = {
            images["page-2-a.jpg"]: JPEG,
            images["page-2-a.jpg.b.jpg"]: JPEG + b"b",
            page["outputImages"]["layout_det_res"]: JPEG + b"l",
            page["inputImage"]: JPEG + b"i",
        }
        for url, data in wanted.items():
            answer = await scene.client.get(url)
            assert (answer.status_code, answer.content) == (200, data)
            assert answer.headers["content-type"] == "image/jpeg"
        assert page["exports"] == {"docx": {"content": "UEs=", "fileName": "page-2.docx"}}


@pytest.mark.parametrize("where", ["signature", "expires", "path", "job", "none"])
async def test_a_url_that_was_changed_opens_nothing(tmp_path: Path, where: str) -> None:
    async with job_scene(tmp_path, FakeDocumentService(illustrated)) as scene:
        ids = [await submitted(scene), await submitted(scene, pages(2))]
        for job_id in ids:
            await status(scene, job_id)
        url = (await status(scene, ids[0]))["resultUrl"]["jsonUrl"]
        head, _, tail = url.rpartition("=")
        changed = {
            "signature": f"{head}={'0' * 64}",
            "expires": re.sub(r"expires=(\d)", r"expires=9\1", url),
            "path": url.replace("result.jsonl", "result.md"),
            "job": url.replace(ids[0], ids[1]),
            "none": url.partition("?")[0],
        }[where]
        assert tail
        assert changed != url
        answer = await scene.client.get(changed)
        assert (answer.status_code, answer.json()["code"]) == (403, 403)
        assert "signed" in answer.json()["msg"]


async def test_a_url_expires(tmp_path: Path) -> None:
    from serve_app.api.signed_urls import Links
    from serve_app.clock import epoch

    async with job_scene(tmp_path) as scene:
        job_id = await submitted(scene)
        await status(scene, job_id)
        secret = await scene.jobs.secret()
        late = Links(secret, f"http://test{PATH}", job_id, int(epoch()) - 1)
        answer = await scene.client.get(late.url("result.jsonl"))
        assert (answer.status_code, "expired" in answer.json()["msg"]) == (403, True)


@pytest.mark.parametrize(
    "payload",
    [
        {"useDocUnwarping": False, "textDetLimitSideLen": 64, "useChartRecognition": None},
        {"use_doc_unwarping": False, "text_det_limit_side_len": 64, "temperature": 0.1},
        {"useDocUnwarping": False, "text_det_limit_side_len": 64, "promptLabel": "ocr", "file": 1},
    ],
)
async def test_options_come_in_both_spellings_and_unknown_ones_are_ignored(
    tmp_path: Path, payload: dict[str, Any]
) -> None:
    async with job_scene(tmp_path) as scene:
        job_id = await submitted(scene, optionalPayload=json.dumps(payload))
        await status(scene, job_id)
        predict = scene.service.calls[0].request.options.predict
        assert predict == {"use_doc_unwarping": False, "text_det_limit_side_len": 64}


@pytest.mark.parametrize(
    ("asked", "model"),
    [
        ("PP-OCRv5", "ocr"),
        ("PP-OCRv5-latin", "ocr"),
        ("PP-OCRv6", "ocr"),
        ("PP-StructureV3", "structure"),
        ("PaddleOCR-VL", "structure"),
        ("PaddleOCR-VL-1.5", "structure"),
        ("PaddleOCR-VL-1.6", "structure"),
        ("structure", "structure"),
    ],
)
async def test_every_model_of_the_clients_is_answered_and_the_answer_says_by_which(
    tmp_path: Path, asked: str, model: str
) -> None:
    async with job_scene(tmp_path) as scene:
        answer = await submit(scene, PNG, asked)
        assert answer.headers["x-ocr-model"] == model
        (line,) = await lines(scene, answer.json()["data"]["jobId"])
        notices = line["result"].get("notices", [])
        if asked in ("structure", "PP-StructureV3"):
            assert notices == []
        else:
            (notice,) = notices
            assert asked in notice
            assert f"model {model}" in notice


async def test_the_table_of_models_is_configured(tmp_path: Path) -> None:
    settings = job_settings(paddle_models={"PP-OCRv9": "ocr", "Other": "not-declared"})
    async with job_scene(tmp_path, settings=settings, started=False) as scene:
        assert (await submit(scene, PNG, "PP-OCRv9")).status_code == 200
        for unknown in ("PP-OCRv6", "Other"):
            answer = await submit(scene, PNG, unknown)
            assert answer.status_code == 400
            assert answer.json()["msg"].endswith("known: PP-OCRv9")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"json": {"model": "PP-OCRv6"}}, "fileUrl"),
        ({"json": {"model": "PP-OCRv6", "fileUrl": "ftp://x"}}, "fileUrl"),
        ({"json": {"fileUrl": "http://example.org/a.pdf"}}, "`model` is missing"),
        ({"json": {"model": "PP-OCRv6", "fileUrl": "http://example.org/a.pdf"}}, "disabled"),
        ({"json": []}, "object"),
        ({"data": {"model": "PP-OCRv6"}, "files": {"file": b"x"}}, "format is not known"),
        ({"data": {}, "files": {"file": PNG}}, "`model` is missing"),
        ({"data": {"model": "x" * 200}, "files": {"file": PNG}}, "128"),
        ({"data": {"model": "PP-OCRv6", "pageRanges": "9"}, "files": {"file": PNG}}, "page 9"),
        (
            {"data": {"model": "PP-OCRv6", "optionalPayload": "{"}, "files": {"file": PNG}},
            "not valid JSON",
        ),
        (
            {"data": {"model": "PP-OCRv6", "optionalPayload": "[]"}, "files": {"file": PNG}},
            "must be an object",
        ),
        (
            {
                "data": {"model": "PP-OCRv6", "optionalPayload": '{"textDetThresh": "x"}'},
                "files": {"file": PNG},
            },
            "textDetThresh",
        ),
        ({"data": {"model": "PP-OCRv6"}}, "file"),
    ],
)
async def test_what_is_wrong_is_a_400_in_their_envelope(
    tmp_path: Path, request_: dict[str, Any], message: str
) -> None:
    async with job_scene(tmp_path, started=False) as scene:
        answer = await scene.client.post(PATH, **request_)
        assert answer.status_code == 400
        assert answer.json()["code"] == 400
        assert message in answer.json()["msg"]
        assert list(answer.json()) == ["code", "msg"]


async def test_unknown_jobs_batches_and_paths_are_404s_in_their_envelope(tmp_path: Path) -> None:
    async with job_scene(tmp_path, started=False) as scene:
        for path in (f"{PATH}/x", f"{PATH}/batch/x", "/api/v2/x"):
            answer = await scene.client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, 404)


async def test_states_that_the_clients_do_not_know_are_failed(tmp_path: Path) -> None:
    service = FakeDocumentService(errors={0: PageFailed("it raised ValueError")})
    settings = job_settings(paddle_wait_s=0)
    async with job_scene(tmp_path, service, settings, started=False) as scene:
        first, second = await submitted(scene), await submitted(scene)
        assert await status(scene, first) == {"jobId": first, "state": "pending"}
        answer = await scene.client.delete(f"{PATH}/{first}")
        assert answer.json()["data"]["state"] == "failed"
        assert (await status(scene, first))["errorMsg"] == "The job was cancelled"
        scene.jobs.start()
        await scene.job(second, wait=30)
        failed = await status(scene, second)
        assert (failed["state"], failed["errorMsg"]) == ("failed", PageFailed.outside)
        assert "resultUrl" not in failed


async def test_a_running_job_tells_its_pages(tmp_path: Path) -> None:
    service = FakeDocumentService(blocked=asyncio.Event())
    async with job_scene(tmp_path, service, job_settings(paddle_wait_s=0)) as scene:
        job_id = await submitted(scene, pages(3))
        await service.begun.wait()
        running = await status(scene, job_id)
        assert running["state"] == "running"
        assert list(running["extractProgress"]) == ["totalPages", "extractedPages", "startTime"]


async def test_the_status_is_held_until_the_end_but_not_for_ever(tmp_path: Path) -> None:
    service = FakeDocumentService(blocked=asyncio.Event())
    assert service.blocked
    async with job_scene(tmp_path, service, job_settings(paddle_wait_s=0.05)) as scene:
        job_id = await submitted(scene)
        assert (await status(scene, job_id))["state"] in ("pending", "running")
    async with job_scene(tmp_path / "b", service) as scene:
        job_id = await submitted(scene)
        held = asyncio.create_task(status(scene, job_id))
        await eventually(lambda: scene.jobs.waiters.count)
        service.blocked.set()
        assert (await held)["state"] == "done"


async def test_batches(tmp_path: Path) -> None:
    async with job_scene(tmp_path) as scene:
        ids = [await submitted(scene, batchId="monday") for _ in range(3)]
        await submitted(scene, batchId="tuesday")
        for job_id in ids:
            await status(scene, job_id)
        answer = await scene.client.get(f"{PATH}/batch/monday")
        data = answer.json()["data"]
        assert data["batchId"] == "monday"
        assert [job["jobId"] for job in data["extractResult"]] == ids
        assert {job["state"] for job in data["extractResult"]} == {"done"}


async def test_urls_have_the_configured_public_address(tmp_path: Path) -> None:
    settings = job_settings(public_url="https://ocr.example.com/base/")
    async with job_scene(tmp_path, settings=settings) as scene:
        done = await status(scene, await submitted(scene))
        url = done["resultUrl"]["jsonUrl"]
        assert url.startswith("https://ocr.example.com/base/api/v2/ocr/jobs/")
        answer = await scene.client.get(url.removeprefix("https://ocr.example.com/base"))
        assert answer.status_code == 200


async def test_keys_are_asked_for_but_not_by_signed_urls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from serve_app.api.api_keys import new_key

    (key, entry), (other, other_entry) = new_key("alice", "client"), new_key("bob", "client")
    entries = [one.model_dump(mode="json") for one in (entry, other_entry)]
    monkeypatch.setenv("OCR_SERVE_API_KEYS", json.dumps(entries))
    settings = fake_settings(auth={"required": True})
    async with job_scene(tmp_path, settings=settings) as scene:
        assert (await submit(scene)).status_code == 401
        scene.client.headers["authorization"] = f"Bearer {key}"
        job_id = await submitted(scene, batchId="b")
        url = (await status(scene, job_id))["resultUrl"]["jsonUrl"]
        del scene.client.headers["authorization"]
        assert (await scene.client.get(url)).status_code == 200
        scene.client.headers["authorization"] = f"Bearer {other}"
        for path in (f"{PATH}/{job_id}", f"{PATH}/batch/b"):
            assert (await scene.client.get(path)).status_code == 404
        assert (await scene.client.delete(f"{PATH}/{job_id}")).status_code == 404


async def test_any_token_will_do_where_no_keys_are_asked_for(tmp_path: Path) -> None:
    async with job_scene(tmp_path, headers={"authorization": "Bearer anything"}) as scene:
        await submitted(scene)


async def test_a_job_of_either_api_is_seen_by_the_other(tmp_path: Path) -> None:
    service = FakeDocumentService(canned_layout_page)
    async with job_scene(tmp_path, service) as scene:
        job_id = await submitted(scene, pages(2))
        assert (await scene.job(job_id, wait=30))["state"] == "done"
        ours = await scene.submit(pages(2), model="ocr")
        await scene.job(ours["id"], wait=30)
        (line,) = await lines(scene, ours["id"])
        assert len(line["result"]["ocrResults"]) == 2
        answer = await scene.client.get(f"/v1/jobs/{job_id}/result?format=text")
        assert answer.status_code == 200
