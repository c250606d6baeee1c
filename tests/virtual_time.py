"""Tests on a clock of their own: when nothing is left to do, it is the time of the next timer.

An hour passes at once, and always in the same way: timers fire in their order, threads are none
(what would run in one is done on the spot), and who waits for what never comes hears of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ParamSpec
from unittest import mock

P = ParamSpec("P")

# Of virtual seconds. Loops that tick for ever would otherwise keep a test that hangs going.
MOST_S = 3600.0
# Of turns of the loop at one and the same moment.
MOST_TURNS = 200_000


class _Selector(selectors.DefaultSelector):
    """Does not wait; sets the clock forward instead."""

    now = 0.0
    turns = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise AssertionError("everybody waits for something that will never come")
        self.turns += 1
        assert self.turns < MOST_TURNS, f"at {self.now:g} s time stands still"
        if not ready and timeout:
            self.now, self.turns = self.now + timeout, 0
            assert self.now < MOST_S, f"after {MOST_S:g} s it is still not over"
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module's docstring."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._clock.now

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run it here and now."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """The test, run on such a loop; ``serve_app.clock`` tells its time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        loop = VirtualLoop()
        with contextlib.closing(loop), mock.patch("serve_app.clock.now", loop.time):
            left = loop.run_until_complete(_whole(test(*args, **kwargs)))
            loop.run_until_complete(loop.shutdown_asyncgens())
            assert not left, f"tasks that nobody ended: {left}"

    return run


async def _whole(test: Coroutine[Any, Any, None]) -> set[asyncio.Task[Any]]:
    """Run it, and end the tasks that it has left behind: those."""
    await test
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    return left


def patched(targets: Mapping[str, object]) -> contextlib.ExitStack:
    """All of them replaced, by their dotted names, until the stack is closed."""
    stack = contextlib.ExitStack()
    for name, replacement in targets.items():
        stack.enter_context(mock.patch(name, replacement))
    return stack
