"""One gateway's turn at driving a job: which pages, and whether to go on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from serve_app.policy.job import Job


@dataclass(slots=True, eq=False)
class Turn:
    """Its pages are iterated over as they are sent: a turn that is over sends no further one, and
    those under way still come.

    Attributes:
        job: as it was claimed.
        token: of the lease.
        until: when the lease lapses, seconds since the epoch.
        over: no further page.
        lost: the job is not this gateway's any more; nothing may be written.
        task: drives it.
    """

    job: Job
    token: str
    until: float
    over: bool = False
    lost: bool = False
    task: asyncio.Task[None] | None = None
    missing: Sequence[int] = field(default=())

    def __iter__(self) -> Iterator[int]:
        for index in self.missing:
            if self.over:
                return
            yield index

    def lose(self) -> None:
        """Stop at once: somebody else drives it, or nobody is to."""
        self.lost = self.over = True
        self.stop()

    def stop(self) -> None:
        """End its task; what runs is cancelled as for a client that has left."""
        if self.task is not None:
            self.task.cancel()
