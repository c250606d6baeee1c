"""The one clock of the shells; policy takes ``now`` as an argument."""

from __future__ import annotations

import time


def now() -> float:
    """Seconds on a clock that never goes back; only differences mean anything."""
    return time.monotonic()


def epoch() -> float:
    """Seconds since 1970: for what is written down and outlives the process."""
    return time.time()
