"""Answers from stored pages: in the forms of POST /v1/parse, by the same writers."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from serve_app.api.context import Deadline, context_of
from serve_app.api.pages import Work, Writer, answer
from serve_app.api.request_task import RequestTasks
from serve_app.errors import JobNotDone
from serve_app.jobs.records import JobSpec, StoredPage
from serve_app.jobs.service import Jobs
from serve_app.jobs.stored_document import StoredDocument
from serve_app.policy.job import Job

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


async def stored_answer(
    request: Request,
    jobs: Jobs,
    job: Job,
    spec: JobSpec,
    pages: list[StoredPage],
    writer: Writer,
    deadline: Deadline,
) -> Response:
    """The answer with these pages. It is written to a spool first, page by page: the gateway holds
    one of them at a time."""
    # Not one that is recorded as a request: its pages were predicted for the job.
    tasks = RequestTasks(jobs.ledger)
    with tasks.task(context_of(request), job.model) as task:
        service = StoredDocument(jobs, job, spec.info, pages)
        indexes = [page.index for page in pages]
        work = Work(b"", spec.info, indexes, job.model, spec.options)
        return await answer(service, work, deadline, writer, task)


def in_order(spec: JobSpec, pages: list[StoredPage]) -> list[StoredPage]:
    """The pages that are there, in the order that was asked for."""
    by_index = {page.index: page for page in pages}
    return [by_index[index] for index in spec.pages if index in by_index]
