"""What the server tells a client of a job, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

JobState = Literal["queued", "running", "done", "failed", "cancelled", "expired"]
ENDED = frozenset({"done", "failed", "cancelled", "expired"})


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job or a page has no result: a stable word, and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the server had it when it was asked.

    Attributes:
        pages, pages_done, pages_failed: of the document as it was asked for.
        queue_position: from 1, while it is queued.
        seconds_left: an estimate, once a page was measured.
        raw: all that the server said.
    """

    id: str
    state: JobState
    model: str
    pages: int
    pages_done: int
    pages_failed: int
    queue_position: int | None
    seconds_left: float | None
    error: JobError | None
    raw: Mapping[str, Any]

    @property
    def ended(self) -> bool:
        """Whether nothing happens to it any more."""
        return self.state in ENDED

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Job:
        """Of the server's answer.

        Raises:
            KeyError: it is none.
        """
        pages, error = value["pages"], value.get("error")
        return Job(
            value["id"],
            value["state"],
            value["model"],
            pages["total"],
            pages["done"],
            pages["failed"],
            value.get("queue_position"),
            value.get("seconds_left"),
            JobError(error["code"], error["message"]) if error else None,
            value,
        )
