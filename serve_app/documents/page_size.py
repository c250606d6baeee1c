"""The size that a page is predicted at, found from what the file says of it. Pure numbers.

``inspect`` and ``render`` both ask here, so that what the one promises is what the other makes. A
page that is larger than the server renders is made smaller, with a notice; its ``dpi``, or the
scale of a picture, comes with the answer, so that boxes can be mapped back.
"""

from __future__ import annotations

import math

from serve_app.document import FileKind, PageInfo
from serve_app.documents.page_limits import check_page_size, check_shape
from serve_app.errors import ImageTooLarge
from serve_app.settings import DocumentSettings, LimitSettings

POINTS_PER_INCH = 72.0
# A page of A0 in ordinary print is hardly read at 30 dpi; at 10 there is nothing to read at all.
MIN_DPI = 10.0
# Steps of the resolution: a number that people can read in a notice.
_DPI_STEP = 0.1

# Of a JPEG a half, a quarter or an eighth can be decoded without the whole.
_JPEG_REDUCTIONS = (1, 2, 4, 8)


def pdf_page(
    index: int,
    width_pt: float,
    height_pt: float,
    limits: LimitSettings,
    documents: DocumentSettings,
) -> PageInfo:
    """A page of a PDF, from its size in points.

    Raises:
        ImageTooLarge: too thin, or so large that ``MIN_DPI`` would be too much.
    """
    where = f"page {index + 1}"
    dpi = _dpi_that_fits(width_pt, height_pt, limits, documents)
    width, height = size_at(width_pt, height_pt, dpi)
    if dpi < documents.pdf_dpi and dpi < MIN_DPI:
        width, height = size_at(width_pt, height_pt, MIN_DPI)
        raise ImageTooLarge(
            f"{where}: width x height at {MIN_DPI:g} dpi ({width} x {height})",
            width * height,
            documents.max_render_pixels,
            "documents.max_render_pixels",
        )
    check_shape(width, height, limits, where=where)
    notice = ""
    if dpi < documents.pdf_dpi:
        notice = (
            f"{where} was rendered at {dpi:g} dpi instead of {documents.pdf_dpi:g}, which gives "
            f"{width} x {height} pixels (documents.max_render_pixels)"
        )
    return PageInfo(index, width, height, dpi=dpi, notice=notice)


def size_at(width_pt: float, height_pt: float, dpi: float) -> tuple[int, int]:
    """Pixels of a page at a resolution, rounded as ``pypdfium2.PdfPage.render`` does it."""
    scale = dpi / POINTS_PER_INCH
    return math.ceil(width_pt * scale), math.ceil(height_pt * scale)


def picture_page(
    index: int,
    kind: FileKind,
    size: tuple[int, int],
    limits: LimitSettings,
    documents: DocumentSettings,
    *,
    reducible: bool = True,
    where: str = "the picture",
) -> PageInfo:
    """A picture, or a frame of one.

    Args:
        index, kind: which frame of what format.
        size: width and height in pixels, upright.
        limits, documents: of the configuration.
        reducible: whether the file's kind of pixel can be averaged.
        where: for messages.

    Raises:
        ImageTooLarge: above ``limits``, or above what is decoded and not reducible.
    """
    width, height = size
    check_page_size(width, height, limits, where=where)
    factors = _JPEG_REDUCTIONS if kind == "jpeg" else range(1, max(width, height) + 1)
    factor = next(
        (factor for factor in factors if _fits(*reduced(size, factor), documents)), factors[-1]
    )
    if factor > 1 and not reducible:
        raise ImageTooLarge(
            f"{where}, of 16 or 32 bits: width x height ({width} x {height})",
            width * height,
            documents.max_render_pixels,
            "documents.max_render_pixels",
        )
    small = reduced(size, factor)
    notice = ""
    if factor > 1:
        notice = (
            f"{where} of {width} x {height} pixels was read at {small[0]} x {small[1]} "
            "(documents.max_render_pixels)"
        )
    return PageInfo(index, *small, reduced_by=factor, notice=notice)


def reduced(size: tuple[int, int], factor: int) -> tuple[int, int]:
    """What libjpeg and Pillow make of a size: an incomplete last pixel is one."""
    return -(-size[0] // factor), -(-size[1] // factor)


def _fits(width: int, height: int, documents: DocumentSettings) -> bool:
    return (
        width * height <= documents.max_render_pixels
        and max(width, height) <= documents.max_render_side
    )


def _dpi_that_fits(
    width_pt: float, height_pt: float, limits: LimitSettings, documents: DocumentSettings
) -> float:
    """The configured resolution, or the highest below it that stays within the limits."""
    most_pixels = min(documents.max_render_pixels, limits.max_page_pixels)
    longest = min(documents.max_render_side, limits.max_side_pixels)

    def fits(dpi: float) -> bool:
        width, height = size_at(width_pt, height_pt, dpi)
        return width * height <= most_pixels and max(width, height) <= longest

    if fits(documents.pdf_dpi):
        return documents.pdf_dpi
    by_pixels = math.sqrt(most_pixels / (width_pt * height_pt))
    by_side = longest / max(width_pt, height_pt)
    steps = math.floor(POINTS_PER_INCH * min(by_pixels, by_side) / _DPI_STEP)
    while steps > 0 and not fits(steps * _DPI_STEP):  # the size is rounded up
        steps -= 1
    return round(steps * _DPI_STEP, 1)
