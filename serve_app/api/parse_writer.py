"""The answers of POST /v1/parse: markdown, text, JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from serve_app.api.finish import Finish
from serve_app.api.json_pieces import dump
from serve_app.document import (
    Block,
    DocumentRequest,
    FailedPage,
    Line,
    Markdown,
    PageInfo,
    PageResult,
)
from serve_app.documents.assemble import MarkdownJoiner, PageImages, inline_images


def page_markdown(page: PageResult, images: PageImages) -> Markdown:
    """The page as markdown without picture files; one without blocks gives its lines."""
    markdown = page.markdown
    if markdown is None:
        return Markdown("\n".join(page.text), {}, is_start=True, is_end=True)
    return replace(markdown, text=inline_images(markdown.text, markdown.images, images), images={})


def _listed(block: Block) -> dict[str, object]:
    """What the Markdown leaves out."""
    return {"text": block.text, "label": block.label, "box": block.box}


def _line(line: Line) -> dict[str, object]:
    return {"text": line.text, "box": line.box, "score": line.score, "source": line.source}


def _block(block: Block) -> dict[str, object]:
    """What it is and where; its text is that of its lines, by their indexes."""
    facts = asdict(block)
    del facts["text"], facts["image"]
    return facts


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _why(page: FailedPage) -> str:
    """On one line."""
    return " ".join(f"{page.error.code}: {page.error.client_message}".split())


class MarkdownWriter:
    """One markdown text; paragraphs that run over a page's end are joined."""

    media_type = "text/markdown; charset=utf-8"

    def __init__(self, images: PageImages) -> None:
        self._images = images
        self._joiner = MarkdownJoiner()

    def head(self, document: DocumentRequest) -> Iterator[bytes]:
        """Nothing."""
        yield b""

    def page(self, page: PageResult) -> Iterator[bytes]:
        """The page, with what separates it from the one before."""
        yield _utf8(self._joiner.add(page_markdown(page, self._images)))

    def failed(self, page: FailedPage) -> Iterator[bytes]:
        """A quotation that says so."""
        text = f"> **Page {page.index + 1} failed**: {_why(page)}"
        yield _utf8(self._joiner.add(Markdown(text, {}, is_start=True, is_end=True)))

    def tail(self, document: DocumentRequest, notices: Sequence[str]) -> Iterator[bytes]:
        """A text file ends with a newline."""
        yield b"\n"


class TextWriter:
    """The recognised lines; an empty line between pages."""

    media_type = "text/plain; charset=utf-8"

    def __init__(self) -> None:
        self._separator = ""

    def head(self, document: DocumentRequest) -> Iterator[bytes]:
        """Nothing."""
        yield b""

    def page(self, page: PageResult) -> Iterator[bytes]:
        """Line by line, in reading order."""
        yield from self._lines(page.text)

    def failed(self, page: FailedPage) -> Iterator[bytes]:
        """A line that says so."""
        yield from self._lines([f"[page {page.index + 1} failed: {_why(page)}]"])

    def _lines(self, lines: Sequence[str]) -> Iterator[bytes]:
        yield _utf8(self._separator + "".join(f"{line}\n" for line in lines))
        self._separator = "\n"

    def tail(self, document: DocumentRequest, notices: Sequence[str]) -> Iterator[bytes]:
        """Nothing."""
        yield b""


class JsonWriter:
    """One object with all pages; ``result`` is the pipeline's own JSON."""

    media_type = "application/json"

    def __init__(self, images: PageImages, finish: Finish) -> None:
        self._images, self._finish = images, finish
        self._separator = b""
        self._pages: Sequence[PageInfo] = ()

    def head(self, document: DocumentRequest) -> Iterator[bytes]:
        """The document: its type, and how many pages the whole file has."""
        self._pages = document.info.pages
        told = {"type": document.info.data_type, "pages": len(document.info.pages)}
        yield b'{"document":' + dump(told) + b',"pages":['

    def page(self, page: PageResult) -> Iterator[bytes]:
        """One page, counted from 1.

        Boxes are pixels of ``width`` x ``height``. ``dpi`` is what a PDF's page was rendered at
        (72 points are an inch), ``scale`` how many of these pixels one of a picture's became.
        """
        info = self._pages[page.index]
        facts: dict[str, object] = {
            "page": page.index + 1,
            "width": page.width,
            "height": page.height,
            "dpi": info.dpi,
            "scale": 1 / info.reduced_by,
            "text": page.text,
            "lines": [_line(line) for line in page.lines],
            "blocks": [_block(block) for block in page.blocks],
            "markdown": page_markdown(page, self._images).text,
            "furniture": [_listed(block) for block in self._finish.furniture_of(page)],
        }
        if omitted := self._finish.picture_text_of(page):
            facts["picture_text"] = [_listed(block) for block in omitted]
        if page.angle:
            facts["angle"] = page.angle
        if page.text_layer is not None:
            facts["text_layer"] = asdict(page.text_layer)
        yield self._separator + dump(facts)[:-1] + b',"result":'
        self._separator = b","
        yield page.pruned_json
        yield b"}"

    def failed(self, page: FailedPage) -> Iterator[bytes]:
        """The page's number and its error; none of the other members."""
        error = {"code": page.error.code, "message": page.error.client_message}
        yield self._separator + dump({"page": page.index + 1, "error": error})
        self._separator = b","

    def tail(self, document: DocumentRequest, notices: Sequence[str]) -> Iterator[bytes]:
        """What was left out; always there."""
        yield b'],"notices":' + dump(list(notices)) + b"}"
