"""Picture files through Pillow: opening them lazily, their size and orientation.

Pillow's guard against decompression bombs and the warnings filter are process-wide, so in one
process only one thread may use this module.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from serve_app.document import FileKind, PageInfo
from serve_app.documents.page_size import picture_page
from serve_app.errors import ImageTooLarge, InvalidFile
from serve_app.settings import DocumentSettings, LimitSettings

# Image.open would check the size before it is known here, and read a JPEG with several pictures
# as another format.
_READERS: Final[dict[FileKind, type[ImageFile.ImageFile]]] = {
    "png": PngImageFile,
    "jpeg": JpegImageFile,
    "webp": WebPImageFile,
    "bmp": BmpImageFile,
    "gif": GifImageFile,
    "tiff": TiffImageFile,
}
# Pixels that can be averaged; not those of 16 and 32 bits, whose range is only known from all.
REDUCIBLE: Final = frozenset(
    {"1", "L", "P", "RGB", "RGBA", "RGBX", "LA", "PA", "La", "RGBa", "CMYK", "YCbCr", "LAB", "HSV"}
)
UPRIGHT = 1
FIRST_SIDEWAYS = 5  # orientations 5 to 8 swap width and height
_ORIENTATIONS = range(1, 9)


@contextmanager
def open_picture(
    data: bytes | memoryview, kind: FileKind, limits: LimitSettings
) -> Iterator[ImageFile.ImageFile]:
    """Read the headers of a picture file; its pixels are decoded when its ``load`` is called.

    What Pillow has to say about odd files goes nowhere: a file is read or refused.

    Raises:
        ImageTooLarge: Pillow met a picture of more than twice ``limits.max_page_pixels`` pixels,
            before it took memory for it. The caller checks all smaller ones.
        Exception: anything at all, the format's decoder is at work on unknown bytes.
    """
    guard = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Image.MAX_IMAGE_PIXELS = limits.max_page_pixels
        try:
            with _READERS[kind](io.BytesIO(data)) as image:
                yield image
        except Image.DecompressionBombError:
            raise ImageTooLarge(
                "width x height (at least)",
                2 * limits.max_page_pixels,
                limits.max_page_pixels,
                "limits.max_page_pixels",
            ) from None
        finally:
            Image.MAX_IMAGE_PIXELS = guard


def orientation(image: ImageFile.ImageFile) -> int:
    """EXIF orientation, 1 (upright) to 8; 1 if there is none or it makes no sense.

    For TIFF always 1, because Pillow turns its frames itself. The orientation is only looked for
    before the pixels, and in EXIF only, as OpenCV and browsers do.
    """
    raw = image.info.get("exif")
    if not raw or isinstance(image, TiffImageFile):
        return UPRIGHT
    exif = Image.Exif()
    try:
        exif.load(raw)
        value: Any = exif.get(Base.Orientation)
        return int(value) if value in _ORIENTATIONS else UPRIGHT
    except Exception:  # broken EXIF is no reason to refuse a sound picture
        return UPRIGHT


def upright_size(image: ImageFile.ImageFile) -> tuple[int, int]:
    """Width and height in pixels of the current frame, after its orientation is applied.

    Raises:
        InvalidFile: the frame has no area.
    """
    width, height = image.size
    if width < 1 or height < 1:
        raise InvalidFile("the picture has no pixels")
    return (height, width) if orientation(image) >= FIRST_SIDEWAYS else (width, height)


def frame_info(
    image: ImageFile.ImageFile,
    index: int,
    kind: FileKind,
    limits: LimitSettings,
    documents: DocumentSettings,
) -> PageInfo:
    """The size that the current frame is decoded at.

    Raises:
        InvalidFile: the frame has no area.
        ImageTooLarge: see ``page_size.picture_page``.
    """
    return picture_page(
        index,
        kind,
        upright_size(image),
        limits,
        documents,
        reducible=image.mode in REDUCIBLE,
        where=f"page {index + 1}" if kind == "tiff" else "the picture",
    )
