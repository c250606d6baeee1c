"""One page of a file as pixels, the way PaddleX's own server would decode it.

Differences to PaddleX, all on purpose: transparency is laid on paper (there it becomes black),
WebP follows its EXIF orientation, more pixel formats are read, and a truncated JPEG is an error and
not half grey. Pages above ``documents.max_render_pixels`` are made smaller (``page_size.py``).

One thread per process: PDFium is not thread-safe, and ``picture.py`` changes process-wide state.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from serve_app.document import FileKind
from serve_app.documents.page_input import PageInput
from serve_app.documents.page_size import POINTS_PER_INCH
from serve_app.documents.paper import laid_on_paper
from serve_app.documents.pdf import new_bitmap, open_pdf, page_info
from serve_app.documents.picture import FIRST_SIDEWAYS, frame_info, open_picture, orientation
from serve_app.documents.text_layer.page_layer import read_layer
from serve_app.errors import InvalidFile, OcrServeError
from serve_app.settings import DocumentSettings, LimitSettings

Pixels: TypeAlias = npt.NDArray[np.uint8]

_JPEG_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_ALPHA_MODES = {"RGBA", "LA", "PA", "RGBa", "La"}


def render_page(
    data: bytes | memoryview,
    info_kind: FileKind,
    index: int,
    limits: LimitSettings,
    documents: DocumentSettings,
) -> Pixels:
    """The picture alone, see ``read_page``."""
    return read_page(data, info_kind, index, limits, documents, with_layer=False).pixels


def read_page(
    data: bytes | memoryview,
    info_kind: FileKind,
    index: int,
    limits: LimitSettings,
    documents: DocumentSettings,
    *,
    with_layer: bool,
) -> PageInput:
    """Decode page ``index`` (from 0; TIFF: the frame; other pictures: only 0) of ``data``.

    Returns:
        The pixels are BGR, uint8, shape (height, width, 3), C-contiguous, upright, owned by the
        caller.

    Raises:
        InvalidFile, EncryptedFile: the page cannot be decoded.
        ImageTooLarge: see ``inspect``; nothing was decoded.
        MemoryError: this process has no memory left for the page.
    """
    try:
        if info_kind == "pdf":
            return _render_pdf(data, index, limits, documents, with_layer)
        return PageInput(_render_picture(data, info_kind, index, limits, documents))
    except (OcrServeError, MemoryError):
        raise
    except Exception:  # nosec B110  # raised anew below
        pass  # decoders raise everything on hostile bytes
    # Raised here, so that it does not keep the decoder's error and its pixels alive.
    raise InvalidFile(f"page {index + 1} cannot be decoded as {info_kind.upper()}")


def _render_pdf(
    data: bytes | memoryview,
    index: int,
    limits: LimitSettings,
    documents: DocumentSettings,
    with_layer: bool,
) -> PageInput:
    """Same calls as ``paddlex.inference.serving.infra.utils.read_pdf``, hence the same pixels."""
    with open_pdf(data) as document:
        document.init_forms()
        info = page_info(document, index, limits, documents)
        assert info.dpi is not None, "of a PDF"
        page = document[index]
        try:
            # The array shares the bitmap's buffer, which Python owns and the array keeps.
            scale = info.dpi / POINTS_PER_INCH
            bitmap = page.render(scale=scale, rotation=0, bitmap_maker=new_bitmap)
            pixels: Pixels = np.ascontiguousarray(bitmap.to_numpy())
            bitmap.close()
            layer = None
            if with_layer:
                layer = read_layer(page, pixels, scale, documents.max_layer_characters)
        finally:
            page.close()
    return PageInput(pixels, layer)


def _render_picture(
    data: bytes | memoryview,
    kind: FileKind,
    index: int,
    limits: LimitSettings,
    documents: DocumentSettings,
) -> Pixels:
    with open_picture(data, kind, limits) as image:
        if kind == "tiff":
            image.seek(index)
        elif index != 0:
            raise InvalidFile(f"page {index + 1} does not exist: the file is one picture")
        info = frame_info(image, index, kind, limits, documents)
        turn = orientation(image)  # now: after the pixels Pillow may have read more metadata
        if kind == "jpeg":
            pixels = _decode_jpeg(data, image, info.reduced_by)
        else:
            pixels = _to_bgr(_reduced(image, info.reduced_by))
    upright = np.ascontiguousarray(_turned(pixels, turn))
    if upright.shape[:2] != (info.height, info.width):
        raise InvalidFile(f"page {index + 1} has another size than its header says")
    return upright


def _decode_jpeg(data: bytes | memoryview, image: ImageFile.ImageFile, reduced_by: int) -> Pixels:
    """Decode with OpenCV, for JPEG decoders differ in their last bit and in CMYK.

    OpenCV fills what is missing of a truncated file with grey; Pillow notices. Its pass at an
    eighth of the size costs about a third of the decoding.
    """
    image.draft(image.mode, (1, 1))
    image.load()
    flags = _JPEG_FLAGS[reduced_by] | cv2.IMREAD_IGNORE_ORIENTATION  # turned by what inspect saw
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        raise ValueError("not decoded")
    return np.asarray(pixels, dtype=np.uint8)


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    """Averages of squares of pixels: before an array, and with it a copy, is made of all."""
    if factor == 1:
        return image
    image.load()
    if image.mode == "P" or "transparency" in image.info:
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    return image.reduce(factor)


def _to_bgr(image: Image.Image) -> Pixels:
    """Pixels of the current frame as BGR, whatever their format is."""
    if image.mode.startswith("I;16"):
        # The high byte, as libpng's strip_16 (OpenCV, PaddleX) does it.
        return _grey_to_bgr((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        return _grey_to_bgr(_stretched(np.asarray(image)))
    image.load()
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        return _rgb_to_bgr(laid_on_paper(image))
    return _rgb_to_bgr(image if image.mode == "RGB" else image.convert("RGB"))


def _stretched(values: npt.NDArray[Any]) -> Pixels:
    """Map 32-bit integers or floats, which have no agreed range, from their own to 0..255."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.nan_to_num(values.astype(np.float32), copy=False, posinf=0.0, neginf=0.0)
        low, high = float(scaled.min()), float(scaled.max())
        scaled -= low
        scaled *= 255.0 / (high - low) if high > low else 0.0
        return scaled.astype(np.uint8)


def _rgb_to_bgr(image: Image.Image) -> Pixels:
    return np.asarray(cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR), dtype=np.uint8)


def _grey_to_bgr(grey: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), dtype=np.uint8)


def _turned(pixels: Pixels, turn: int) -> Pixels:
    """Undo an EXIF orientation (EXIF 2.32, tag 0x0112): 1 is upright, 5 to 8 lie on a side."""
    if turn >= FIRST_SIDEWAYS:
        pixels = pixels.swapaxes(0, 1)
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
