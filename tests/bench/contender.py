"""What the bench needs of a contender: something that reads samples."""

from __future__ import annotations

from typing import Protocol

import psutil

from tests.bench.corpus import Sample


class ContenderFailed(Exception):
    """A contender did not start, or answered with an error. Raised for people: ends the bench."""


class Contender(Protocol):
    """One way to run the pipeline.

    Attributes:
        name: in reports.
        at_once: how many requests it is measured with; each number is a column of its own.
    """

    name: str
    at_once: tuple[int, ...]

    async def start(self) -> None:
        """Start its processes and load its models; ContenderFailed with the reason."""

    async def read(self, sample: Sample) -> bytes:
        """Read one sample; the answer as it came, not yet parsed. Raises ContenderFailed."""

    def texts(self, answer: bytes) -> list[str]:
        """The lines of text in an answer."""

    def processes(self) -> list[psutil.Process]:
        """All its processes now."""

    async def stop(self) -> None:
        """End everything; never raises because something is already gone."""
