"""What an engine can do wrong under a page: the answer over HTTP, and nothing left behind."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psutil
import pytest

from serve_app.testing.engine import faulty
from tests.documents import picture
from tests.e2e.waiting import eventually
from tests.faults.scene import (
    MIB,
    QUEUE_PAGES,
    Before,
    code_of,
    engine_of,
    engine_pids,
    own_bytes,
    page,
    pages,
)

pytestmark = pytest.mark.faults

FAILURES, WARM_UP, CLIENTS = 200, 500, 4
# A page of this size would be seen in the server's memory after two of them.
PAGE_SIDE = 1024
TWO_PAGES_BYTES = 2 * 3 * PAGE_SIDE * PAGE_SIDE


@pytest.mark.parametrize(
    ("command", "status", "code"),
    [
        ({"fail": "boom"}, 500, "page_failed"),
        ({"invalid": "no page"}, 422, "invalid_file"),
        ({"crash": signal.SIGSEGV}, 422, "page_quarantined"),
        ({"crash": signal.SIGABRT}, 422, "page_quarantined"),
        ({"exit": 3}, 500, "page_failed"),
        ({"garbage": True}, 422, "page_quarantined"),
        ({"sleep_s": 60}, 422, "page_quarantined"),
        ({"crash": signal.SIGKILL}, 503, "engine_killed"),
        ({"memory_error": True}, 503, "engine_out_of_memory"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_a_fault_is_a_typed_answer_and_leaves_nothing(
    before: Before, command: dict[str, Any], status: int, code: str
) -> None:
    answer = before.server.parse(page(**command))
    assert (answer.status_code, code_of(answer)) == (status, code), answer.text
    assert ("retry-after" in answer.headers) == (status == 503)
    before.assert_nothing_is_left()


def test_a_page_in_quarantine_is_refused_without_an_engine(before: Before) -> None:
    """And only that page: another one of the same picture size is answered."""
    bad = page(crash=signal.SIGSEGV, note="this very file")
    assert code_of(before.server.parse(bad)) == "page_quarantined"
    before.assert_nothing_is_left()
    engines = set(engine_pids(before.server))
    started = time.monotonic()
    again = before.server.parse(bad)
    elapsed_s = time.monotonic() - started
    assert (again.status_code, code_of(again)) == (422, "page_quarantined")
    assert elapsed_s < 1
    assert set(engine_pids(before.server)) == engines


def test_the_other_pages_of_a_document_come_back_and_the_answer_says_which_failed(
    before: Before,
) -> None:
    document = pages(4, only_page=2, crash=signal.SIGSEGV)
    partial = before.server.parse(document, on_page_error="partial", format="json")
    assert partial.status_code == 200, partial.text
    assert partial.headers["x-ocr-failed-pages"] == "3"
    found = partial.json()["pages"]
    assert [one["page"] for one in found] == [1, 2, 3, 4]
    assert [one.get("error", {}).get("code") for one in found] == [
        None,
        None,
        "page_quarantined",
        None,
    ]
    whole = before.server.parse(document)
    assert (whole.status_code, code_of(whole)) == (422, "page_quarantined")
    before.assert_nothing_is_left()


def test_two_hundred_failures_in_a_row_leave_the_memory_as_it_was(before: Before) -> None:
    server = before.server

    def fail(data: bytes) -> tuple[int, str]:
        answer = server.parse(data)
        return answer.status_code, code_of(answer)

    with ThreadPoolExecutor(CLIENTS) as clients:
        # Heaps and bounded records grow to their size first: 10 MB in 800 requests, then less.
        assert set(clients.map(fail, map(_large, range(WARM_UP)))) == {(500, "page_failed")}
        before.assert_nothing_is_left()
        at_first = own_bytes(server)
        assert set(clients.map(fail, map(_large, range(FAILURES)))) == {(500, "page_failed")}
    before.assert_nothing_is_left()
    grown = own_bytes(server) - at_first
    print(f"{FAILURES} failures: {grown / MIB:+.1f} MiB of {at_first / MIB:.0f} MiB")
    assert grown <= TWO_PAGES_BYTES


def _large(number: int) -> bytes:
    return faulty(picture("bmp", PAGE_SIDE, PAGE_SIDE), fail="boom", number=number)


def test_a_client_that_leaves_ends_its_running_page_and_its_waiting_ones(before: Before) -> None:
    """With ``cancel.running: kill``."""
    server = before.server
    with pytest.raises(httpx.TimeoutException):
        server.http.post(
            "/v1/parse", files={"file": ("a.tiff", pages(6, sleep_s=1.5))}, timeout=0.7
        )
    started = time.monotonic()
    before.assert_nothing_is_left()
    # Six pages of 1.5 s on two engines would take 4.5 s.
    assert time.monotonic() - started < 4


def test_a_deadline_covers_the_run_and_ends_it(before: Before) -> None:
    server = before.server
    answer = server.http.post(
        "/v1/parse",
        files={"file": ("a.png", page(sleep_s=1.9))},
        headers={"x-request-timeout-seconds": "1"},
    )
    assert (answer.status_code, code_of(answer)) == (504, "deadline_exceeded")
    before.assert_nothing_is_left()


def test_beyond_the_bounded_queue_requests_are_refused_at_once_and_told_when_to_retry(
    before: Before,
) -> None:
    server = before.server
    asked = 3 * QUEUE_PAGES
    with ThreadPoolExecutor(asked) as clients:
        answers = list(clients.map(lambda _: server.parse(page(sleep_s=0.3)), range(asked)))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.status_code for answer in answers} == {200, 503}
    assert {code_of(answer) for answer in refused} == {"queue_full"}
    assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused)
    before.assert_nothing_is_left()


def test_one_long_document_does_not_starve_a_single_page(before: Before) -> None:
    server = before.server
    with ThreadPoolExecutor(1) as clients:
        long = clients.submit(server.parse, pages(20, sleep_s=0.4))
        eventually(lambda: len(engine_pids(server)) == 2, 20, "both engines work on it")
        answer = server.parse(page(sleep_s=0.1))
        assert answer.status_code == 200
        assert not long.done()
        assert float(answer.headers["x-ocr-queue-seconds"]) < 1.5
        assert long.result().status_code == 200
    before.assert_nothing_is_left()


def test_an_engine_that_dies_again_and_again_is_not_restarted_in_a_storm(before: Before) -> None:
    """Each page ends two engines; after that starts wait for longer and longer."""
    server = before.server
    started = time.monotonic()
    with ThreadPoolExecutor(4) as clients:
        bad = [page(crash=signal.SIGSEGV, storm=number) for number in range(3)]
        answers = list(clients.map(server.parse, bad))
    assert {code_of(answer) for answer in answers} == {"page_quarantined"}
    # Six engines died; the starts after the second waited for 1, 2, 4 and 5 s.
    assert time.monotonic() - started >= 5
    last = server.parse(page())
    assert last.status_code == 200
    assert psutil.pid_exists(engine_of(last))
    before.assert_nothing_is_left()
