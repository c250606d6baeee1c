"""The stores of jobs as configured: a folder; Redis or PostgreSQL, and an object store."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from serve_app.jobs.folder import jobs_folder, stores
from serve_app.jobs.ports import FileStore, JobStore
from serve_app.settings import JobSettings

log = logging.getLogger("ocr_serve.jobs")

# In place of `jobs.records_url`: it may have a password.
VARIABLE = "OCR_SERVE_JOBS_RECORDS_URL"


def stores_of(settings: JobSettings, environ: Mapping[str, str]) -> tuple[JobStore, FileStore]:
    """Both of them; nothing is connected to or made yet.

    Raises:
        ValueError: a package is missing, or a URL is none; says which.
    """
    folder = jobs_folder(settings, environ)
    records, files = stores(folder)
    url = environ.get(VARIABLE) or settings.records_url
    facts = {"folder": str(folder), "records": "folder", "files": settings.files_url or "folder"}
    made: JobStore = records
    if url is not None:
        made = _records(url)
        facts["records"] = url.partition(":")[0]
    kept: FileStore = files if settings.files_url is None else _objects(settings.files_url)
    log.info("jobs are kept", extra=facts)
    return made, kept


def _records(url: str) -> JobStore:
    if url.startswith(("redis://", "rediss://")):
        return _redis(url)
    if url.startswith(("postgresql://", "postgres://")):
        return _postgres(url)
    raise ValueError("jobs.records_url must begin with redis://, rediss:// or postgresql://")


def _postgres(url: str) -> JobStore:
    try:
        from serve_app.jobs.postgres_store import PostgresStore
    except ImportError:
        raise ValueError("jobs.records_url needs: pip install 'ocr-serve[postgres]'") from None
    return PostgresStore(url)


def _redis(url: str) -> JobStore:
    try:
        from serve_app.jobs.redis_store import RedisStore
    except ImportError:
        raise ValueError("jobs.records_url needs: pip install 'ocr-serve[redis]'") from None
    return RedisStore(url)


def _objects(url: str) -> FileStore:
    try:
        from serve_app.jobs.object_files import ObjectFiles
    except ImportError:
        raise ValueError("jobs.files_url needs: pip install 'ocr-serve[s3]'") from None
    return ObjectFiles(url)
