"""How fast work ends while there is any: for Retry-After and the autoscaler. Pure."""

from __future__ import annotations

from collections import deque

# Ends that are remembered: some seconds of small pages, some minutes of big ones.
REMEMBERED = 32
# Fewer ends say little of the time between them: two engines may end at the same moment.
ENOUGH = 4


class DrainRate:
    """Of a queue. Times when it was empty do not count: nothing could end in them."""

    def __init__(self) -> None:
        self._ends: deque[float] = deque(maxlen=REMEMBERED)

    def ended(self, now: float, *, left: int) -> None:
        """A piece of work has ended at ``now`` (seconds), and ``left`` more are under way."""
        if left:
            self._ends.append(now)
        else:
            self._ends.clear()

    def per_second(self, now: float) -> float | None:
        """None before two pieces have ended since there is work."""
        if len(self._ends) < 2:
            return None
        span_s = now - self._ends[0]
        return len(self._ends) / span_s if span_s > 0 else None

    def seconds_between(self) -> float | None:
        """Mean time between two ends; None before there were some since there is work."""
        if len(self._ends) < ENOUGH:
            return None
        return (self._ends[-1] - self._ends[0]) / (len(self._ends) - 1)
