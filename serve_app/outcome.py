"""How a task ended, from what it raised: the words of its record."""

from __future__ import annotations

import asyncio

from serve_app.errors import CapacityError, OcrServeError, PageTooLargeForBudget
from serve_app.messages import Outcome

SUCCESS: tuple[Outcome, None] = ("success", None)
CANCELLED: tuple[Outcome, str] = ("cancelled", "cancelled")


def outcome_of(error: BaseException) -> tuple[Outcome, str]:
    """The outcome and the error's code.

    "rejected" is what was never begun for want of room; what is the caller's fault is "failed".
    """
    match error:
        case asyncio.CancelledError():
            return CANCELLED
        case CapacityError() | PageTooLargeForBudget():
            return "rejected", error.code
        case OcrServeError():
            return "failed", error.code
        case _:
            return "failed", OcrServeError.code
