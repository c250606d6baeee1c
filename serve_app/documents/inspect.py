"""What a file contains: its format, the number of its pages and their sizes in pixels.

Only headers are read; no picture is decoded and no PDF page is rendered, so a sound header with
a damaged body passes here. One thread per process, see ``pdf.py`` and ``picture.py``.
"""

from __future__ import annotations

from serve_app.document import DocumentInfo, FileKind, PageInfo
from serve_app.documents.jpeg2000 import codestream_sizes
from serve_app.documents.page_limits import check_page_count, check_pixels
from serve_app.documents.pdf import open_pdf, page_info
from serve_app.documents.picture import frame_info, open_picture
from serve_app.documents.sniff import sniff
from serve_app.errors import InvalidFile, OcrServeError
from serve_app.settings import DocumentSettings, LimitSettings


def inspect(
    data: bytes | memoryview, limits: LimitSettings, documents: DocumentSettings
) -> DocumentInfo:
    """Read the headers of ``data``; every page's size is exactly the size it is rendered at.

    Raises:
        EmptyFile, UnsupportedFile, InvalidFile: the file cannot be read.
        EncryptedFile: a PDF that needs a password.
        TooManyPages: more than ``limits.max_pages`` pages or frames in the file.
        ImageTooLarge: a picture breaks ``limits.max_page_pixels``, ``max_side_pixels`` or
            ``max_aspect_ratio``, or a page cannot be made smaller (``page_size.py``).
    """
    kind = sniff(data)
    try:
        return DocumentInfo(kind, _pages(data, kind, limits, documents))
    except OcrServeError:
        raise
    except Exception:  # nosec B110  # raised anew below
        pass  # decoders raise everything on hostile bytes
    # Raised here, so that it does not keep the decoder's error and its frames alive.
    raise InvalidFile(f"the file cannot be read as {kind.upper()}")


def _pages(
    data: bytes | memoryview, kind: FileKind, limits: LimitSettings, documents: DocumentSettings
) -> tuple[PageInfo, ...]:
    if kind == "pdf":
        return _pdf_pages(data, limits, documents)
    if kind == "tiff":
        return _tiff_frames(data, limits, documents)
    with open_picture(data, kind, limits) as image:
        return (frame_info(image, 0, kind, limits, documents),)


def _pdf_pages(
    data: bytes | memoryview, limits: LimitSettings, documents: DocumentSettings
) -> tuple[PageInfo, ...]:
    with open_pdf(data) as document:
        count = len(document)
        check_page_count(count, limits)
        pages = [page_info(document, index, limits, documents) for index in range(count)]
    where = "a JPEG 2000 picture in the PDF"
    for width, height in codestream_sizes(data):
        check_pixels(width, height, limits, where=where, documents=documents)
    return tuple(pages)


def _tiff_frames(
    data: bytes | memoryview, limits: LimitSettings, documents: DocumentSettings
) -> tuple[PageInfo, ...]:
    pages: list[PageInfo] = []
    with open_picture(data, "tiff", limits) as image:
        # Frames are a linked list; counting all of them first could take minutes.
        while True:
            pages.append(frame_info(image, len(pages), "tiff", limits, documents))
            try:
                image.seek(len(pages))
            except EOFError:
                return tuple(pages)
            check_page_count(len(pages) + 1, limits, what="number of pages (at least)")
