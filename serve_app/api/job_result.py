"""Answers from stored pages: in the forms of POST /v1/parse, by the same writers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from serve_app.api.arrival import arrival_of
from serve_app.api.connection import while_connected
from serve_app.api.context import Deadline, context_of
from serve_app.api.finish import Finish
from serve_app.api.pages import Work, Writer, answer
from serve_app.api.parse_formats import headers_for, writer_for
from serve_app.api.parse_params import ParseParams
from serve_app.api.request_task import RequestTasks
from serve_app.api.spool import Spools
from serve_app.errors import JobNotDone
from serve_app.jobs.records import JobSpec, StoredPage
from serve_app.jobs.service import Jobs
from serve_app.jobs.stored_document import StoredDocument
from serve_app.policy.job import Job
from serve_app.ports import DocumentService

PARTIAL_HEADER = "x-ocr-partial"


def check_done(job: Job) -> None:
    """Refuse the result of a job that has none.

    Raises:
        JobNotDone: it has not ended, or not well.
    """
    if job.state == "done":
        return
    done = f"{job.pages_done} of {job.pages} pages are done"
    why = f" ({job.fault.code}: {job.fault.message})" if job.fault else ""
    raise JobNotDone(f"The job is {job.state}{why}; {done}, which `partial=true` gives")


@dataclass(frozen=True, slots=True)
class Form:
    """How the answer is written.

    Attributes:
        writer: makes one; what has to be put together goes through the service.
        finish: what is done with the pages before.
        headers: of the answer.
    """

    writer: Callable[[DocumentService], Writer]
    finish: Finish
    headers: Mapping[str, str] = field(default_factory=dict)


def form_of(params: ParseParams, name: str) -> Form:
    """That of /v1/parse with these parameters; ``name``: what the client calls the file."""
    headers = headers_for(params.format, name)
    return Form(partial(writer_for, params), params.finish, headers)


@dataclass(frozen=True, slots=True)
class JobResults:
    """Writes answers from stored pages.

    Args:
        service: puts documents together.
        spools: of the process.
    """

    service: DocumentService
    jobs: Jobs
    spools: Spools

    async def answer(
        self,
        request: Request,
        job: Job,
        spec: JobSpec,
        pages: Sequence[StoredPage],
        form: Form,
        deadline: Deadline,
    ) -> Response:
        """The answer with these pages. It is spooled first, page by page: the gateway holds one of
        them at a time."""
        arrival = arrival_of(request)
        arrival.enter()
        stored = StoredDocument(
            self.service, self.jobs, job, spec.info, pages, hold=arrival.body.hold
        )
        # Not one that is recorded as a request: its pages were predicted for the job.
        tasks = RequestTasks(self.spools, self.jobs.ledger)
        with tasks.task(context_of(request), job.model) as task:
            there = replace(spec, pages=tuple(page.index for page in pages))
            work = Work(there.request(job, task.ids, b""), form.finish)
            writing = answer(stored, work, deadline, form.writer(stored), task, form.headers)
            return await while_connected(request, deadline, writing)


def in_order(spec: JobSpec, pages: list[StoredPage]) -> list[StoredPage]:
    """The pages that are there, in the order that was asked for."""
    by_index = {page.index: page for page in pages}
    return [by_index[index] for index in spec.pages if index in by_index]
