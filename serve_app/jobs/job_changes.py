"""Who waits for news of a job, in this process."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

# Another gateway may drive the job: nobody tells of its pages here.
LOOK_AGAIN_S = 1.0


class JobChanges:
    """One event per job that somebody waits for: set with the next change."""

    def __init__(self) -> None:
        self._next: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()

    def next(self, job_id: str) -> asyncio.Event:
        """To be had before the job is looked at, so that no change is missed between."""
        event = self._next.get(job_id)
        if event is None:
            self._next[job_id] = event = asyncio.Event()
        return event

    def tell(self, job_id: str) -> None:
        """The job has changed."""
        event = self._next.pop(job_id, None)
        if event is not None:
            event.set()
