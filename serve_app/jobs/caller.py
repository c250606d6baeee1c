"""Who asks for jobs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """Attributes:
    name: of the API key; "" where none are asked for.
    all_jobs: sees those of others, too.
    """

    name: str = ""
    all_jobs: bool = False
