"""A number of bytes that many share: what one holds, nobody else may. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ByteBudget:
    """The whole.

    Attributes:
        limit_bytes: what all shares together may hold.
        used_bytes: what they hold now.
    """

    limit_bytes: int
    used_bytes: int = 0

    def share(self) -> Share:
        """A part of it that holds nothing yet; it has to be closed."""
        return Share(self)


@dataclass(slots=True)
class Share:
    """What one of them holds of the budget."""

    budget: ByteBudget
    held_bytes: int = 0

    def grow_to(self, size_bytes: int) -> bool:
        """Hold at least this much; False, and nothing has changed, if there is no room for it."""
        more = size_bytes - self.held_bytes
        if more <= 0:
            return True
        if self.budget.used_bytes + more > self.budget.limit_bytes:
            return False
        self.budget.used_bytes += more
        self.held_bytes = size_bytes
        return True

    def close(self) -> None:
        """Give back what it holds; a second call does nothing."""
        self.budget.used_bytes -= self.held_bytes
        self.held_bytes = 0
