"""Text that is drawn twice, for a bold look or a shadow, is there once."""

from __future__ import annotations

from collections.abc import Iterable

from serve_app.document import Box
from serve_app.documents.text_layer.nearby import Nearby
from serve_app.documents.text_layer.placed import frame_of
from serve_app.documents.text_layer.values import Char, area, common, is_finite

SAME_PLACE = 0.5  # of the smaller one's area
_STEP_PIXELS = 8.0


def once(chars: Iterable[Char]) -> list[Char]:
    """Without those that are drawn again where they are, for a bold look or a shadow."""
    seen: Nearby[Box] = Nearby(_STEP_PIXELS)
    kept: list[Char] = []
    before: Char | None = None
    again = False
    for char in chars:
        # The letters of one glyph (a double f) are in the same place, and come or go together.
        if before is None or char.ink != before.ink or char.text.isspace():
            again = not char.text.isspace() and _seen_before(char, seen)
        before = char
        if not again:
            kept.append(char)
        elif kept and char.breaks and kept[-1].breaks != "\n":
            kept[-1] = kept[-1]._replace(breaks=char.breaks)
    return kept


def _seen_before(char: Char, seen: Nearby[Box]) -> bool:
    body = _body(char)
    x, y = (body[0] + body[2]) / 2, (body[1] + body[3]) / 2
    for other in seen.around(char.text, x, y, min(char.size, 64.0) / 2):
        smaller = min(area(other), area(body))
        if smaller > 0 and common(other, body) >= SAME_PLACE * smaller:
            return True
    seen.add(char.text, x, y, body)
    return False


def _body(char: Char) -> Box:
    """As long as the cell, so that no two letters of a word share one, and as high as the ink."""
    if not is_finite(char.ink):
        return char.cell
    spare = 0.1 * char.size
    if frame_of(char) % 180 == 0:
        return char.cell[0], char.ink[1] - spare, char.cell[2], char.ink[3] + spare
    return char.ink[0] - spare, char.cell[1], char.ink[2] + spare, char.cell[3]
