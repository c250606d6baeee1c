"""Pages that have ended two engines, and are not tried again for a while. Pure.

Bounded: beyond ``max_pages`` the one that came first is forgotten.
"""

from __future__ import annotations

from typing import NamedTuple


class PageKey(NamedTuple):
    """A page by its content.

    Attributes:
        file_sha256: of the whole file, hexadecimal.
        page: its index, from 0.
        model: that was to predict it.
    """

    file_sha256: str
    page: int
    model: str


class Quarantine:
    """See the module's docstring. ``now`` is seconds on any clock that does not go back."""

    def __init__(self, *, max_pages: int, expire_s: float) -> None:
        self._max_pages, self._expire_s = max_pages, expire_s
        self._causes: dict[PageKey, tuple[float, str]] = {}

    def add(self, page: PageKey, cause: str, now: float) -> None:
        """The page has ended two engines, for this reason."""
        self._causes.pop(page, None)
        self._causes[page] = (now + self._expire_s, cause)
        if len(self._causes) > self._max_pages:
            del self._causes[next(iter(self._causes))]

    def cause(self, page: PageKey, now: float) -> str | None:
        """Why the page is in quarantine; None if it is not."""
        until_s, cause = self._causes.get(page, (now, ""))
        if now < until_s:
            return cause
        self._causes.pop(page, None)
        return None

    def __len__(self) -> int:
        return len(self._causes)
