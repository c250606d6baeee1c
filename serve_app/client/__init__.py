"""The server's clients: ``Client`` and ``AsyncClient`` for programs, the rest for the command
``ocr-serve parse``. Nothing of the server is imported here."""

from serve_app.client.api import AsyncClient, Client
from serve_app.client.errors import (
    ApiError,
    JobFailed,
    JobTimeout,
    OcrClientError,
    UnexpectedAnswer,
)
from serve_app.client.models import Job, JobError

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "Job",
    "JobError",
    "JobFailed",
    "JobTimeout",
    "OcrClientError",
    "UnexpectedAnswer",
]
