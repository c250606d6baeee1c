"""Records of requests on their way to the registry, with a registry that fails on command."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from serve_app.gateway import request_log
from serve_app.gateway.request_log import RequestLog
from serve_app.messages import TaskRecord
from tests.unit.policy_reports import record


class Registry:
    """A handle: ``requests_ended.remote(records)``."""

    def __init__(self, failures: int = 0) -> None:
        self.failures, self.calls = failures, list[tuple[str, ...]]()

    @property
    def requests_ended(self) -> Any:
        return self

    async def remote(self, records: tuple[TaskRecord, ...]) -> None:
        self.calls.append(tuple(one.task_id for one in records))
        if self.failures:
            self.failures -= 1
            raise ConnectionError


def request(task_id: str) -> TaskRecord:
    return dataclasses.replace(record(task_id), page=None)


def new_log(registry: Registry) -> RequestLog:
    return RequestLog(registry, collect_s=0, retry_s=0)


async def sent(log: RequestLog) -> None:
    """Wait for what is under way."""
    assert log._sending is not None
    await asyncio.wait_for(log._sending, 5)


async def test_records_that_come_together_share_a_message() -> None:
    registry = Registry()
    log = new_log(registry)
    for name in "abc":
        log.add(request(name))
    await sent(log)
    assert registry.calls == [("a", "b", "c")]
    log.add(request("d"))
    await sent(log)
    assert registry.calls[1:] == [("d",)]


async def test_what_had_no_answer_is_sent_again() -> None:
    registry = Registry(failures=2)
    log = new_log(registry)
    log.add(request("a"))
    await sent(log)
    assert registry.calls == [("a",)] * 3


async def test_one_task_at_most_and_bounded_records_while_the_registry_is_away() -> None:
    registry = Registry(failures=10**9)
    log = new_log(registry)
    before = len(asyncio.all_tasks())
    for number in range(request_log.MAX_UNSENT + 5):
        log.add(request(f"r{number}"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) - before <= 2  # ours, and its call
    registry.failures = 0
    await sent(log)
    assert len(registry.calls[-1]) == request_log.MAX_UNSENT
    assert registry.calls[-1][0] == "r5"  # the oldest are lost


async def test_closing_stops_it() -> None:
    registry = Registry(failures=10**9)
    log = new_log(registry)
    log.add(request("a"))
    await log.close()
    assert registry.calls == []
    await new_log(registry).close()
