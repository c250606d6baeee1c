"""SPEC.md, rows 4, 5 and 8-10: services, the limit of concurrent predictions, and cleanup."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import psutil
import pytest

from tests.documents import encoded, text_pdf, text_picture, truncated
from tests.e2e.busy import full_pages, wait_until_busy
from tests.e2e.ledger import ledger_is_zero, open_entries, references, temporary_files
from tests.e2e.server import Server
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.spec

HELLO = encoded(text_picture("Hello 42"), "png")
# Half a second of work.
SEVERAL = text_pdf(["\n".join(["The quick brown fox"] * 4)])


def test_row_04_acquiring_a_free_service_or_waiting_for_one(server: Server) -> None:
    """GIVEN all services are busy WHEN a request comes THEN it waits, and is answered."""
    assert server.parse(HELLO, model="ocr").status_code == 200
    (pid,) = server.engines_of("ocr")
    with ThreadPoolExecutor() as pool:
        long = pool.submit(server.parse, full_pages(2), model="ocr")
        wait_until_busy(pid, long)
        short = server.parse(HELLO, model="ocr")
        assert short.status_code == 200
        assert float(short.headers["x-ocr-queue-seconds"]) > 0
        assert long.result().status_code == 200
    assert server.engines_of("ocr") == {pid}


@pytest.mark.parametrize("how", ["failure", "time-out", "disconnect"])
def test_row_05_releasing_a_service(server: Server, how: str) -> None:
    """WHEN a task ends in whatever way THEN the service serves other tasks."""
    assert server.parse(HELLO, model="ocr").status_code == 200
    if how == "failure":
        assert server.parse(truncated(HELLO), model="ocr").status_code == 422
    elif how == "time-out":
        headers = {"x-request-timeout-seconds": "1"}
        files = {"file": ("long.pdf", full_pages(8))}
        late = server.http.post("/v1/parse", params={"model": "ocr"}, files=files, headers=headers)
        assert late.status_code == 504
    else:
        with pytest.raises(httpx.TimeoutException):
            server.http.post(
                "/v1/parse",
                params={"model": "ocr"},
                files={"file": ("long.pdf", full_pages(8))},
                timeout=1,
            )
    assert server.parse(HELLO, model="ocr").status_code == 200
    eventually(lambda: references(server) == 0, 30, "no reference is left")
    assert server.events("a task left things open") == []


def test_row_08_never_more_predictions_at_once_than_the_limit(server: Server) -> None:
    """GIVEN limit 2 WHEN eight predictions are asked for THEN never more than two at once."""
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(server.parse, SEVERAL, model="structure") for _ in range(8)]
        most = 0
        while not all(one.done() for one in asked):
            most = max(most, len(server.engine_processes()))
            time.sleep(0.05)
        assert [one.result().status_code for one in asked] == [200] * 8
    # One engine is one process with one thread that predicts: no more engines, no more at once.
    assert most == 2


def test_row_09_cleanup_after_success(server: Server) -> None:
    """WHEN a task succeeds THEN its memory, temporary files and references are released."""
    assert server.parse(HELLO, model="structure").status_code == 200
    before = temporary_files()
    for _ in range(5):
        assert server.parse(HELLO, model="structure").status_code == 200
    eventually(lambda: ledger_is_zero(server), 10, "nothing is reserved or held")
    assert temporary_files() == before


@pytest.mark.parametrize("how", ["bad file", "killed engine", "killed twice"])
def test_row_10_cleanup_after_failure(server: Server, how: str) -> None:
    """WHEN a task fails for whatever reason THEN the same is released."""
    assert server.parse(HELLO, model="ocr").status_code == 200
    before = temporary_files()
    if how == "bad file":
        assert server.parse(truncated(HELLO), model="ocr").status_code == 422
    else:
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(server.parse, full_pages(1), model="ocr")
            for _ in range(2 if how == "killed twice" else 1):
                pid = eventually(lambda: only_engine(server), 60, "an engine is there")
                wait_until_busy(pid, asked)
                os.kill(pid, signal.SIGKILL)
                eventually(partial(_is_gone, pid), 10, "it is gone")
            answer = asked.result()
        if how == "killed twice":
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "engine_killed"
            assert int(answer.headers["retry-after"]) >= 1
        else:
            assert answer.status_code == 200
    eventually(lambda: ledger_is_zero(server), 10, "nothing is reserved or held")
    assert temporary_files() == before
    assert server.parse(HELLO, model="ocr").status_code == 200


def test_a_request_has_a_record_beside_those_of_its_pages(server: Server) -> None:
    """WHEN a request has ended THEN GET /v1/tasks has it and its pages under its own name."""

    def tasks(kind: str) -> list[dict[str, Any]]:
        found = server.http.get("/v1/tasks", params={"kind": kind}).json()["tasks"]
        return [task for task in found if task["request_id"] == "two-pages"]

    files, named = {"file": ("two.pdf", full_pages(2))}, {"x-request-id": "two-pages"}
    posted = partial(server.http.post, "/v1/parse", params={"model": "ocr"}, headers=named)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(posted, files=files)
        eventually(lambda: open_entries(server) > 0, 60, "its pages hold something")
        answer = asked.result()
    assert answer.status_code == 200
    (whole,) = eventually(lambda: tasks("request"), 10, "the registry has the request")
    eventually(lambda: len(tasks("page")) == 2, 10, "and its pages")
    pages = tasks("page")
    assert (whole["page"], whole["outcome"]) == (None, "success")
    assert {page["page"] for page in pages} == {1, 2}
    assert whole["pixels"] == sum(page["pixels"] for page in pages)
    assert whole["peak_bytes"] == max(page["peak_bytes"] for page in pages)
    assert whole["peak_bytes"] == int(answer.headers["x-ocr-peak-bytes"])
    eventually(lambda: ledger_is_zero(server), 10, "nothing is reserved or held")
    assert server.events("a task left things open") == []


def _is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)


def only_engine(server: Server) -> int | None:
    """The one that has loaded: a load uses the processor too."""
    engines = [pid for pid in server.engines_of("ocr") if psutil.pid_exists(pid)]
    return engines[0] if len(engines) == 1 else None
