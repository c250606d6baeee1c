"""Answers of our own API, for the OpenAPI page: clients are generated from it.

Nothing is validated by them: the answers are written elsewhere (``parse_writer.py``,
``job_views.py``), and tests compare. Members that a later version adds are no break.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Facts(BaseModel):
    """An object with further members."""

    model_config = ConfigDict(extra="allow")


class ErrorFacts(Facts):
    """What went wrong."""

    code: str = Field(description="A stable word, for programs")
    message: str = Field(description="For people")
    request_id: str
    value: float | None = None
    limit: float | None = None
    config_key: str | None = None
    received: int | None = Field(None, description="Of an upload: where the next part begins")


class ErrorAnswer(BaseModel):
    """Every error of our own API."""

    error: ErrorFacts


class DocumentFacts(BaseModel):
    """The file that was parsed."""

    type: Literal["image", "pdf", "tiff"]
    pages: int = Field(description="Of the whole file")


class TextLine(BaseModel):
    """A line: left, top, right, bottom in pixels of the page."""

    text: str
    box: list[float]
    score: float
    source: Literal["ocr", "layer"]


class LeftOut(BaseModel):
    """A block that the Markdown leaves out."""

    text: str
    label: str
    box: list[float]


class PageError(BaseModel):
    """Why a page has no result."""

    code: str
    message: str


class ParsedPage(Facts):
    """One page, counted from 1; one that failed has ``error`` and nothing else."""

    page: int
    width: int | None = None
    height: int | None = None
    dpi: float | None = None
    scale: float | None = None
    text: list[str] | None = None
    lines: list[TextLine] | None = None
    markdown: str | None = None
    furniture: list[LeftOut] | None = None
    picture_text: list[LeftOut] | None = None
    angle: int | None = None
    text_layer: dict[str, Any] | None = None
    result: dict[str, Any] | None = Field(None, description="The pipeline's own JSON")
    error: PageError | None = None


class ParsedDocument(Facts):
    """Answer of POST /v1/parse with ``format=json``; ``format=chunks`` has ``chunks``, too."""

    document: DocumentFacts
    pages: list[ParsedPage]
    notices: list[str]


class JobPages(BaseModel):
    """How far a job is."""

    total: int
    done: int
    failed: int


class JobCallback(BaseModel):
    """Whether the job's callback was told."""

    state: Literal["waiting", "delivered", "given_up"]
    tries: int


class JobAnswer(Facts):
    """A job; members without a value are absent."""

    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled", "expired"]
    model: str
    priority: Literal["interactive", "batch"]
    pages: JobPages
    queue_position: int | None = None
    seconds_left: float | None = None
    submitted_at: str
    started_at: str | None = None
    ended_at: str | None = None
    deadline_at: str | None = None
    expires_at: str | None = None
    stored_bytes: int
    batch: str | None = None
    callback: JobCallback | None = None
    error: PageError | None = None
    deleted: bool | None = None
    links: dict[str, str]


class JobsAnswer(BaseModel):
    """Jobs, newest first; ``next`` is the path of the next page."""

    jobs: list[JobAnswer]
    next: str | None = None


class UploadAnswer(Facts):
    """A file that comes in parts."""

    id: str
    name: str
    bytes: int = Field(description="Of the whole file")
    received: int = Field(description="Of them; the next part begins here")
    complete: bool
    created_at: str
    expires_at: str
    deleted: bool | None = None
    links: dict[str, str]


class UploadsAnswer(BaseModel):
    """Uploaded files, newest first."""

    uploads: list[UploadAnswer]


class PaddleJobError(BaseModel):
    """Every error of the Job API."""

    code: int
    msg: str


class PaddleProgress(BaseModel):
    """How far a job of the Job API is."""

    totalPages: int  # noqa: N815
    extractedPages: int  # noqa: N815
    startTime: str  # noqa: N815
    endTime: str | None = None  # noqa: N815


class PaddleUrls(BaseModel):
    """Where its result is."""

    jsonUrl: str  # noqa: N815
    markdownUrl: str | None = None  # noqa: N815


class PaddleJob(Facts):
    """A job of the Job API, or (``batchId``) those of a batch."""

    jobId: str | None = None  # noqa: N815
    state: Literal["pending", "running", "done", "failed"] | None = None
    extractProgress: PaddleProgress | None = None  # noqa: N815
    resultUrl: PaddleUrls | None = None  # noqa: N815
    errorMsg: str | None = None  # noqa: N815
    batchId: str | None = None  # noqa: N815
    extractResult: list[dict[str, Any]] | None = None  # noqa: N815


class PaddleJobAnswer(BaseModel):
    """Every answer of the Job API that is no error."""

    code: Literal[0]
    msg: str
    data: PaddleJob


class AliveAnswer(BaseModel):
    """Answer of GET /livez."""

    status: Literal["alive"]


class ReadyAnswer(Facts):
    """Answer of GET /readyz."""

    ready: bool
    pools: dict[str, dict[str, Any]]


class ModelFacts(Facts):
    """A declared model."""

    name: str
    pipeline: str
    state: str
    engines: list[dict[str, Any]]
    scripts: list[str]
    languages: list[str]


class ModelsAnswer(BaseModel):
    """The declared models."""

    models: list[ModelFacts]


class MemoryAnswer(BaseModel):
    """Memory by domain."""

    domains: list[dict[str, Any]]


class HistoryAnswer(Facts):
    """Memory over the last hour; in columns, one per ``interval_s``. Times: seconds since 1970."""

    at: float = Field(description="Of the last sample")
    interval_s: float
    window_s: float
    thresholds: dict[str, float]
    domains: list[dict[str, Any]]
    now: list[dict[str, Any]] = Field(description="The domains, as /v1/memory tells them")
    models: list[dict[str, Any]]
    pools: dict[str, Any]
    endings: list[dict[str, Any]] = Field(description="Of engines, and why")


class TasksAnswer(BaseModel):
    """What the last tasks cost."""

    tasks: list[dict[str, Any]]


class OrderAnswer(Facts):
    """What became of an operator's order."""

    model: str


class VersionAnswer(BaseModel):
    """Versions by name."""

    model_config = ConfigDict(extra="allow")
