"""The stores of jobs as configured: a folder, or Redis and an object store."""

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
        made = _redis(url)
        facts["records"] = "redis"
    kept: FileStore = files if settings.files_url is None else _objects(settings.files_url)
    log.info("jobs are kept", extra=facts)
    return made, kept


def _redis(url: str) -> JobStore:
    if not url.startswith(("redis://", "rediss://")):
        raise ValueError("jobs.records_url must begin with redis:// or rediss://")
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
