"""Pages with blocks and lines, made on the spot; and texts that try to break out of a format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from serve_app.document import (
    Block,
    Box,
    DocumentInfo,
    FailedPage,
    FileKind,
    Line,
    Markdown,
    PageInfo,
    PageResult,
)
from serve_app.errors import EngineCrashed
from tests import documents

Page: TypeAlias = PageResult | FailedPage

WIDTH, HEIGHT = 600, 800
LINE_HEIGHT = 20

TABLE = (
    '<html><body><table><thead><tr><th>Name</th><th colspan="2">Size</th></tr></thead>'
    "<tr><td rowspan='2'>Oak</td><td>12</td><td>m &amp; more</td></tr>"
    "<tr><td>3<br>4</td><td>a<b and c>d</td></tr></table></body></html>"
)

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": '" onload=\'x\' style="a" &amp; &lt;',
    "end of a section": "]]> --> --!> </textarea></style></title><!-- ",
    "control characters": "a\x00b\x01c\x08d\x0be\x1bf\x7fg\x85h",
    "no characters": "x\ud800y\udfffz\ufffe\uffff\U0001ffff",
    "line separators": "one\u2028two\u2029three\x85four\x0cfive",
    "bidi overrides": "abc\u202egnp.exe\u2066\u2067 left open",
    "entity bomb": "<!DOCTYPE x [<!ENTITY a 'b'>]>&a;&#0;&#xFFFFFF;",
    "beyond the BMP": "𝒳 👩\u200d👩\u200d👧 𠮷野家",
    "combining": "e\u0301o\u0308 Z" + "\u0300" * 50,
    "right to left": "שלום עולם العربية ٣٤",
    "long": "word " * 20_000,
    "long without a space": "x" * 100_000,
    "angle brackets": "<" * 5_000,
    "empty": "",
    "spaces": " \t ",
}


def block(text: str, label: str = "text", **more: object) -> tuple[Block, str]:
    """A block to be placed by ``page``, and the text of its lines."""
    return Block(label, (0, 0, 0, 0), text=text, **more), text  # type: ignore[arg-type]


def page(
    *blocks: tuple[Block, str],
    index: int = 0,
    pictures: Mapping[str, bytes] | None = None,
    turn: int = 0,
    starts: bool = True,
    ends: bool = True,
    score: float = 0.987,
    notices: Sequence[str] = (),
) -> PageResult:
    """Blocks below each other, each with one line per line of its text (of a table: one)."""
    lines: list[Line] = []
    placed: list[Block] = []
    top = 10.0
    for one, text in blocks:
        texts = [text] if one.label == "table" else (text.split("\n") if text else [])
        numbers = tuple(range(len(lines), len(lines) + len(texts)))
        first = top
        for line in texts:
            lines.append(Line(line, (20.5, top, 500.0, top + LINE_HEIGHT), score))
            top += LINE_HEIGHT
        box: Box = (20.5, first, 500.0, max(top, first + LINE_HEIGHT))
        placed.append(
            Block(one.label, box, numbers, one.text, one.level, one.image, one.recovered, one.score)
        )
        top += LINE_HEIGHT
    return PageResult(
        index,
        WIDTH,
        HEIGHT,
        b"{}",
        tuple(line.text for line in lines),
        Markdown("", dict(pictures or {}), starts, ends),
        lines=tuple(lines),
        blocks=tuple(placed),
        notices=tuple(notices),
        angle=turn,
    )


def everything(index: int = 0) -> PageResult:
    """One block of each kind."""
    return page(
        block("A Title", "doc_title", level=1),
        block("First sentence. Second one, which is\nmuch longer."),
        block("Section", "paragraph_title", level=2),
        block("• one\n• two", "text"),
        block("1. first\n2. second", "text"),
        block(TABLE, "table"),
        block("Label in the picture", "image", image="imgs/a.jpg"),
        block("E = mc^2", "formula"),
        block("if a < b:\n    return", "algorithm"),
        block("Figure 1: a tree", "figure_title"),
        index=index,
        pictures={"imgs/a.jpg": documents.picture("jpeg", 40, 30)},
    )


def failed(index: int = 0) -> FailedPage:
    """A page whose engine crashed, with a message that is no safer than a page."""
    return FailedPage(index, EngineCrashed("signal 11 <b>--></b>"))


@dataclass(frozen=True)
class Document:
    """See ``formats.writer.Document``."""

    info: DocumentInfo
    pages: Sequence[int]
    name: str = "a <name> & more.pdf"


def document(count: int = 1, kind: FileKind = "pdf", name: str = "a <name> & more.pdf") -> Document:
    """A document of ``count`` pages, all of them asked for."""
    pages = tuple(PageInfo(index, WIDTH, HEIGHT) for index in range(count))
    return Document(DocumentInfo(kind, pages), range(count), name)


def written(writer: object, *pages: Page, notices: Sequence[str] = ()) -> bytes:
    """The whole answer of a writer for a document of these pages."""
    about = document(max((one.index for one in pages), default=0) + 1)
    parts = list(writer.head(about))  # type: ignore[attr-defined]
    for one in pages:
        call = writer.failed if isinstance(one, FailedPage) else writer.page  # type: ignore[attr-defined]
        parts += call(one)
    parts += writer.tail(about, notices)  # type: ignore[attr-defined]
    return b"".join(parts)
