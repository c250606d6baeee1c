"""What a page asks of an engine's memory, known before it runs. Pure.

Measured with the bundled models on a CPU, pages of 0.1 to 64 megapixels on fresh engines (MiB):

    OCR             334 + 170 a megapixel that detection computes + 1 x the decoded picture
    PP-StructureV3  573 + 152 ...                                 + 2.6 to 5 x ...

The picture is small beside detection where both are of one size, and the larger part where
detection has shrunk it: 15,000 x 2,600 pixels are computed as 2.8 megapixels. What a pixel of
detection costs depends on model and device and is learned (``policy/estimate.py``); what a pixel of
a picture costs is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serve_app.detection_size import computed_pixels
from serve_app.document import FileKind, PageInfo
from serve_app.messages import PageLoad

CHANNELS = 3
# How many copies of the decoded picture there are at the peak: PaddleX's pipelines keep some. 2.6
# and, where a block of the layout is a picture of most of the page, 5.
_COPIES: Mapping[str, int] = {"OCR": 1, "PP-StructureV3": 5}
# With drawn pictures: five of them and more, each once for drawing and once for encoding.
_COPIES_WHEN_DRAWN: Mapping[str, int] = {"OCR": 11, "PP-StructureV3": 15}
# While a pixel of the file is decoded. A JPEG: coefficients of a progressive one, and the picture.
# Others: Pillow's four bytes, and as much for a conversion. PDFium: its bitmap, and a bit.
_DECODING: Mapping[FileKind, int] = {"jpeg": 6, "pdf": 4}
_DECODING_OTHERS = 8


def page_load(
    pipeline: str,
    arguments: Mapping[str, Any],
    kind: FileKind,
    page: PageInfo,
    *,
    drawn: bool = False,
    detection_side: int = 0,
) -> PageLoad:
    """Of one page.

    Args:
        pipeline: PaddleX's name.
        arguments: of predict: the model's defaults and the request's own.
        kind: of the file.
        page: as ``inspect`` found it.
        drawn: whether result pictures are asked for.
        detection_side: of the request's options.
    """
    copies = (_COPIES_WHEN_DRAWN if drawn else _COPIES)[pipeline]
    pixels = page.width * page.height
    in_file = pixels * page.reduced_by**2
    return PageLoad(
        computed_pixels(pipeline, arguments, page.width, page.height, detection_side),
        pixels * CHANNELS * copies,
        in_file * _DECODING.get(kind, _DECODING_OTHERS),
    )
