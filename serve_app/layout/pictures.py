"""Pictures that are none: text that the layout model took for an image, a figure or a chart."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from statistics import median

from serve_app.document import Box
from serve_app.layout.boxes import area, covered
from serve_app.layout.unit import columns_of

# Part of the page from which a box is the page; then what is read there is what there is.
_PAGE = 0.7
# Part of a box that lines of text cover: most of what is printed with one and a half spacing.
_DENSE, _SPARSE = 0.3, 0.08
# Lines of running text are at least so long, in letters; a picture has labels.
_LONG = 16
_MANY = 4
# Lines of a form in a frame, and part of them that begin where others do: labels are scattered.
_ROWS, _IN_LINE = 6, 0.75
# Letters of a short letter or bill; the labels of a chart that fills a page had 288.
_LETTER = 500


def _stand_in_line(lines: Sequence[Box]) -> bool:
    size = median(line[3] - line[1] for line in lines)
    lefts = sorted(line[0] for line in lines)
    together = 0
    for left in lefts:
        others = bisect_right(lefts, left + size / 2) - bisect_left(lefts, left - size / 2)
        together += others > 2
    return together >= _IN_LINE * len(lines)


def is_text(box: Box, page: Box, lines: Sequence[Box], texts: Sequence[str]) -> bool:
    """Whether a box that is called a picture holds text and nothing else.

    Args:
        box: of the picture.
        page: all of it.
        lines, texts: what was read in the box.
    """
    read = [len(text.strip()) for text in texts]
    if not any(read):
        return False
    part = sum(area(line) * covered(line, box) for line in lines) / max(area(box), 1.0)
    if part >= _DENSE:
        return True
    long = sum(columns_of(text) >= _LONG for text in texts)
    if part >= _SPARSE and long * 2 >= len(texts) and long >= _MANY:
        return True
    form = part >= _SPARSE and len(lines) >= _ROWS and sum(read) >= _ROWS * _LONG / 2
    if form and _stand_in_line(lines):
        return True
    # What is scattered over a whole page is a chart's labels, or more than those say: an invoice.
    least = _LETTER if form else _LONG
    return area(box) >= _PAGE * area(page) and sum(read) >= least
