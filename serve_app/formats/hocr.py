"""A document as hOCR 1.2: XHTML whose classes and titles say where each line stands.

Lines are the smallest part: single words are not located by the recogniser, and none are made up.
Boxes are pixels of the picture that was read, upright.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from serve_app.document import Block, Box, FailedPage, Line, PageResult
from serve_app.formats.characters import escaped, language_of, one_line
from serve_app.formats.pieces import blocks_of, is_picture, lines_of
from serve_app.formats.writer import SYSTEM, Document, utf8, why_failed

_CAPABILITIES = "ocr_page ocr_carea ocr_par ocr_line ocr_table ocr_photo ocrp_lang"
# The class of the area around a block.
_AREAS = {"table": "ocr_table"}


class HocrWriter:
    """See ``writer.py``."""

    media_type = "text/vnd.hocr+html; charset=utf-8"

    def __init__(self) -> None:
        self._sizes: dict[int, tuple[int, int]] = {}

    def head(self, document: Document) -> Iterator[bytes]:
        """All up to the first page."""
        self._sizes = {page.index: (page.width, page.height) for page in document.info.pages}
        yield utf8(
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"'
            ' "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n'
            '<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="" lang="">\n<head>\n'
            f"<title>{escaped(one_line(document.name))}</title>\n"
            '<meta http-equiv="Content-Type" content="text/html; charset=utf-8"/>\n'
            f'<meta name="ocr-system" content="{SYSTEM}"/>\n'
            f'<meta name="ocr-capabilities" content="{_CAPABILITIES}"/>\n'
            f'<meta name="ocr-number-of-pages" content="{len(document.pages)}"/>\n'
            "</head>\n<body>\n"
        )

    def page(self, page: PageResult) -> Iterator[bytes]:
        """One ``ocr_page`` with an area for each block."""
        size = page.width, page.height
        yield utf8(_page_tag(page.index, size, language_of("".join(page.text))))
        for number, block in enumerate(blocks_of(page), 1):
            yield utf8(_area(block, page, f"{page.index + 1}_{number}"))
        yield b"</div>\n"

    def failed(self, page: FailedPage) -> Iterator[bytes]:
        """An ``ocr_page`` without lines, and a paragraph that says why."""
        why = f"Page {page.index + 1} failed: {escaped(why_failed(page))}"
        yield utf8(_page_tag(page.index, self._sizes[page.index]))
        yield utf8(f'<p class="failed">{why}</p>\n</div>\n')

    def tail(self, document: Document, notices: Sequence[str]) -> Iterator[bytes]:
        """What was left out, if anything was."""
        if notices:
            items = "".join(f"<li>{escaped(notice)}</li>\n" for notice in notices)
            yield utf8(f'<ul class="notices">\n{items}</ul>\n')
        yield b"</body>\n</html>\n"


def _page_tag(index: int, size: tuple[int, int], language: str = "") -> str:
    width, height = size
    lang = f' lang="{language}" xml:lang="{language}"' if language else ""
    title = f"bbox 0 0 {width} {height}; ppageno {index}"
    return f'<div class="ocr_page" id="page_{index + 1}" title="{title}"{lang}>\n'


def _area(block: Block, page: PageResult, name: str) -> str:
    area = "ocr_photo" if is_picture(block) else _AREAS.get(block.label, "ocr_carea")
    title = _bbox(block.box)
    lines = "".join(
        _line(line, f"line_{name}_{number}") for number, line in enumerate(lines_of(block, page), 1)
    )
    paragraph = f'<p class="ocr_par" id="par_{name}" title="{title}">\n{lines}</p>\n'
    label = f"x_label {escaped(one_line(block.label).replace(';', ' '))}"
    return (
        f'<div class="{area}" id="block_{name}" title="{title}; {label}">\n'
        f"{paragraph if lines else ''}</div>\n"
    )


def _line(line: Line, name: str) -> str:
    title = f"{_bbox(line.box)}; x_wconf {round(100 * min(1.0, max(0.0, line.score)))}"
    text = escaped(one_line(line.text))
    return f'<span class="ocr_line" id="{name}" title="{title}">{text}</span>\n'


def _bbox(box: Box) -> str:
    """Whole pixels, as the format has them, none of them below 0."""
    return "bbox " + " ".join(str(max(0, round(number))) for number in box)
