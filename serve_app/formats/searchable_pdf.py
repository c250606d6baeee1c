"""The original pages with an invisible text layer: a PDF that can be searched.

The file is untrusted: this runs in a child process (``assembly.py``). The pages are those of the
file itself, whose streams are neither decoded nor written anew; only resources and one content
stream a page are added. That stream comes first and restores the graphics state, so whatever a page
does to its coordinates is of no concern to it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf, String

from serve_app.document import Box, Line, PageResult
from serve_app.errors import EncryptedFile, InvalidFile
from serve_app.formats.pdf_own_text import OwnText
from serve_app.formats.pdf_text import Frame, TextWriter, font_name
from serve_app.formats.upright import turn_of

_DEFAULT_BOX: Box = (0, 0, 612, 792)  # US Letter, as PDFium takes a page without a box
_PROTECTED = "The PDF is protected by its author: the answer is protected in the same way"
_SIGNED = "The PDF is signed: the answer is a changed copy, so its signatures are not valid"
_PART = "Bookmarks, links between pages, forms and attachments stay with a whole document only"


class SearchablePdf:
    """One document.

    Args:
        data: a PDF.
        pages: indexes of the pages to keep, in order.

    Raises:
        EncryptedFile: it cannot be opened without its password, or has some kind of protection and
            not all of its pages are to be kept.
        InvalidFile: it cannot be repaired, or lacks one of the pages.
    """

    def __init__(self, data: bytes | memoryview, pages: Sequence[int]) -> None:
        self.notices: list[str] = []
        self._pdf = _opened(data)
        self._own_text = OwnText(data)
        count = len(self._pdf.pages)
        if not all(index < count for index in pages):
            raise InvalidFile(f"the PDF is damaged: only {count} of its pages can be written again")
        self._whole = list(pages) == list(range(count))
        self._pages = pages
        self._text = TextWriter()
        if self._pdf.is_encrypted:
            if not self._whole:
                raise EncryptedFile("format=pdf gives a protected PDF as a whole only")
            self.notices.append(_PROTECTED)
        if _is_signed(self._pdf):
            self.notices.append(_SIGNED)

    def add(self, result: PageResult) -> None:
        """Lay a page's recognised lines under it; but those that it says itself."""
        page = self._pdf.pages[result.index]
        frame = _frame(page, result)
        lines = [line for line in result.lines if line.source != "layer"]
        if lines:
            lines = self._own_text.missing(lines, result.index, frame)
        if lines:
            self._write(page, lines, frame)

    def failed(self, index: int, why: str) -> None:
        """A note in the page's corner that says so; it is not printed."""
        page = self._pdf.pages[index]
        left, _, _, top = visible_box(page)
        note = Dictionary(
            Type=Name.Annot,
            Subtype=Name.Text,
            Rect=[left + 4, top - 24, left + 24, top - 4],
            Contents=String(f"Page {index + 1} failed: {why}"),
            Name=Name.Note,
            Open=False,
        )
        notes = page.obj.get("/Annots")
        known = list(notes) if isinstance(notes, Array) else []
        page.obj.Annots = Array([*known, self._pdf.make_indirect(note)])

    def save(self, notices: Sequence[str]) -> bytes:
        """The whole file; nothing can be added afterwards. It has no place for ``notices``."""
        self._own_text.close()
        for font in self._text.fonts:
            font.finish(self._pdf)
        out = io.BytesIO()
        pdf = self._pdf if self._whole else self._part()
        encryption = self._pdf.is_encrypted
        pdf.save(
            out,
            # What it was: object streams are not allowed in PDF/A-1.
            object_stream_mode=pikepdf.ObjectStreamMode.preserve,
            encryption=encryption or None,
            deterministic_id=not encryption,
        )
        return out.getvalue()

    def _write(self, page: pikepdf.Page, lines: Sequence[Line], frame: Frame) -> None:
        stream, fonts = self._text.content(lines, frame)
        page.contents_add(stream, prepend=True)
        # A dictionary of its own: pages may share theirs.
        resources = Dictionary(dict(_inherited(page, "/Resources", Dictionary()).items()))
        known = Dictionary(dict(resources.get("/Font", Dictionary()).items()))
        for number in fonts:
            known[f"/{font_name(number)}"] = self._text.fonts[number].reference(self._pdf)
        resources.Font = known
        page.obj.Resources = resources

    def _part(self) -> Pdf:
        """A new document of some pages, with the metadata of the old one."""
        part = Pdf.new()
        part.pages.extend(self._pdf.pages[index] for index in self._pages)
        root = self._pdf.Root
        for key in ("/Lang", "/ViewerPreferences"):
            if key in root and not isinstance(root[key], Dictionary):
                part.Root[key] = root[key]
        if "/Metadata" in root:
            part.Root.Metadata = part.copy_foreign(root.Metadata)
        for key, value in self._pdf.docinfo.items():
            part.docinfo[key] = value if not value.is_indirect else part.copy_foreign(value)
        if any(key in root for key in ("/Outlines", "/AcroForm", "/Names", "/Dests")):
            self.notices.append(_PART)
        return part


def _opened(data: bytes | memoryview) -> Pdf:
    try:
        pdf = Pdf.open(io.BytesIO(data), suppress_warnings=True)
        len(pdf.pages)  # a damaged tree of pages raises here
    except pikepdf.PasswordError:
        raise EncryptedFile("the PDF cannot be opened without its password") from None
    except (pikepdf.PdfError, RuntimeError, ValueError, TypeError):
        raise InvalidFile("the PDF is damaged and cannot be written again") from None
    return pdf


def _is_signed(pdf: Pdf) -> bool:
    form = pdf.Root.get("/AcroForm")
    flags = form.get("/SigFlags", 0) if isinstance(form, Dictionary) else 0
    return (isinstance(flags, int) and bool(flags & 1)) or "/Perms" in pdf.Root


def _frame(page: pikepdf.Page, result: PageResult) -> Frame:
    width, height = result.width, result.height
    return Frame(width, height, turn_of(result), visible_box(page), _rotation(page))


def visible_box(page: pikepdf.Page) -> Box:
    """The part of the page that PDFium renders: CropBox within MediaBox."""
    media = _box(page, "/MediaBox") or _DEFAULT_BOX
    crop = _box(page, "/CropBox") or media
    left, bottom = max(media[0], crop[0]), max(media[1], crop[1])
    right, top = min(media[2], crop[2]), min(media[3], crop[3])
    return (left, bottom, right, top) if left < right and bottom < top else media


def _box(page: pikepdf.Page, key: str) -> Box | None:
    value = _inherited(page, key, None)
    if not isinstance(value, Array) or len(value) != 4:
        return None
    try:
        numbers = [float(number) for number in value]
    except (TypeError, ValueError):
        return None
    if not all(map(math.isfinite, numbers)):
        return None
    left, right = sorted(numbers[0::2])
    bottom, top = sorted(numbers[1::2])
    return (left, bottom, right, top) if left < right and bottom < top else None


def _rotation(page: pikepdf.Page) -> int:
    value = _inherited(page, "/Rotate", 0)
    return int(value) % 360 // 90 * 90 if isinstance(value, int) else 0


def _inherited(page: pikepdf.Page, key: str, default: Any) -> Any:
    """An attribute of the page or of the nodes above it."""
    for node in _and_parents(page.obj):
        if key in node:
            return node[key]
    return default


def _and_parents(node: Any) -> Iterator[Any]:
    for _ in range(64):  # a tree of pages in a damaged file may be a circle
        if not isinstance(node, Dictionary):
            return
        yield node
        node = node.get("/Parent")
