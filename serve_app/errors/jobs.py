"""Jobs that are not there, or not done."""

from __future__ import annotations

from serve_app.errors.base import OcrServeError


class JobNotFound(OcrServeError):
    """There is no such job (any more), or it is another owner's: both look the same."""

    code = "job_not_found"
    status = 404


class PageNotFound(JobNotFound):
    """The job has no such page, or the page no such picture. Not (yet), it may be."""

    code = "page_not_found"


class FileNotKept(OcrServeError):
    """There is no such uploaded file (any more), or none that the caller may know of."""

    code = "file_not_found"
    status = 404


class UploadIncomplete(OcrServeError):
    """A file that comes in parts was named before all of it had come."""

    code = "upload_incomplete"
    status = 409


class UploadOffset(OcrServeError):
    """A part of a file does not begin where the last one ended.

    Attributes:
        received: bytes that are there: where the next part begins.
    """

    code = "upload_offset"
    status = 409
    received: int = 0


class JobNotDone(OcrServeError):
    """The whole result of a job was asked for, but it has not ended, or not well."""

    code = "job_not_done"
    status = 409


class IdempotencyConflict(OcrServeError):
    """The idempotency key belongs to a job with another file or other parameters."""

    code = "idempotency_conflict"
    status = 409


class JobFileLost(OcrServeError):
    """The file of a job that has not ended is not in the store. Becomes the job's fault."""

    code = "job_file_lost"
