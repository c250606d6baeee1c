"""Pages made by hand for the layout tests: lines with the boxes that a detector would draw."""

from __future__ import annotations

from collections.abc import Sequence

from serve_app.document import Block, Box, Line
from serve_app.layout.compose import compose
from serve_app.layout.markdown import Style, write
from serve_app.layout.page import Page, Region
from serve_app.layout.unit import columns_of

WIDTH, HEIGHT = 1000, 1400
SIZE = 20.0
#: From one line to the next, in line heights; and the width of a letter.
LEADING, LETTER = 1.25, 0.5


def line(text: str, left: float, top: float, size: float = SIZE) -> Line:
    """A line whose box is as wide as its letters."""
    return Line(text, (left, top, left + columns_of(text) * size * LETTER, top + size), 0.99)


def stack(
    texts: Sequence[str], left: float, top: float, size: float = SIZE, leading: float = LEADING
) -> list[Line]:
    """Lines below each other, all beginning at the same place."""
    step = size * leading
    return [line(text, left, top + number * step, size) for number, text in enumerate(texts)]


def prose(words: str, lines: int, letters: int = 40) -> list[str]:
    """``lines`` lines of running text, all but the last as long as each other; it begins and ends
    as a sentence does."""
    text = (f"{words} " * (lines * letters // max(len(words), 1) + 2))[: lines * letters]
    cut = [text[at : at + letters] for at in range(0, lines * letters, letters)]
    cut = [part.strip().ljust(letters, "x") for part in cut]
    cut[-1] = cut[-1][: letters - 12].rstrip() + "."
    return [cut[0][:1].upper() + cut[0][1:], *cut[1:]]


def page_of(
    lines: Sequence[Line],
    regions: Sequence[Region] = (),
    *,
    width: int = WIDTH,
    height: int = HEIGHT,
) -> Page:
    """A page of these lines."""
    return Page(width, height, lines, (), regions)


def blocks_of(lines: Sequence[Line], *regions: Region) -> tuple[Block, ...]:
    """The composed blocks of a page of these lines."""
    return compose(page_of(lines, regions))


def texts_of(lines: Sequence[Line], *regions: Region) -> list[str]:
    """Their texts."""
    return [block.text for block in blocks_of(lines, *regions)]


def markdown_of(lines: Sequence[Line], *regions: Region, style: Style | None = None) -> str:
    """The page as Markdown."""
    return write(blocks_of(lines, *regions), lines, WIDTH, style or Style()).text


def around(lines: Sequence[Line]) -> Box:
    """The box around lines."""
    boxes = [one.box for one in lines]
    return (
        min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        max(box[2] for box in boxes),
        max(box[3] for box in boxes),
    )
