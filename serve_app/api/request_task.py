"""A request that is being predicted, as a task: what it holds, and its record when it has ended.

It begins when the request was read and is valid; what is refused before that is in the log only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.requests import ClientDisconnect

from serve_app.api.context import RequestContext
from serve_app.api.costs import Costs
from serve_app.api.spool import Spools
from serve_app.document import RequestIds
from serve_app.messages import Outcome, TaskRecord
from serve_app.outcome import CANCELLED, SUCCESS, outcome_of
from serve_app.task_ledger import TaskLedger


@dataclass(frozen=True, slots=True)
class RequestTask:
    """One of them.

    Attributes:
        ledger: of what it holds, by ``ids.task``.
        spools: where its answer is written.
        costs: of its pages so far.
    """

    context: RequestContext
    ids: RequestIds
    ledger: TaskLedger
    spools: Spools
    costs: Costs = field(default_factory=Costs)


class RequestTasks:
    """Begins and ends them.

    Args:
        spools: of the process.
        ledger: of the process.
        record: takes the record of a task that has ended, and its seconds; must neither wait nor
            fail.
    """

    def __init__(
        self,
        spools: Spools,
        ledger: TaskLedger | None = None,
        record: Callable[[TaskRecord, float], None] = lambda record, seconds: None,
    ) -> None:
        self.spools, self._record = spools, record
        self._ledger = ledger or TaskLedger()

    @contextmanager
    def task(self, context: RequestContext, model: str) -> Iterator[RequestTask]:
        """The prediction, for the length of the block; its answer is sent after that.

        What the task holds has to be closed when the request ends: the ledger looks then.
        """
        task = RequestTask(context, RequestIds(context.request_id), self._ledger, self.spools)
        context.resources.enter_context(self._ledger.task(task.ids.task))
        ended: tuple[Outcome, str | None] = SUCCESS
        try:
            yield task
        except BaseException as error:
            ended = _outcome_of(error)
            raise
        finally:
            seconds = context.clock() - context.started_s
            self._record(task.costs.record(task.ids, model, *ended), seconds)


def _outcome_of(error: BaseException) -> tuple[Outcome, str]:
    # Serve cancels the request of a client that has gone; a plain server lets us notice.
    return CANCELLED if isinstance(error, ClientDisconnect) else outcome_of(error)
