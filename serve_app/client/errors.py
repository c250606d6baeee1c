"""What can go wrong between a client and the server."""

from __future__ import annotations

from serve_app.client.models import Job


class OcrClientError(Exception):
    """Any of them."""


class ApiError(OcrClientError):
    """The server refuses.

    Attributes:
        status: of HTTP.
        code: a stable word.
        retry_after_s: it may go well then; None: the server did not say.
    """

    def __init__(
        self, status: int, code: str, message: str, retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message = status, code, message
        self.retry_after_s = retry_after_s


class UnexpectedAnswer(OcrClientError):
    """It is not what this server answers."""


class JobFailed(OcrClientError):
    """A job has ended without a result.

    Attributes:
        job: as it ended.
    """

    def __init__(self, job: Job) -> None:
        why = f"{job.error.code}: {job.error.message}" if job.error else job.state
        super().__init__(f"job {job.id} is {job.state} ({why})")
        self.job = job


class JobTimeout(OcrClientError):
    """A job has not ended in the time that its client would wait."""
