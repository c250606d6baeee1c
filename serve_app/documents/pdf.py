"""PDF files through pypdfium2: opening them and the size of their pages in pixels.

PDFium is not thread-safe, not even over different documents: in one process only one thread may
use this module.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import mmap
from collections.abc import Iterator

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.internal as pdfium_i
import pypdfium2.raw as pdfium_c

from serve_app.document import PageInfo
from serve_app.documents.page_size import pdf_page
from serve_app.errors import EncryptedFile, InvalidFile
from serve_app.settings import DocumentSettings, LimitSettings

LARGE_PAGE_BYTES = 2 * 2**20


@contextlib.contextmanager
def open_pdf(data: bytes | memoryview) -> Iterator[pdfium.PdfDocument]:
    """Open ``data`` without copying it, and close the document at the end.

    A PDF whose user password is empty opens: anybody may read it.

    Raises:
        EncryptedFile: a password, or a security handler that is not known, is in the way.
        InvalidFile: damaged beyond PDFium's repair, or without pages.
    """
    # The array keeps the buffer alive and gives its address; it is also what a read-only view
    # (an object of Ray's store) needs, which pypdfium2's own constructor does not take.
    buffer = np.frombuffer(data, dtype=np.uint8)
    handle = pdfium_c.FPDF_LoadMemDocument64(
        buffer.ctypes.data_as(ctypes.c_void_p), buffer.size, None
    )
    if not handle:
        raise _open_error(pdfium_c.FPDF_GetLastError())
    document = pdfium.PdfDocument(handle)
    try:
        if len(document) < 1:
            raise InvalidFile("the PDF has no pages")
        yield document
    finally:
        document.close()
        del buffer


def _open_error(code: int) -> InvalidFile:
    if code == pdfium_c.FPDF_ERR_PASSWORD:
        return EncryptedFile("the PDF cannot be opened without its password")
    if code == pdfium_c.FPDF_ERR_SECURITY:
        return EncryptedFile("the PDF is protected by a method that is not supported")
    return InvalidFile("the PDF is damaged and cannot be opened")


def page_info(
    document: pdfium.PdfDocument, index: int, limits: LimitSettings, documents: DocumentSettings
) -> PageInfo:
    """The size that the page is rendered at, and its resolution.

    Counts the page's own rotation. Does not parse the page's content. Like PDFium, does not know
    UserUnit.

    Raises:
        InvalidFile: the page does not exist or has no area.
        ImageTooLarge: see ``page_size.pdf_page``.
    """
    try:
        width_pt, height_pt = document.get_page_size(index)
    except pdfium.PdfiumError:
        width_pt = height_pt = 0.0
    if not (0 < width_pt < math.inf and 0 < height_pt < math.inf):
        raise InvalidFile(f"page {index + 1} of the PDF cannot be read")
    return pdf_page(index, width_pt, height_pt, limits, documents)


def new_bitmap(width: int, height: int, format: int, rev_byteorder: bool) -> pdfium.PdfBitmap:
    """A bitmap in large pages of memory, where the kernel gives them.

    Each process renders one page, and the first touch of a small page of memory costs 1 to 4 us: up
    to 6 ms for the 6 MB of an A4 page, a third of what rendering it takes.
    """
    size = width * height * pdfium_i.BitmapTypeToNChannels[format]
    whole_pages = -(-size // LARGE_PAGE_BYTES) * LARGE_PAGE_BYTES
    memory = mmap.mmap(-1, whole_pages, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without large pages
        memory.madvise(mmap.MADV_HUGEPAGE)
    buffer = (ctypes.c_ubyte * size).from_buffer(memory)
    return pdfium.PdfBitmap.new_native(width, height, format, rev_byteorder, buffer=buffer)
