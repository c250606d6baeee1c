"""A document as ALTO 4.4: XML of the Library of Congress for pages, blocks, lines.

A line has one ``String``: single words are not located by the recogniser, and none are made up.
Numbers are pixels of the picture that was read, upright.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from serve_app.document import Block, Box, FailedPage, Line, PageResult
from serve_app.formats.characters import escaped, language_of, one_line
from serve_app.formats.pieces import blocks_of, is_picture, lines_of
from serve_app.formats.writer import SYSTEM, Document, utf8, why_failed

NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
_SCHEMA = "http://www.loc.gov/standards/alto/v4/alto-4-4.xsd"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"


class AltoWriter:
    """See ``writer.py``."""

    media_type = "application/xml"

    def __init__(self) -> None:
        self._sizes: dict[int, tuple[int, int]] = {}

    def head(self, document: Document) -> Iterator[bytes]:
        """Unit, file name and software."""
        self._sizes = {page.index: (page.width, page.height) for page in document.info.pages}
        source = ""
        if name := escaped(one_line(document.name)):
            source = (
                f"<sourceImageInformation><fileName>{name}</fileName></sourceImageInformation>\n"
            )
        yield utf8(
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<alto xmlns="{NAMESPACE}" xmlns:xsi="{_XSI}"'
            f' xsi:schemaLocation="{NAMESPACE} {_SCHEMA}" SCHEMAVERSION="4.4">\n'
            f"<Description>\n<MeasurementUnit>pixel</MeasurementUnit>\n{source}"
            '<Processing ID="ocr">\n<processingCategory>contentGeneration</processingCategory>\n'
            f"<processingSoftware><softwareName>{SYSTEM}</softwareName></processingSoftware>\n"
            "</Processing>\n</Description>\n<Layout>\n"
        )

    def page(self, page: PageResult) -> Iterator[bytes]:
        """One ``Page`` with a block for each block."""
        width, height = page.width, page.height
        language = language_of("".join(page.text))
        lang = f' LANG="{language}"' if language else ""
        yield utf8(_page_tag(page.index, (width, height), lang))
        yield utf8(f"<PrintSpace{_place((0, 0, width, height))}>\n")
        for number, block in enumerate(blocks_of(page), 1):
            yield utf8(_block(block, page, f"{page.index + 1}_{number}"))
        yield b"</PrintSpace>\n</Page>\n"

    def failed(self, page: FailedPage) -> Iterator[bytes]:
        """A page of quality ``Missing``, with the reason."""
        why = f' QUALITY="Missing" QUALITY_DETAIL="{escaped(why_failed(page))}"'
        yield utf8(_page_tag(page.index, self._sizes[page.index], why) + "</Page>\n")

    def tail(self, document: Document, notices: Sequence[str]) -> Iterator[bytes]:
        """What was left out, as comments: the format has no place for it."""
        yield b"</Layout>\n"
        for notice in notices:
            text = escaped(one_line(notice)).replace("-", "\u2010")  # two of them end a comment
            yield utf8(f"<!-- notice: {text} -->\n")
        yield b"</alto>\n"


def _page_tag(index: int, size: tuple[int, int], more: str) -> str:
    width, height = size
    number = index + 1
    return (
        f'<Page ID="page_{number}" PHYSICAL_IMG_NR="{number}" WIDTH="{width}" HEIGHT="{height}"'
        f' PROCESSINGREFS="ocr"{more}>\n'
    )


def _block(block: Block, page: PageResult, name: str) -> str:
    place = _place(block.box)
    lines = "".join(
        _line(line, f"{name}_{number}") for number, line in enumerate(lines_of(block, page), 1)
    )
    text = f'<TextBlock ID="block_{name}"{place}>\n{lines}</TextBlock>\n' if lines else ""
    kind = escaped(one_line(block.label))
    if is_picture(block):
        return f'<Illustration ID="picture_{name}"{place} TYPE="{kind}"/>\n{text}'
    if block.label == "table":
        return f'<ComposedBlock ID="table_{name}"{place} TYPE="table">\n{text}</ComposedBlock>\n'
    return text


def _line(line: Line, name: str) -> str:
    place = _place(line.box)
    score = f"{min(1.0, max(0.0, line.score)):.3f}"
    return (
        f'<TextLine ID="line_{name}"{place}>'
        f'<String{place} WC="{score}" CONTENT="{escaped(one_line(line.text))}"/></TextLine>\n'
    )


def _place(box: Box) -> str:
    left, top, right, bottom = box
    numbers = {
        "HPOS": left,
        "VPOS": top,
        "WIDTH": max(0.0, right - left),
        "HEIGHT": max(0.0, bottom - top),
    }
    return "".join(f' {name}="{number:g}"' for name, number in numbers.items())
