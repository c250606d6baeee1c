"""Documents in the background."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import (
    Field,
)

from serve_app.settings.values import PADDLE_MODELS, PositiveFloat, PositiveInt, Strict


class JobSettings(Strict):
    """Documents that are parsed in the background (``jobs/``)."""

    enabled: bool = Field(
        True,
        description="Whether there are jobs. Their store is a folder, for gateways on one "
        "machine; on several: `records_url` and `files_url`.",
    )
    folder: Path | None = Field(
        None,
        description="Of records, files and results; default: $OCR_SERVE_STATE/jobs, else "
        "~/.local/state/ocr-serve/jobs.",
    )
    records_url: str | None = Field(
        None,
        description="redis://, rediss:// or postgresql://, for gateways on several machines; "
        "$OCR_SERVE_JOBS_RECORDS_URL wins. Default: a database in `folder`.",
    )
    files_url: str | None = Field(
        None,
        description="A folder of an object store, such as s3://bucket/ocr-jobs, by a driver of "
        "fsspec. Default: `folder`, which then has to be one that all gateways share.",
    )
    max_running: PositiveInt = Field(
        2, description="Jobs driven at once per gateway; each with gateway.window_pages."
    )
    turn_pages: PositiveInt = Field(
        4, description="A driven job makes way for an owner who has had this many pages less."
    )
    max_queued: PositiveInt = Field(10_000, description="Jobs that have not ended, in all.")
    max_queued_per_owner: PositiveInt = Field(
        5000, description="And of one API key; without keys all requests have one owner."
    )
    max_stored_bytes: PositiveInt = Field(
        20 * 2**30, description="Files and results together; beyond it no job is taken."
    )
    max_upload_bytes: PositiveInt = Field(
        256 * 2**20,
        description="A file that comes in parts (/v1/uploads); who parses it holds it in memory, "
        "so `gateway.max_body_bytes_total` bounds it, too.",
    )
    max_upload_parts: PositiveInt = Field(
        2000, description="Parts that it may come in; what a request brings is cut at 8 MiB."
    )
    max_uploads_per_owner: PositiveInt = Field(
        1000, description="Files kept for later (/v1/uploads, /v1/files) of one API key."
    )
    max_upload_bytes_per_owner: PositiveInt = Field(
        5 * 2**30, description="And their bytes, also those that have not come yet."
    )
    max_waiting: PositiveInt = Field(
        256, description="Requests per gateway that wait for a job, or hear of its pages."
    )
    priority: Literal["interactive", "batch"] = Field(
        "batch", description="Of a job that does not say; batch work waits for other requests."
    )
    deadline_s: PositiveFloat = Field(
        86_400.0, description="A job that has not ended by then expires; it may ask for less."
    )
    retention_s: PositiveFloat = Field(
        14_400.0, description="An ended job and its results are deleted after this long."
    )
    lease_s: float = Field(
        15.0, ge=5, description="A gateway not heard of for this long has lost its jobs to others."
    )
    max_failures: PositiveInt = Field(
        10, description="Tries of a job in a row, without a page in between, before it has failed."
    )
    webhooks: bool = Field(
        False,
        description="Whether jobs may name a `callback_url` that is told of their end. Needs "
        "$OCR_SERVE_WEBHOOK_SECRET (whsec_ and base64), and asks hosts and ports as `url_fetch`.",
    )
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#]+(/[^?#]*)?$",
        description="What clients reach this server by, for the absolute URLs of the Job API; "
        "default: what the request's Host header says.",
    )
    paddle_models: dict[str, str] = Field(
        default_factory=lambda: dict(PADDLE_MODELS),
        description="The Job API's model names, and the declared models that answer for them.",
    )
    paddle_wait_s: float = Field(
        20.0, ge=0, le=60, description="The Job API's status waits this long for the job's end."
    )
