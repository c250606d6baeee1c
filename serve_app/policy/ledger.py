"""What every task holds open, so that nothing outlives it: leases, reservations, files, memory.

The ledger only keeps the account. Whoever opens something closes it in ``finally``; when the
task ends, ``close_task`` names what is still open, which ``task_ledger.py`` logs as a leak. After
``close_task`` the account of the task is zero, whatever happened before, and it stays so: a
coroutine that lives on cannot open anything for a task that has ended.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Literal

# In a worker, for a page: its turn, its reserved bytes, its engine. In the gateway, for a request:
# the file in Ray's object store, the answer's spool, the pages that workers have.
Kind = Literal["turn", "reservation", "lease", "object_ref", "spool", "page_call"]

# Ended tasks that are remembered: more than can still have a coroutine alive (max_queued_pages of
# all the pages of a replica, several times over).
_REMEMBERED = 4096


class TaskEnded(RuntimeError):
    """Something was opened for a task that has ended: give it back at once. Args: task."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One open thing. ``id``: unique within its task and kind."""

    task: str
    kind: Kind
    id: str


class Ledger:
    """See the module's docstring. One per process."""

    def __init__(self) -> None:
        self._open: dict[str, dict[Entry, None]] = {}  # a dict per task keeps the order of opening
        self._totals: Counter[Kind] = Counter()
        self._ended: OrderedDict[str, None] = OrderedDict()

    def open(self, task: str, kind: Kind, id: str) -> Entry:
        """Note an open thing; noting it twice counts once.

        Raises:
            TaskEnded: the caller must give the thing back itself.
        """
        if task in self._ended:
            raise TaskEnded(task)
        entry = Entry(task, kind, id)
        entries = self._open.setdefault(task, {})
        if entry not in entries:
            entries[entry] = None
            self._totals[kind] += 1
        return entry

    def close(self, task: str, kind: Kind, id: str) -> bool:
        """It was given back. False if it was not open (closed before, or with its task)."""
        entries = self._open.get(task, {})
        entry = Entry(task, kind, id)
        if entry not in entries:
            return False
        del entries[entry]
        self._totals[kind] -= 1
        if not entries:
            del self._open[task]
        return True

    def close_task(self, task: str) -> tuple[Entry, ...]:
        """The task has ended. What it left open, last opened first: the order to give it back."""
        leftovers = tuple(reversed(self._open.pop(task, {})))
        self._totals.subtract(entry.kind for entry in leftovers)
        self._ended[task] = None
        while len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)
        return leftovers

    @property
    def open_entries(self) -> int:
        """Everything that is open; 0 when nothing runs."""
        return self._totals.total()

    def totals(self) -> dict[Kind, int]:
        """Open things by kind, for a gauge; kinds once seen stay with 0."""
        return dict(self._totals)
