from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from serve_app.policy.job import (
    EndState,
    Fault,
    Job,
    JobRules,
    JobState,
    Lease,
    LeaseLost,
    cancelled,
    claimable,
    claimed,
    ended,
    handed_back,
    overdue,
    page_stored,
    put_off,
    renewed,
)

RULES = JobRules(max_failures=3, retention_s=100.0)
JOB = Job("j", "alice", "ocr", "batch", 10, submitted_at=0.0, deadline_at=1000.0, input_bytes=7)
FAULT = Fault("engine_killed", "by a signal")


def lease(token: str = "t", until: float = 25.0) -> Lease:
    return Lease("host:1", token, until)


def running(now: float = 10.0, token: str = "t") -> Job:
    return claimed(JOB, lease(token, now + 15), now, RULES)


def test_a_queued_job_is_claimed_and_starts() -> None:
    job = running()
    assert (job.state, job.lease, job.started_at) == ("running", lease(), 10.0)


def test_a_job_that_is_driven_is_not_claimed_until_its_lease_lapses() -> None:
    job = running()
    assert not claimable(job, 24.9)
    with pytest.raises(LeaseLost):
        claimed(job, lease("u"), 24.9, RULES)
    taken = claimed(job, lease("u", 40.0), 25.0, RULES)
    assert taken.lease == lease("u", 40.0)
    assert taken.started_at == 10.0


def test_a_renewed_lease_lapses_later() -> None:
    job = renewed(running(), "t", 50.0)
    assert not claimable(job, 49.0)


def test_a_driver_that_has_lost_its_lease_changes_nothing() -> None:
    taken = claimed(running(), lease("u", 40.0), 25.0, RULES)
    attempts: list[Callable[[], Job]] = [
        lambda: renewed(taken, "t", 99.0),
        lambda: page_stored(taken, "t", 26.0, size_bytes=1, failed=False),
        lambda: handed_back(taken, "t", 26.0),
        lambda: put_off(taken, "t", 26.0, FAULT, RULES, counts=True),
        lambda: ended(taken, "t", "done", 26.0, RULES),
    ]
    for late in attempts:
        with pytest.raises(LeaseLost):
            late()


@pytest.mark.parametrize("state", ["queued", "done", "failed", "cancelled", "expired"])
def test_nothing_is_noted_of_a_job_that_nobody_drives(state: JobState) -> None:
    job = replace(running(), state=state)
    with pytest.raises(LeaseLost):
        page_stored(job, "t", 11.0, size_bytes=1, failed=False)


def test_pages_are_counted_and_timed() -> None:
    job = page_stored(running(now=10.0), "t", 12.0, size_bytes=100, failed=False)
    assert (job.pages_done, job.pages_failed, job.result_bytes) == (1, 0, 100)
    assert (job.page_s, job.seconds_left) == (2.0, 18.0)
    job = page_stored(job, "t", 13.0, size_bytes=0, failed=True)
    assert (job.pages_done, job.pages_failed) == (2, 1)
    assert job.page_s == pytest.approx(0.7 * 2 + 0.3 * 1)
    assert job.stored_bytes == 107


def test_the_time_in_the_queue_is_not_a_pages_time() -> None:
    job = page_stored(running(now=10.0), "t", 12.0, size_bytes=1, failed=False)
    job = claimed(handed_back(job, "t", 12.0), lease("u", 515.0), 500.0, RULES)
    job = page_stored(job, "u", 502.0, size_bytes=1, failed=False)
    assert job.page_s == pytest.approx(2.0)


def test_without_a_page_nothing_is_estimated() -> None:
    assert running().seconds_left is None
    assert JOB.seconds_left is None


def test_a_job_that_is_handed_back_waits_again_at_once() -> None:
    job = handed_back(running(), "t", 12.0)
    assert (job.state, job.lease) == ("queued", None)
    assert claimable(job, 12.0)


def test_no_room_is_waited_for_ever_longer_but_is_no_failure() -> None:
    job, now, delays = JOB, 10.0, []
    for _ in range(9):
        job = claimed(job, lease("t", now + 15), now, RULES)
        job = put_off(job, "t", now, FAULT, RULES, counts=False)
        delays.append(job.not_before - now)
        assert not claimable(job, job.not_before - 0.01)
        now = job.not_before
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert job.state == "queued"


def test_failures_in_a_row_fail_the_job_and_a_page_between_makes_up_for_them() -> None:
    job, now = JOB, 10.0
    for _ in range(2):
        job = claimed(job, lease("t", now + 15), now, RULES)
        job = put_off(job, "t", now, FAULT, RULES, counts=True)
        now = job.not_before
    job = claimed(job, lease("t", now + 15), now, RULES)
    job = page_stored(job, "t", now, size_bytes=1, failed=False)
    for _ in range(3):
        assert job.state != "failed"
        if job.state == "queued":
            job = claimed(job, lease("t", now + 15), now, RULES)
        job = put_off(job, "t", now, FAULT, RULES, counts=True)
        now = max(now, job.not_before)
    assert (job.state, job.fault) == ("failed", FAULT)


def test_a_job_whose_drivers_all_die_fails() -> None:
    job, now = running(now=0.0), 0.0
    for _ in range(2):
        now += 15
        job = claimed(job, lease("t", now + 15), now, RULES)
        assert job.state == "running"
    job = claimed(job, lease("t", now + 30), now + 15, RULES)
    assert (job.state, job.fault and job.fault.code) == ("failed", "job_abandoned")
    assert job.lease is None


@pytest.mark.parametrize(("state", "input_bytes"), [("done", 7), ("failed", 0)])
def test_an_ended_job_expires_and_has_its_input_if_it_is_done(
    state: EndState, input_bytes: int
) -> None:
    job = ended(running(), "t", state, 20.0, RULES)
    assert (job.state, job.ended_at, job.expires_at) == (state, 20.0, 120.0)
    assert (job.input_bytes, job.lease) == (input_bytes, None)


def test_cancel_ends_a_job_that_waits_or_runs_and_no_other() -> None:
    for job in (JOB, running()):
        assert cancelled(job, 20.0, RULES).state == "cancelled"
    done = ended(running(), "t", "done", 20.0, RULES)
    assert cancelled(done, 30.0, RULES) is done


def test_a_job_expires_at_its_deadline_whether_driven_or_not() -> None:
    for job in (JOB, running()):
        assert overdue(job, 999.9, RULES) is job
        late = overdue(job, 1000.0, RULES)
        assert (late.state, late.fault and late.fault.code) == ("expired", "deadline_exceeded")
        assert not claimable(job, 1000.0)
    done = ended(running(), "t", "done", 20.0, RULES)
    assert overdue(done, 2000.0, RULES) is done
