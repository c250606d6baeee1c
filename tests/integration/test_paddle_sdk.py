"""PaddleOCR's own client (paddleocr 3.7.0, unmodified) against this server's Job API.

A real server on a real port; behind it canned pages, so that what the client makes of them can be
compared.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.served import BAD_PAGE, JPEG, Served
from tests.served import served as running

paddleocr = pytest.importorskip("paddleocr")

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with running(tmp_path_factory.mktemp("jobs")) as one:
        yield one


@pytest.fixture
def client(served: Served) -> Iterator[Any]:
    with paddleocr.PaddleOCRClient(token="any", base_url=served.url + "/") as client:
        yield client


def test_lines_of_text(client: Any, served: Served) -> None:
    asked = time.monotonic()
    result = client.ocr(file_path=served.file(3))
    # Its first look comes at once, the next after three seconds: that one is not needed.
    assert time.monotonic() - asked < 3
    texts = [one.pruned_result["rec_texts"] for one in result.pages]
    assert texts == [[f"Page {n}", "line\u2028separator"] for n in (1, 2, 3)]
    assert result.data_info["numPages"] == 3
    assert served.service.calls[-1].request.model == "ocr"


def test_drawn_pictures_are_saved(client: Any, served: Served, tmp_path: Path) -> None:
    options = paddleocr.OCROptions(visualize=True, use_doc_unwarping=False)
    result = client.ocr(file_path=served.file(1), options=options)
    saved = client.save_ocr_result_resources(result, str(tmp_path))
    assert [Path(one).name for one in saved] == ["ocr-page-1.jpg"]
    assert Path(saved[0]).read_bytes() == JPEG
    assert served.service.calls[-1].request.options.predict == {"use_doc_unwarping": False}


def test_a_document_by_the_clients_default_model(
    client: Any, served: Served, tmp_path: Path
) -> None:
    result = client.parse_document(file_path=served.file(12))
    assert len(result.pages) == 12
    first, last = result.pages[0], result.pages[-1]
    assert first.markdown_text == '# Page 1\n\n<img src="page-1-a.jpg">'
    assert last.pruned_result["rec_texts"][0] == "Page 12"
    saved = client.save_document_parsing_result_resources(result, str(tmp_path))
    assert [Path(one).name for one in saved] == [f"page-{n}-a.jpg" for n in range(1, 13)]
    assert served.service.calls[-1].request.model == "structure"


def test_page_ranges_docx_and_the_options_of_a_layout_pipeline(client: Any, served: Served) -> None:
    options = paddleocr.PPStructureV3Options(
        use_chart_recognition=False, layout_threshold=0.4, output_formats=["docx"]
    )
    result = client.parse_document(
        model="PP-StructureV3", file_path=served.file(6), options=options, page_ranges="2,4-6"
    )
    assert [one.markdown_text[:8] for one in result.pages] == [
        "# Page 2",
        "# Page 4",
        "# Page 5",
        "# Page 6",
    ]
    assert result.pages[0].exports["docx"]["content"] == "UEsgZG9jeA=="
    predict = served.service.calls[-1].request.options.predict
    assert predict == {"use_chart_recognition": False, "layout_threshold": 0.4}


def test_submission_status_and_result_apart(client: Any, served: Served) -> None:
    job = client.submit_document_parsing(file_path=served.file(2))
    status = client.get_status(job.job_id)
    assert (status.state, status.progress.total_pages, status.progress.extracted_pages) == (
        "done",
        2,
        2,
    )
    assert status.result["jsonUrl"].startswith(served.url)
    assert len(client.wait_document_parsing_result(job).pages) == 2


def test_a_batch(client: Any, served: Served) -> None:
    jobs = [client.submit_ocr(file_path=served.file(n), batch_id="b1") for n in (1, 2, 3)]
    for job in jobs:
        client.wait_ocr_result(job)
    batch = client.get_batch_status("b1")
    assert [one.job_id for one in batch.jobs] == [job.job_id for job in jobs]
    assert {one.state for one in batch.jobs} == {"done"}
    assert [one.progress.total_pages for one in batch.jobs] == [1, 2, 3]


def test_a_job_that_fails_and_one_that_is_refused(client: Any, served: Served) -> None:
    from paddleocr._api_client.errors import APIError, InvalidRequestError, JobFailedError

    with pytest.raises(JobFailedError, match="its engine failed"):
        client.ocr(file_path=served.file(BAD_PAGE + 1), page_ranges="100")
    with pytest.raises(InvalidRequestError, match="there is no page 9"):
        client.ocr(file_path=served.file(1), page_ranges="9")
    with pytest.raises(InvalidRequestError, match="disabled"):
        client.ocr(file_url="http://127.0.0.1/a.pdf")
    with pytest.raises(APIError, match="There is no job"):
        client.get_status("unknown")


def run_async(served: Served, use: Callable[[Any], Any]) -> Any:
    async def go() -> Any:
        async with paddleocr.AsyncPaddleOCRClient(token="any", base_url=served.url) as client:
            return await use(client)

    return asyncio.run(go())


def test_the_asynchronous_client(served: Served) -> None:
    file = served.file(4)

    async def use(client: Any) -> list[Any]:
        return await asyncio.gather(
            client.ocr(file_path=file),
            client.parse_document(file_path=file, page_ranges="1-2"),
            *(client.ocr(file_path=file, batch_id="b2") for _ in range(4)),
        )

    text, document, *more = run_async(served, use)
    assert [one.pruned_result["rec_texts"][0] for one in text.pages] == [
        f"Page {n}" for n in (1, 2, 3, 4)
    ]
    assert [one.markdown_text[:8] for one in document.pages] == ["# Page 1", "# Page 2"]
    assert [len(one.pages) for one in more] == [4, 4, 4, 4]

    async def batch(client: Any) -> Any:
        return await client.get_batch_status("b2")

    assert len(run_async(served, batch).jobs) == 4
