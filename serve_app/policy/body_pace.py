"""How fast a request body has to come: the bytes that are there buy the time for the next. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BodyPace:
    """What is asked of a body.

    Attributes:
        timeout_s: the whole must be there after this long.
        min_bytes_per_s: on average, from its beginning on; 0: as slow as it likes.
        grace_s: the average does not count before.
    """

    timeout_s: float
    min_bytes_per_s: int
    grace_s: float

    def due_s(self, received_bytes: int) -> float:
        """Seconds after its beginning at which more has to have come than these bytes."""
        if not self.min_bytes_per_s:
            return self.timeout_s
        return min(self.timeout_s, self.grace_s + received_bytes / self.min_bytes_per_s)

    def is_late(self, age_s: float) -> bool:
        """Whether what is too slow at this age is so by the deadline, not by its rate."""
        return age_s >= self.timeout_s


def slowest(bodies: list[tuple[int, float]], min_age_s: float) -> int | None:
    """Which of the bodies, (bytes, seconds) each, came at the lowest rate.

    Those younger than ``min_age_s`` are left alone; None if that is all of them.
    """
    old = [n for n, (_, age_s) in enumerate(bodies) if age_s >= min_age_s]
    return min(old, key=lambda n: bodies[n][0] / bodies[n][1], default=None)
