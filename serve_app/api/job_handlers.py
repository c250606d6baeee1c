"""What the handlers of jobs need, whichever protocol they speak."""

from __future__ import annotations

from serve_app.api.intake import Fetch
from serve_app.api.job_result import JobResults
from serve_app.jobs.service import Jobs
from serve_app.ports import DocumentService
from serve_app.settings import AppSettings


class JobHandlers:
    """Its subclasses have a ``router`` each, and the handlers of its routes.

    Args:
        service: reads the files that come.
        settings: limits, and what is on.
        jobs: takes them, and knows them.
        results: answers of those that have ended.
        fetch: of files that are named by their URL.
    """

    def __init__(
        self,
        service: DocumentService,
        settings: AppSettings,
        jobs: Jobs,
        results: JobResults,
        fetch: Fetch,
    ) -> None:
        self._service, self._settings = service, settings
        self._jobs, self._results, self._fetch = jobs, results, fetch
