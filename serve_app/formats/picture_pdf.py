"""A picture file as a PDF of its own, one page a frame, with the picture's data as it is.

img2pdf copies JPEG, and PNG and TIFF where a PDF can hold their data; it packs other pixels without
loss. What it refuses (transparency, mirrored pictures) and what a PDF has no filter for (WebP, GIF,
BMP) goes in as the picture that was read. Like all parsing it belongs into a child process.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import img2pdf
from PIL import Image

from serve_app.document import FileKind
from serve_app.documents.picture import open_picture
from serve_app.documents.render import render_page
from serve_app.errors import InvalidFile
from serve_app.settings import DocumentSettings, LimitSettings

_POINTS_PER_INCH = 72.0
# Of a picture that says none or a senseless one: then A4 is about 1240 x 1754 pixels.
_DEFAULT_DPI = 150.0
_LEAST_DPI, _MOST_DPI = 72.0, 2400.0
# Sides of a page, points: the limits of PDF 1.x readers.
_LEAST_SIDE, _MOST_SIDE = 3.0, 14_400.0
_COPIED: frozenset[FileKind] = frozenset({"jpeg", "png", "tiff"})
_NOT_COPIED = (
    img2pdf.ExifOrientationError,
    img2pdf.ImageOpenError,
    img2pdf.JpegColorspaceError,
    img2pdf.UnsupportedColorspaceError,
    NotImplementedError,
    OSError,
    SyntaxError,
    ValueError,
)
# Of pictures that were packed with loss already: without, they would be many times as large.
_QUALITY = 85


@dataclass(frozen=True, slots=True)
class _Picture:
    is_transparent: bool
    is_lossy: bool
    frames: int
    dpi: tuple[float, float] | None


def picture_pdf(
    data: bytes | memoryview, kind: FileKind, limits: LimitSettings, documents: DocumentSettings
) -> bytes:
    """The PDF.

    Raises:
        InvalidFile: the picture cannot be decoded where it has to be.
        ImageTooLarge: it breaks ``limits``.
    """
    with open_picture(data, kind, limits) as image:
        info = _Picture(
            is_transparent="A" in image.getbands() or "transparency" in image.info,
            is_lossy=kind in ("jpeg", "webp") or "jpeg" in str(image.info.get("compression", "")),
            frames=getattr(image, "n_frames", 1) if kind == "tiff" else 1,
            dpi=image.info.get("dpi"),
        )
    if kind in _COPIED and not info.is_transparent and not (kind == "tiff" and info.is_lossy):
        try:
            return _converted([bytes(data)])
        except _NOT_COPIED:
            pass  # an odd variant of the format: it was read, so its pixels can be had
    return _converted([*_as_read(data, kind, info, limits, documents)])


def _converted(pictures: list[bytes]) -> bytes:
    made: bytes | None = img2pdf.convert(
        pictures, layout_fun=_layout, rotation=img2pdf.Rotation.auto, nodate=True
    )
    if not made:
        raise InvalidFile("the picture cannot be put into a PDF")
    return made


def _layout(width: int, height: int, dpi: tuple[float, float]) -> tuple[float, float, float, float]:
    """Sizes of page and picture in points."""
    across, down = (d if _LEAST_DPI < d <= _MOST_DPI else _DEFAULT_DPI for d in dpi)
    # 96 is what img2pdf says where a file says nothing.
    if dpi == (96.0, 96.0):
        across = down = _DEFAULT_DPI
    size = width / across * _POINTS_PER_INCH, height / down * _POINTS_PER_INCH
    shrink = min(1.0, _MOST_SIDE / max(size))
    page_width, page_height = (max(_LEAST_SIDE, side * shrink) for side in size)
    return page_width, page_height, page_width, page_height


def _as_read(
    data: bytes | memoryview,
    kind: FileKind,
    info: _Picture,
    limits: LimitSettings,
    documents: DocumentSettings,
) -> Iterator[bytes]:
    """Each frame upright and opaque, as the engine sees it."""
    given: dict[str, Any] = {"dpi": tuple(map(float, info.dpi))} if info.dpi else {}
    packed: dict[str, Any] = {"format": "PNG"}
    if info.is_lossy:
        packed = {"format": "JPEG", "quality": _QUALITY}
    for index in range(info.frames):
        pixels = render_page(data, kind, index, limits, documents)
        out = io.BytesIO()
        Image.fromarray(pixels[:, :, ::-1]).save(out, **packed, **given)
        yield out.getvalue()
