"""Pictures that are none: text that the layout model took for an image, a figure or a chart."""

from __future__ import annotations

from collections.abc import Sequence

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
    return area(box) >= _PAGE * area(page) and sum(read) >= _LONG
