"""The byte account of one replica: what its engines hold and what its pages were promised.

What an engine counts for, in bytes:

    idle      what it was last measured at
    running   the larger of that and its page's reservation
    loading   the larger of that and its load's reservation

A reservation is the expected peak of the whole engine process, not an increment, so on an engine
it covers what the engine holds already. A reservation without an engine (a page whose engine is
not known yet) counts in full; ``place`` moves it. A load on behalf of such a page needs no
reservation of its own: place the page's on the engine that loads.

Reservations are only booked if they fit, so what is promised never exceeds the budget. What is
*measured* can: an engine that outgrows its reservation. Then ``left_bytes`` is 0 and
``excess_bytes`` says by how much.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Reservation:
    held_bytes: int
    engine: str | None


class ByteBudget:
    """See the module's docstring. Engines and tasks are named by any unique strings."""

    def __init__(self, total_bytes: int) -> None:
        if total_bytes <= 0:
            raise ValueError(f"a budget of {total_bytes} bytes")
        self.total_bytes = total_bytes
        self._measured: dict[str, int] = {}
        self._reservations: dict[str, _Reservation] = {}

    # facts

    @property
    def committed_bytes(self) -> int:
        """Held by engines or promised to pages. Above ``total_bytes`` by measurement only."""
        engines = {name: self._engine_bytes(name) for name in self._engines()}
        return sum(engines.values()) + self._promised(None)

    @property
    def reserved_bytes(self) -> int:
        """Promised to pages and loads. Never above ``total_bytes``."""
        return sum(reservation.held_bytes for reservation in self._reservations.values())

    @property
    def left_bytes(self) -> int:
        """Not committed; never negative."""
        return max(0, self.total_bytes - self.committed_bytes)

    @property
    def excess_bytes(self) -> int:
        """How far the engines outgrew the budget; 0 if they did not."""
        return max(0, self.committed_bytes - self.total_bytes)

    def engine_bytes(self, engine: str) -> int:
        """What an engine counts for; 0 if it is not known."""
        return self._engine_bytes(engine)

    def is_reserved(self, engine: str) -> bool:
        """Whether a page or a load was promised this engine."""
        return any(reservation.engine == engine for reservation in self._reservations.values())

    def needed_bytes(self, peak_bytes: int, engine: str | None = None) -> int:
        """What must be left for a reservation of ``peak_bytes``: it fits if ``left_bytes`` is that.

        On an engine only what goes beyond what that engine counts for already; and, should the
        engines have outgrown the budget, what must come back before anything fits.
        """
        return self._added_bytes(peak_bytes, engine) + self.excess_bytes

    # reservations

    def reserve(self, task: str, peak_bytes: int, engine: str | None = None) -> bool:
        """Book the expected peak of a page or a load; False, and nothing booked, if it is too much.

        Raises:
            ValueError: negative bytes, or the task holds a reservation already (release it first).
        """
        if peak_bytes < 0:
            raise ValueError(f"a reservation of {peak_bytes} bytes")
        if task in self._reservations:
            raise ValueError(f"task {task!r} holds a reservation already")
        if self.needed_bytes(peak_bytes, engine) > self.left_bytes:
            return False
        self._reservations[task] = _Reservation(peak_bytes, engine)
        return True

    def place(self, task: str, engine: str | None) -> bool:
        """Move a reservation to another engine, or to none.

        From none to an engine it always fits. False, and nothing moved, where it would not fit.

        Raises:
            KeyError: the task holds no reservation.
        """
        before, old = self.committed_bytes, self._reservations[task]
        self._reservations[task] = _Reservation(old.held_bytes, engine)
        if self.total_bytes < self.committed_bytes > before:
            self._reservations[task] = old
            return False
        return True

    def release(self, task: str) -> int:
        """Give a reservation back, and say how many bytes it was.

        0 for a task that holds none: this is called in ``finally``, also by tasks that were
        cancelled before they got one, and again by whoever cleans up after them.
        """
        reservation = self._reservations.pop(task, None)
        return reservation.held_bytes if reservation else 0

    # engines

    def measured(self, engine: str, held_bytes: int) -> None:
        """An engine's memory was read. The first reading makes the engine known."""
        self._measured[engine] = max(0, held_bytes)

    def gone(self, engine: str) -> None:
        """An engine's process has ended and its memory is back. Reservations on it stay."""
        self._measured.pop(engine, None)

    # arithmetic

    def _added_bytes(self, peak_bytes: int, engine: str | None) -> int:
        if engine is None:
            return peak_bytes
        held = self._measured.get(engine, 0)
        return max(held, self._promised(engine) + peak_bytes) - self._engine_bytes(engine)

    def _engines(self) -> set[str]:
        reserved = (reservation.engine for reservation in self._reservations.values())
        return set(self._measured).union(name for name in reserved if name is not None)

    def _engine_bytes(self, engine: str) -> int:
        return max(self._measured.get(engine, 0), self._promised(engine))

    def _promised(self, engine: str | None) -> int:
        return sum(r.held_bytes for r in self._reservations.values() if r.engine == engine)


def engine_name(model: str, number: int) -> str:
    """Of an engine, in the byte account."""
    return f"{model}/{number}"
