"""A replica's link to the registry: reports when something changed and once a second, and obeys.

While the registry does not answer, the replica decides on idle time-outs itself.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

from serve_app import clock
from serve_app.changes import until_set
from serve_app.messages import HeartbeatAnswer, ReplicaReport
from serve_app.policy.registry_state import RecoveryState

log = logging.getLogger("ocr_serve.heartbeat")

# Unless the registry has so many replicas that it asks for a longer gap between two reports.
INTERVAL_S = 1.0
# Changes closer together than this share a report.
DEBOUNCE_S = 0.1
# Pages that come and go do, too. A report costs 2 ms of CPU on either side, mostly Serve's.
PAGES_S = 0.5
ANSWER_TIMEOUT_S = 2.0
# Its memory watch hears of a crossing at once; else this often, well before it forgets a domain.
WATCH_INTERVAL_S = 3.0
MISSES_UNTIL_ALONE = 3


class Reporter(Protocol):
    """What the heartbeat needs of a replica."""

    def report(self) -> ReplicaReport:
        """The present."""
        ...

    def recovery(self) -> RecoveryState:
        """What the registry must be told besides."""
        ...

    def answered(
        self, report: ReplicaReport, recovery: RecoveryState, answer: HeartbeatAnswer
    ) -> None:
        """The registry has heard, and says this."""
        ...

    def publish(self, report: ReplicaReport) -> None:
        """Show it in the metrics."""
        ...

    def set_autonomous(self, autonomous: bool) -> None:
        """Decide alone, or leave it to the registry."""
        ...


class Heartbeat:
    """See the module's docstring. ``registry`` is a Serve handle."""

    def __init__(self, reporter: Reporter, registry: Any) -> None:
        # Once: a handle makes a new one for each look at a method.
        self._reporter, self._report = reporter, registry.report
        self._deregister = registry.deregister
        self._changed, self._urgent = asyncio.Event(), asyncio.Event()
        self._used = asyncio.Event()
        self._watch_due_at = 0.0
        self._misses = 0
        self._gap_s = DEBOUNCE_S

    def used(self) -> None:
        """A page has come, begun or ended."""
        self._used.set()

    def changed(self) -> None:
        """A model is in another state: report soon."""
        self._changed.set()
        self._used.set()

    def urgent(self) -> None:
        """Somebody waits for this: report at once."""
        self._urgent.set()
        self.changed()

    def crossed(self) -> None:
        """The level of a memory domain is different: tell the watch, too."""
        self._watch_due_at = 0.0
        self.urgent()

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            for event in (self._urgent, self._changed, self._used):
                event.clear()
            report = self._reporter.report()
            self._reporter.publish(report)
            await self._to_registry(report)
            await asyncio.sleep(DEBOUNCE_S)
            passed_s = DEBOUNCE_S
            for event, until_s in (
                (self._urgent, self._gap_s),
                (self._changed, PAGES_S),
                (self._used, INTERVAL_S),
            ):
                await until_set(event, until_s - passed_s)
                passed_s = max(passed_s, until_s)

    async def deregister(self, replica: str) -> None:
        """Tell the registry that the replica stops; best effort."""
        try:
            await asyncio.wait_for(_ask(self._deregister, replica), ANSWER_TIMEOUT_S)
        except Exception as error:
            log.info("no good-bye to the registry", extra={"error": type(error).__name__})

    async def _to_registry(self, report: ReplicaReport) -> None:
        recovery, now = self._reporter.recovery(), clock.now()
        due = now >= self._watch_due_at
        if due:
            self._watch_due_at = now + WATCH_INTERVAL_S
        try:
            answer = await asyncio.wait_for(
                _ask(self._report, report, recovery, due), ANSWER_TIMEOUT_S
            )
        except Exception as error:
            self._watch_due_at = 0.0
            self._missed(error)
            return
        if self._misses >= MISSES_UNTIL_ALONE:
            log.info("the registry answers again", extra={"missed": self._misses})
        self._misses, self._gap_s = 0, answer.gap_s
        self._reporter.set_autonomous(False)
        self._reporter.answered(report, recovery, answer)

    def _missed(self, error: Exception) -> None:
        self._misses += 1
        if self._misses == MISSES_UNTIL_ALONE:
            fields = {"missed": self._misses, "error": type(error).__name__}
            log.warning("no answer from the registry, deciding alone", extra=fields)
            self._reporter.set_autonomous(True)


async def _ask(method: Any, *args: Any) -> Any:
    return await method.remote(*args)
