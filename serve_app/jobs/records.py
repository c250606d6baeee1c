"""What is stored of a job beside its state, and how records become text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pydantic_core
from pydantic import TypeAdapter

from serve_app.document import (
    DocumentInfo,
    DocumentRequest,
    FileBytes,
    OnPageError,
    PredictOptions,
    RequestIds,
)
from serve_app.option_values import OPTION_TYPES
from serve_app.policy.job import Change, Fault, Job, page_stored


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What was asked for; never changes.

    Attributes:
        info: what the headers of the file say.
        pages, options, on_page_error: see ``DocumentRequest``.
        params: as they were given, for the form of the answer.
        name: what the client calls the file; "" if it did not say.
        protocol: further options, of the protocol that it came by.
    """

    info: DocumentInfo
    pages: tuple[int, ...]
    options: PredictOptions
    params: Mapping[str, str]
    name: str = ""
    protocol: Mapping[str, str] = field(default_factory=dict)
    on_page_error: OnPageError = "fail"

    def request(self, job: Job, ids: RequestIds, data: FileBytes) -> DocumentRequest:
        """The job as a request again, of its stored file."""
        return DocumentRequest(
            ids,
            data,
            self.info,
            self.pages,
            job.model,
            self.options,
            job.priority,
            self.on_page_error,
            self.name,
        )


@dataclass(frozen=True, slots=True)
class StoredPage:
    """A page that has ended.

    Attributes:
        index: from 0.
        size_bytes: of its file; 0 if it failed.
        fault: why it has no result.
        number: how many pages of the job had ended with it, from 1; the store counts.
    """

    index: int
    size_bytes: int
    fault: Fault | None = None
    number: int = 0

    def change(self, token: str, now: float) -> Change:
        """What becomes of its job, which the lease's holder ``token`` drives."""
        failed = self.fault is not None
        return partial(page_stored, token=token, now=now, size_bytes=self.size_bytes, failed=failed)


@dataclass(frozen=True, slots=True)
class Totals:
    """What is in a store now: jobs that wait and that are driven; bytes of files and results."""

    queued: int = 0
    running: int = 0
    stored_bytes: int = 0


ON_PAGE_ERROR = "on_page_error"
_JOB, _SPEC = TypeAdapter(Job), TypeAdapter(JobSpec)
_PAGE = TypeAdapter(StoredPage)
_OPTIONS: Mapping[str, TypeAdapter[Any]] = {
    name: TypeAdapter(type_) for name, type_ in OPTION_TYPES.items()
}


def job_to_text(job: Job) -> bytes:
    """JSON; what has its default value is left out."""
    return _JOB.dump_json(job, exclude_defaults=True)


def job_from_text(text: bytes | str) -> Job:
    """Inverse of ``job_to_text``; also of that of a version with fewer fields."""
    return _JOB.validate_json(text)


def page_to_text(page: StoredPage, number: int) -> bytes:
    """JSON, with the page's number."""
    return _PAGE.dump_json(replace(page, number=number), exclude_defaults=True)


def page_from_text(text: bytes | str) -> StoredPage:
    """Inverse of ``page_to_text``."""
    return _PAGE.validate_json(text)


def spec_to_text(spec: JobSpec) -> bytes:
    """JSON. What is done about a failed page is written among the options, where servers of all
    versions look for it."""
    record = _SPEC.dump_python(spec, mode="json")
    record["options"][ON_PAGE_ERROR] = record.pop(ON_PAGE_ERROR)
    return pydantic_core.to_json(record)


def spec_from_text(text: bytes | str) -> JobSpec:
    """Inverse of ``spec_to_text``; also of that of a version with fewer fields."""
    record = pydantic_core.from_json(text)
    record[ON_PAGE_ERROR] = record["options"].pop(ON_PAGE_ERROR, "fail")
    spec = _SPEC.validate_python(record)
    # JSON has neither tuples nor numbers as keys, and PaddleX tells them from what it has.
    predict = {
        name: _OPTIONS[name].validate_python(value) if name in _OPTIONS else value
        for name, value in spec.options.predict.items()
    }
    return replace(spec, options=replace(spec.options, predict=predict))
