"""Waiting for something to become true: polled, with a deadline, never a bare sleep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.02


def eventually(probe: Callable[[], T | None], timeout_s: float, what: str) -> T:
    """The first true value of ``probe``.

    Raises:
        AssertionError: there was none within ``timeout_s``; names ``what`` and the last value.
    """
    deadline = time.monotonic() + timeout_s
    while not (value := probe()):
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what} (last: {value!r})"
        time.sleep(POLL_S)
    return value


async def happens(probe: Callable[[], bool], timeout_s: float, what: str) -> None:
    """The same on an event loop, which goes on meanwhile.

    Raises:
        AssertionError: it did not become true within ``timeout_s``; names ``what``.
    """
    deadline = time.monotonic() + timeout_s
    while not probe():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        await asyncio.sleep(POLL_S)


def still(probe: Callable[[], bool], for_s: float, what: str) -> None:
    """See that ``probe`` stays true for so many seconds.

    Raises:
        AssertionError: it did not; names ``what``.
    """
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline:
        assert probe(), f"not for {for_s:g} s: {what}"
        time.sleep(POLL_S)
