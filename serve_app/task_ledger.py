"""The ledger of a process, with its effects: a gauge of what is open, an error line for a leak.

What is counted and when is ``policy/ledger.py``. A worker's tasks are pages, the gateway's are
requests.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, TypeVar, get_args

from serve_app.policy.ledger import Kind, Ledger

log = logging.getLogger("ocr_serve.ledger")

T = TypeVar("T")


class TaskLedger:
    """One per process. All methods run on its event loop.

    Args:
        show: called with a kind and how many of it are open now, after every change.
    """

    def __init__(self, show: Callable[[Kind, int], None] = lambda kind, count: None) -> None:
        self._ledger, self._show = Ledger(), show
        self._ids = itertools.count()

    @property
    def open_entries(self) -> int:
        """Everything that tasks hold; 0 when nothing runs."""
        return self._ledger.open_entries

    @contextlib.contextmanager
    def task(self, task: str) -> Iterator[None]:
        """A task, for the length of the block; at its end, whatever that is, it holds nothing."""
        try:
            yield
        finally:
            self._end(task)

    def publish(self) -> None:
        """Show every count again: Ray forgets a gauge that is not set between two exports."""
        for kind in get_args(Kind):
            self._changed(kind)

    def open(self, task: str, kind: Kind) -> Callable[[], None]:
        """Note an open thing; call the result when it was given back.

        Raises:
            TaskEnded: the caller must give the thing back itself.
        """
        entry = self._ledger.open(task, kind, str(next(self._ids)))
        self._changed(kind)

        def close() -> None:
            self._ledger.close(entry.task, entry.kind, entry.id)
            self._changed(kind)

        return close

    def holding(
        self, task: str, kind: Kind, resource: AbstractAsyncContextManager[T]
    ) -> AbstractAsyncContextManager[T]:
        """``resource``, noted from when it is there until it was given back without an error."""
        return _Holding(resource, lambda: self.open(task, kind))

    def _end(self, task: str) -> None:
        leaks = Counter(entry.kind for entry in self._ledger.close_task(task))
        for kind in leaks:
            self._changed(kind)
        if leaks:
            log.error("a task left things open", extra={"task_id": task, "open": dict(leaks)})

    def _changed(self, kind: Kind) -> None:
        self._show(kind, self._ledger.totals().get(kind, 0))


class _Holding(Generic[T]):
    """See ``TaskLedger.holding``. A class: what the block raises must not look like a failure of
    the release, after which the entry has to stay open."""

    def __init__(
        self, resource: AbstractAsyncContextManager[T], note: Callable[[], Callable[[], None]]
    ) -> None:
        self._resource, self._note = resource, note

    async def __aenter__(self) -> T:
        value = await self._resource.__aenter__()
        try:
            self._close = self._note()
        except BaseException:
            await self._resource.__aexit__(None, None, None)
            raise
        return value

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        swallowed = await self._resource.__aexit__(kind, error, traceback)
        self._close()
        return swallowed
