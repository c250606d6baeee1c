"""From the units of a PDF page to pixels of its picture, by PDFium's own transformation.

PDFium is asked where three points go, so that rotation, crop box, media box and their odd cases
are exactly those of the rendering. It answers in whole pixels; so it is asked for a page ``FINER``
times as large.
"""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from serve_app.document import Box

FINER = 1024
_REACH = 1000.0  # page units between the points


@dataclass(frozen=True, slots=True)
class Affine:
    """x' = a x + c y + e, y' = b x + d y + f."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Where a point goes."""
        return self.a * x + self.c * y + self.e, self.b * x + self.d * y + self.f

    def vector(self, x: float, y: float) -> tuple[float, float]:
        """Where a direction goes."""
        return self.a * x + self.c * y, self.b * x + self.d * y

    def box(self, left: float, bottom: float, right: float, top: float) -> Box:
        """A box of the page (y upwards) as a box of the picture (y downwards)."""
        x0, y0 = self.point(left, bottom)
        x1, y1 = self.point(right, top)
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)

    @property
    def scale(self) -> float:
        """Pixels per page unit."""
        return math.sqrt(abs(self.a * self.d - self.b * self.c))


def page_to_pixels(page: pdfium.PdfPage, width: int, height: int) -> Affine:
    """The transformation that PDFium uses for a picture of ``width`` x ``height`` pixels."""
    origin = _asked(page, width, height, 0.0, 0.0)
    along_x = _asked(page, width, height, _REACH, 0.0)
    along_y = _asked(page, width, height, 0.0, _REACH)
    return Affine(
        (along_x[0] - origin[0]) / _REACH,
        (along_x[1] - origin[1]) / _REACH,
        (along_y[0] - origin[0]) / _REACH,
        (along_y[1] - origin[1]) / _REACH,
        *origin,
    )


def _asked(
    page: pdfium.PdfPage, width: int, height: int, x: float, y: float
) -> tuple[float, float]:
    device_x, device_y = ctypes.c_int(), ctypes.c_int()
    pdfium_c.FPDF_PageToDevice(
        page, 0, 0, width * FINER, height * FINER, 0, x, y, device_x, device_y
    )
    return device_x.value / FINER, device_y.value / FINER
