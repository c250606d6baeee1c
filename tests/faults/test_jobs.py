"""Jobs on a real server with fake engines: killed, cancelled, queued by the thousand."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.ledger import ledger_is_zero
from tests.e2e.server import Server
from tests.e2e.waiting import eventually
from tests.faults.scene import Before, fault_config, page, pages, running_with_faults
from tests.processes import smaps_bytes

pytestmark = [pytest.mark.faults, pytest.mark.slow]

ENDED = ("done", "failed", "cancelled", "expired")
# What a gateway has sent and not stored: gateway.window_pages.
WINDOW = 4


def submit(server: Server, data: bytes, **query: Any) -> str:
    answer = server.http.post("/v1/jobs", params={"model": "ocr", **query}, content=data)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def job_of(server: Server, job_id: str, **query: Any) -> dict[str, Any]:
    answer = server.http.get(f"/v1/jobs/{job_id}", params=query)
    assert answer.status_code == 200, answer.text
    job: dict[str, Any] = answer.json()
    return job


def until_pages(server: Server, job_id: str, count: int) -> None:
    def enough() -> bool:
        return bool(job_of(server, job_id)["pages"]["done"] >= count)

    eventually(enough, 60, f"{count} pages are done")


def until_ended(server: Server, job_id: str, within_s: float = 90) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        job = job_of(server, job_id, wait=5)
        return job if job["state"] in ENDED else None

    found = eventually(ended, within_s, "the job has ended")
    assert found
    return found


def predicted(server: Server, job_id: str) -> Counter[int]:
    """How often the engines predicted each page of the job, by the workers' log."""
    done = server.events("page done", request_id=job_id, outcome="success")
    return Counter(record["page"] for record in done)


@pytest.fixture
def state() -> Iterator[dict[str, str]]:
    """The variable with a folder that outlives a server."""
    folder = tempfile.mkdtemp(prefix="ocr-jobs-", dir="/tmp")
    yield {"OCR_SERVE_STATE": folder}
    shutil.rmtree(folder)


def test_a_job_goes_on_after_the_whole_server_was_killed(state: dict[str, str]) -> None:
    total = 100
    with running_with_faults(fault_config(), state) as server:
        job_id = submit(server, pages(total, sleep_s=0.1))
        queued = submit(server, pages(2))
        until_pages(server, job_id, 40)
        for process in server.processes():
            process.kill()
        before = predicted(server, job_id)
    with running_with_faults(fault_config(), state) as server:
        job = until_ended(server, job_id)
        assert (job["state"], job["pages"]) == (
            "done",
            {"total": total, "done": total, "failed": 0},
        )
        assert until_ended(server, queued)["state"] == "done"
        result = server.http.get(f"/v1/jobs/{job_id}/result", params={"format": "json"})
        assert [one["page"] for one in result.json()["pages"]] == list(range(1, total + 1))
        counts = before + predicted(server, job_id)
    assert set(counts) == set(range(1, total + 1))
    again = {number: count for number, count in counts.items() if count > 1}
    print(f"predicted twice: {again}")
    assert sum(counts.values()) - total <= WINDOW
    assert max(counts.values()) <= 2


def test_a_job_goes_on_when_its_gateway_was_killed(before: Before) -> None:
    server = before.server
    job_id = submit(server, pages(30, sleep_s=0.1))
    until_pages(server, job_id, 5)
    os.kill(server.replica_process("gateway").pid, signal.SIGKILL)

    def answers() -> bool:
        return server.http.get(f"/v1/jobs/{job_id}").status_code == 200

    eventually(answers, 60, "a gateway answers")
    job = until_ended(server, job_id)
    assert (job["state"], job["pages"]["done"]) == ("done", 30)
    counts = predicted(server, job_id)
    assert sum(counts.values()) - 30 <= WINDOW
    before.assert_nothing_is_left()


def test_a_cancelled_job_is_answered_at_once_and_gives_everything_back(before: Before) -> None:
    server = before.server
    job_id = submit(server, pages(100, sleep_s=0.1))
    until_pages(server, job_id, 10)
    asked = time.monotonic()
    answer = server.http.delete(f"/v1/jobs/{job_id}")
    assert time.monotonic() - asked < 1
    assert answer.json()["state"] == "cancelled"
    eventually(lambda: ledger_is_zero(server), asked + 2 - time.monotonic(), "all is given back")
    started = sum(predicted(server, job_id).values())
    time.sleep(1)
    assert sum(predicted(server, job_id).values()) == started < 30
    before.assert_nothing_is_left()


def gateway_bytes(server: Server) -> int:
    return smaps_bytes(server.replica_process("gateway"), "Pss_Anon")


def status_seconds(server: Server, job_id: str, count: int = 200) -> list[float]:
    """How long single requests for the status take, the slowest last."""
    seconds = []
    for _ in range(count):
        asked = time.perf_counter()
        job_of(server, job_id)
        seconds.append(time.perf_counter() - asked)
    return sorted(seconds)


@pytest.mark.long
def test_a_thousand_queued_jobs_are_no_load(before: Before) -> None:
    server = before.server
    blocking = [submit(server, pages(300, sleep_s=1.0)) for _ in range(2)]
    empty = status_seconds(server, blocking[0])
    held = gateway_bytes(server)
    data, asked = page(), time.monotonic()
    queued = [submit(server, data) for _ in range(1000)]
    print(f"1000 jobs submitted in {time.monotonic() - asked:.1f} s")
    full = status_seconds(server, queued[500])
    grown = gateway_bytes(server) - held
    print(f"status p50, p99 of an empty queue: {empty[100]:.4f}, {empty[197]:.4f} s")
    print(f"status p50, p99 of a full queue: {full[100]:.4f}, {full[197]:.4f} s")
    print(f"the gateway has grown by {grown / 2**20:.1f} MiB")
    assert job_of(server, queued[-1])["queue_position"] == 1000
    # By their medians: on a machine that does other work, too, the slowest tell of that work.
    assert full[100] <= 2 * empty[100]
    assert grown < 16 * 2**20
    for job_id in [*blocking, *queued]:
        assert server.http.delete(f"/v1/jobs/{job_id}").status_code == 200
    before.assert_nothing_is_left()


def test_a_job_of_many_pages_needs_no_more_of_the_gateway(before: Before) -> None:
    """Pages of a quarter MiB each, which would be 125 MiB together."""
    server = before.server
    peaks = []
    for count in (10, 10, 500):
        job_id = submit(server, pages(count, big_bytes=2**18))
        job, peak = job_of(server, job_id), 0
        while job["state"] not in ENDED:
            peak = max(peak, gateway_bytes(server))
            job = job_of(server, job_id, wait=0.1)
        assert job["state"] == "done", job
        answer = server.http.get(f"/v1/jobs/{job_id}/result", params={"format": "text"})
        assert answer.text.count("\n") >= count
        peaks.append(max(peak, gateway_bytes(server)))
    print(f"the gateway held {[round(peak / 2**20, 1) for peak in peaks]} MiB")
    # The first one warms up.
    assert peaks[2] - peaks[1] < 8 * 2**20


def test_state_is_a_folder_for_its_user_only(before: Before) -> None:
    server = before.server
    until_ended(server, submit(server, page()))
    process = server.replica_process("gateway")
    folder = Path(psutil.Process(process.pid).environ()["OCR_SERVE_STATE"]) / "jobs"
    assert folder.stat().st_mode & 0o077 == 0
