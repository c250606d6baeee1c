"""Which way a page was turned before it was read: boxes are places on the turned picture."""

from __future__ import annotations

from typing import Literal, cast

from serve_app.document import PageResult

Turn = Literal[0, 90, 180, 270]
_TURNS = (0, 90, 180, 270)


def turn_of(page: PageResult) -> Turn:
    """Degrees counterclockwise from the page's picture to the one that was read."""
    return cast(Turn, page.angle) if page.angle in _TURNS else 0
