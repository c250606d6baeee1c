"""The values that travel: documents, requests, pages and their results. Frozen, picklable."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from serve_app.errors import OcrServeError
from serve_app.messages import Priority, TaskRecord

Box: TypeAlias = tuple[float, float, float, float]
LineSource = Literal["ocr", "layer"]
FileKind = Literal["pdf", "png", "jpeg", "webp", "bmp", "gif", "tiff"]
DataType = Literal["image", "pdf", "tiff"]
OnPageError = Literal["fail", "partial"]
TextLayerMode = Literal["auto", "off", "only"]
# In PageResult.images: what boxes are about.
PAGE_IMAGE = "page"


@dataclass(frozen=True, slots=True)
class RequestIds:
    """The names of a request.

    Attributes:
        request_id: for people, in records and logs; the client may have chosen it, and twice.
        task: unique.
    """

    request_id: str
    task: str = field(default_factory=lambda: uuid.uuid4().hex)


# A file: what was read is not copied once more to make it immutable. Nobody writes into it.
FileBytes = bytes | bytearray


@dataclass(frozen=True, slots=True)
class PageInfo:
    """One page as it will be predicted.

    Attributes:
        index: its place in the file, from 0.
        width, height: pixels (PDF: after rendering).
        dpi: resolution that a page of a PDF is rendered at; None for pictures.
        reduced_by: so many pixels of a picture's side become one.
        notice: why the page is smaller than it would be, one sentence; mostly empty.
    """

    index: int
    width: int
    height: int
    dpi: float | None = None
    reduced_by: int = 1
    notice: str = ""


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """What the headers of a file say, found without decoding any picture.

    Attributes:
        kind: the format, from the magic bytes.
        pages: one entry per page or frame of the whole file, in order.
    """

    kind: FileKind
    pages: tuple[PageInfo, ...]

    @property
    def data_type(self) -> DataType:
        """PaddleX's ``dataInfo.type``; a TIFF of one frame is an image there."""
        if self.kind == "pdf":
            return "pdf"
        if self.kind == "tiff" and len(self.pages) > 1:
            return "tiff"
        return "image"


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """What is asked of an engine; the whole of it goes there with every page.

    Attributes:
        predict: keyword arguments of the pipeline's ``predict`` (snake case, PaddleX's names).
        visualize: also draw the result pictures.
        page_image: also return the picture that boxes are about, as ``images["page"]``.
        prettify_markdown, show_formula_number: as in PaddleX's serving protocol.
        markdown_images: also return the pictures that the markdown refers to.
        output_formats: extra formats per page, e.g. ``("docx",)``.
        keep_all_text: every recognised line is in a block and in the markdown; without it they are
            as PaddleX itself makes them.
        text_layer: whether a PDF's own text is taken.
        auto_orientation: pages that lie on their side are turned, where the pipeline can do that.
        detection_side: pixels of a scan's longer side that text detection looks at
            (``detection_size.py``); 0: all of them.
    """

    predict: Mapping[str, Any] = field(default_factory=dict)
    visualize: bool = False
    page_image: bool = False
    prettify_markdown: bool = True
    show_formula_number: bool = False
    markdown_images: bool = True
    output_formats: tuple[str, ...] = ()
    keep_all_text: bool = True
    text_layer: TextLayerMode = "off"
    auto_orientation: bool = False
    detection_side: int = 0


@dataclass(frozen=True, slots=True)
class DocumentRequest:
    """What a caller wants of one document. Made at the edge, once; from there on it is only read.

    Attributes:
        ids: the request's names.
        data: the file.
        info: what its headers say.
        pages: indexes from 0, in the order of the answer.
        model: name of a declared model.
        options: for the engine; what follows is for those before it.
        priority: batch work waits under memory pressure.
        on_page_error: whether a page that fails ends the request, or is answered as failed among
            the others.
        name: what the caller calls the file; "" if they did not say.
    """

    ids: RequestIds
    data: FileBytes
    info: DocumentInfo
    pages: Sequence[int]
    model: str
    options: PredictOptions
    priority: Priority = "interactive"
    on_page_error: OnPageError = "fail"
    name: str = ""


@dataclass(frozen=True, slots=True)
class Markdown:
    """One page as markdown.

    Attributes:
        text: the markdown; pictures are referred to by the keys of ``images``.
        images: JPEG bytes by key.
        is_start, is_end: whether the page starts / ends with a paragraph of its own (PaddleX's
            ``page_continuation_flags``), used to join pages.
    """

    text: str
    images: Mapping[str, bytes]
    is_start: bool
    is_end: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text on a page.

    Attributes:
        text: as recognised, or as the file itself has it.
        box: left, top, right, bottom; pixels of the predicted picture.
        score: the recogniser's confidence, 0 to 1; 1 for the file's own text.
        source: ``ocr``, or ``layer``: the text layer of a PDF.
        is_code: whether it is set as listings of programs are; not known of recognised lines.
        is_torn: whether its last word goes on in the next line without a hyphen, as in Korean; not
            known of recognised lines.
    """

    text: str
    box: Box
    score: float
    source: LineSource = "ocr"
    is_code: bool = False
    is_torn: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a page: a paragraph, a heading, a table, a picture.

    Attributes:
        label: what it is, in PaddleX's words (``text``, ``paragraph_title``, ``table``, ``image``,
            ``header``, …).
        box: left, top, right, bottom; pixels of the predicted picture.
        lines: indexes into ``PageResult.lines``, in reading order. Each line of a page is in
            exactly one of its blocks.
        text: the lines joined to running text; of a table its HTML.
        level: of a heading, from 1; 0 for all else.
        image: of a picture, its key in ``Markdown.images``.
        recovered: whether no box of the layout model stands behind it.
        score: the layout model's confidence, 0 to 1; None without a box of it.
    """

    label: str
    box: Box
    lines: tuple[int, ...] = ()
    text: str = ""
    level: int = 0
    image: str | None = None
    recovered: bool = False
    score: float | None = None


@dataclass(frozen=True, slots=True)
class DistrustedText:
    """Text of a PDF that was not taken: of a font, or (``font`` None) of lines; and why."""

    font: str | None
    why: str


@dataclass(frozen=True, slots=True)
class TextLayerUse:
    """What became of a page's text layer.

    Attributes:
        used: as it was asked for.
        lines: of the answer, that come from it.
        of: lines of the answer.
        distrusted: what it has beside them.
        missing: what the page has and the answer has not, one sentence each.
    """

    used: TextLayerMode
    lines: int
    of: int
    distrusted: tuple[DistrustedText, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PageResult:
    """What an engine computed for one page.

    Attributes:
        index: the page's place in the file, from 0.
        width, height: size of the predicted picture, pixels.
        pruned_json: the pipeline's ``json["res"]`` without ``input_path`` and ``page_index``,
            encoded as UTF-8 JSON (kept as bytes: nobody on the way needs to parse it).
        text: the texts of the recognised lines, in reading order.
        lines: the same lines with their places.
        blocks: all of the page in reading order; they hold every line once.
        markdown: for layout pipelines only.
        images: drawn pictures by PaddleX's own names (JPEG bytes), if asked for;
            ``input_img`` is the page itself, ``page`` the same after it was turned.
        exports: extra formats, e.g. ``{"docx": bytes}``.
        notices: what was asked for but left out, one sentence each.
        record: what the page cost; set by the worker.
        text_layer: None if it was not asked for.
        angle: degrees counterclockwise that the page was turned by, before all else.
    """

    index: int
    width: int
    height: int
    pruned_json: bytes
    text: tuple[str, ...]
    markdown: Markdown | None = None
    images: Mapping[str, bytes] = field(default_factory=dict)
    exports: Mapping[str, bytes] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    record: TaskRecord | None = None
    lines: tuple[Line, ...] = ()
    blocks: tuple[Block, ...] = ()
    text_layer: TextLayerUse | None = None
    angle: int = 0

    @property
    def recognised(self) -> bool:
        """Whether any of it was, as far as one can tell: not if all lines are the file's own."""
        use = self.text_layer
        return use is None or not (use.used == "only" or 0 < use.of == use.lines)


@dataclass(frozen=True, slots=True)
class FailedPage:
    """A page without a result, in a document whose other pages are answered.

    Attributes:
        index: the page's place in the file, from 0.
        error: why.
    """

    index: int
    error: OcrServeError
