"""Which pages a caller wants, e.g. "1-3,7": counted from 1 on the wire, from 0 inside."""

from __future__ import annotations

import re
from collections.abc import Iterable

from serve_app.errors import InvalidRequest

MAX_TEXT_LENGTH = 1000

_PART = re.compile(r"\s*([0-9]{1,9})\s*(-\s*([0-9]{1,9})?)?\s*")


def parse_page_ranges(text: str | None, page_count: int) -> tuple[int, ...]:
    """Read a list of pages ("7"), ranges ("1-3") and open ranges ("5-", to the last page).

    Args:
        text: the list, separated by commas; None means all pages.
        page_count: pages of the document, at least 1.

    Returns:
        Indexes from 0 in the order given; a page named twice comes once, at its first place.

    Raises:
        InvalidRequest: not such a list, or a page that the document does not have.
    """
    if text is None:
        return tuple(range(page_count))
    if len(text) > MAX_TEXT_LENGTH:
        raise InvalidRequest(
            f"page ranges: {len(text)} characters, at most {MAX_TEXT_LENGTH} are read"
        )
    indexes: dict[int, None] = {}  # an ordered set
    for part in text.split(","):
        indexes.update(dict.fromkeys(_parse_part(part, page_count)))
    return tuple(indexes)


def format_page_ranges(numbers: Iterable[int]) -> str:
    """Page numbers, ascending from 1, as a list like those that are read: "1-3,7"."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = ranges[-1][0], number
        else:
            ranges.append((number, number))
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)


def _parse_part(part: str, page_count: int) -> range:
    match = _PART.fullmatch(part)
    if match is None:
        raise InvalidRequest(
            f"page ranges: {part.strip()[:20]!r} is not a page or a range; "
            'expected is a list such as "1-3,7,9-"'
        )
    first = int(match[1])
    last = first if match[2] is None else int(match[3]) if match[3] else max(first, page_count)
    if first < 1:
        raise InvalidRequest("page ranges: pages are counted from 1")
    if last < first:
        raise InvalidRequest(f"page ranges: {first}-{last} ends before it begins")
    if last > page_count:
        pages = "1 page" if page_count == 1 else f"{page_count} pages"
        raise InvalidRequest(f"page ranges: there is no page {last}, the document has {pages}")
    return range(first - 1, last)
