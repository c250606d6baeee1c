"""The last engines of a model that ended in this replica, and why: for log and operators."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from serve_app import clock
from serve_app.messages import EngineEnding
from serve_app.worker.unload_check import UnloadResult

log = logging.getLogger("ocr_serve.models")

KEPT = 16
DIED = "died"


class EngineEndings:
    """Remembers the last ones. ``now``: seconds, monotonic."""

    def __init__(self, now: Callable[[], float] = clock.now) -> None:
        self._now = now
        self._last: deque[tuple[float, str, int, int]] = deque(maxlen=KEPT)

    def unloaded(self, result: UnloadResult) -> None:
        """One was stopped, and its memory waited for."""
        self._last.append((self._now(), result.reason, result.held_bytes, result.freed_bytes))
        facts = {
            "model": result.model,
            "pid": result.pid,
            "reason": result.reason,
            "freed_bytes": result.freed_bytes,
            "unload_s": round(result.unload_s, 3),
        }
        if result.missing_bytes:
            missing = {**facts, "missing": result.missing_bytes}
            log.warning("memory did not come back", extra=missing)
        else:
            log.info("model unloaded", extra=facts)

    def died(self, model: str, pid: int, returncode: int) -> None:
        """One ended by itself; what it held is back, and nobody measured it."""
        self._last.append((self._now(), DIED, 0, 0))
        facts = {"model": model, "pid": pid, "returncode": returncode}
        log.warning("engine died", extra=facts)

    def facts(self) -> tuple[EngineEnding, ...]:
        """Oldest first."""
        now = self._now()
        return tuple(
            EngineEnding(reason, held, freed, now - at) for at, reason, held, freed in self._last
        )
