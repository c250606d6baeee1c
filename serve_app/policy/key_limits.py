"""How much one API key may ask for: requests a minute and requests at once. Pure.

Rate is a token bucket: it holds a minute's requests and fills evenly, so a client that was quiet
may send that many at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class KeyUse:
    """What one key has used. Times are seconds on any clock that does not go back.

    Attributes:
        running: requests that have been let in and have not ended.
    """

    running: int = 0
    _tokens: float | None = field(default=None)
    _filled_s: float = 0.0

    def seconds_until_allowed(self, per_minute: float | None, now_s: float) -> float:
        """Seconds until the rate allows one more request; 0: it does now. None: no limit."""
        if per_minute is None:
            return 0.0
        self._fill(per_minute, now_s)
        assert self._tokens is not None
        return max(0.0, (1 - self._tokens) * 60 / per_minute)

    def begin(self) -> None:
        """A request is let in; ``end()`` has to follow."""
        self.running += 1
        if self._tokens is not None:
            self._tokens -= 1

    def end(self) -> None:
        """It has ended, in any way."""
        assert self.running > 0
        self.running -= 1

    def _fill(self, per_minute: float, now_s: float) -> None:
        capacity = max(1.0, per_minute)
        if self._tokens is None:
            self._tokens = capacity
        else:
            gained = (now_s - self._filled_s) * per_minute / 60
            self._tokens = min(capacity, self._tokens + gained)
        self._filled_s = now_s
