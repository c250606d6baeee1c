"""Which way a page was turned before it was read: boxes are places on the turned picture."""

from __future__ import annotations

import json
from typing import Literal, cast

from serve_app.document import PageResult

Turn = Literal[0, 90, 180, 270]
_TURNS = (0, 90, 180, 270)


def turn_of(page: PageResult) -> Turn:
    """Degrees counterclockwise from the page's picture to the one that was read.

    The pipeline's own result says it (``doc_preprocessor_res.angle``; -1 or absent: not looked at).
    """
    if b'"angle"' not in page.pruned_json:
        return 0
    result = json.loads(page.pruned_json)
    told = result.get("doc_preprocessor_res") if isinstance(result, dict) else None
    angle = told.get("angle") if isinstance(told, dict) else None
    return cast(Turn, angle) if angle in _TURNS else 0


def size_as_read(page: PageResult) -> tuple[int, int]:
    """Width and height of the picture that the boxes are places on, pixels."""
    if turn_of(page) in (90, 270):
        return page.height, page.width
    return page.width, page.height
