"""How large text detection computes a page, which decides what the page needs. Pure.

Source of the rules: paddlex 3.7.2, ``models/text_detection/processors.py`` (``DetResizeForTest``),
and the pipelines' YAML files for the limits. Detection is all that grows with the page: layout and
orientation have inputs of a fixed size, recognition sees one line at a time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

# PaddleX's text_det_max_side_limit, which its serving protocol cannot change.
MAX_SIDE = 4000
STRIDE = 32

# limit_side_len and limit_type of the pipelines' own detection.
_LIMITS: Mapping[str, tuple[int, str]] = {"OCR": (64, "min"), "PP-StructureV3": (736, "min")}

# PP-StructureV3 enlarges a picture until its shorter side has 736 pixels. That makes the letters
# of a label taller than the detector knows: 65 x 11 pixels were read as nothing, a line of 64
# pixels as two. At four times, to 64 pixels at least, lines of 12 to 250 pixels are read.
_MOST_TIMES = 4

# The memory of detection grows with its area: 170 bytes a pixel in bf16, 260 in f32, so that the
# 16 million of a page of 30 x 30 inches would take 4.1 GiB. A4 at 300 dpi has 8.7 million.
_MOST_PIXELS = 10_000_000

# Of a page that is larger than ``side`` detection sees a smaller copy, no smaller than this: A4 at
# 300 dpi as at 164 dpi, where letters of 5 points are 11 pixels tall. Measured
# (tests/bench/detection_scans.py, DESIGN.md): what is taller than that is found as well as before,
# noisy or not; at 0.45 words of such small print go missing.
_SMALLEST_SCALE = 0.547


def detection_options(
    pipeline: str, arguments: Mapping[str, Any], width: int, height: int, side: int = 0
) -> dict[str, int | str]:
    """What detection is to be told beside a page's own arguments: mostly nothing.

    A request or a configuration that sets a limit of its own is obeyed.

    Args:
        side: pixels of the longer side that are enough for scans of A4 (``_SMALLEST_SCALE``); 0:
            all, as PaddleX.
    """
    if arguments.get("text_det_limit_side_len") or arguments.get("text_det_limit_type"):
        return {}
    usual, least = _LIMITS[pipeline][0], _LIMITS["OCR"][0]
    enlarged = max(least, _MOST_TIMES * min(width, height))
    if enlarged < usual:
        return {"text_det_limit_side_len": enlarged}
    longer, shorter = max(width, height), min(width, height)
    most = math.ceil(max(side, longer * _SMALLEST_SCALE)) if side else longer
    # The longer side of a page of this shape that has so many pixels.
    most = min(most, math.isqrt(_MOST_PIXELS * longer // shorter))
    # PaddleX's own limit, and its enlarging of what is narrower than that, stay where they are.
    if most >= min(longer, MAX_SIDE) or shorter * most // longer < usual:
        return {}
    return {"text_det_limit_side_len": most, "text_det_limit_type": "max"}


def detection_size(
    pipeline: str, arguments: Mapping[str, Any], width: int, height: int, side: int = 0
) -> tuple[int, int]:
    """Width and height, in pixels, of what detection computes of a page of this size.

    Args:
        pipeline: PaddleX's name.
        arguments: of predict: the model's defaults and the request's own.
        width, height: of the page.
        side: as for ``detection_options``.
    """
    arguments = {**arguments, **detection_options(pipeline, arguments, width, height, side)}
    usual_side, usual_type = _LIMITS[pipeline]
    limit = int(arguments.get("text_det_limit_side_len") or usual_side)
    kind = arguments.get("text_det_limit_type") or usual_type
    if width + height < 2 * STRIDE:
        width, height = max(width, STRIDE), max(height, STRIDE)
    shorter, longer = min(width, height), max(width, height)
    ratio = 1.0
    if kind == "resize_long" or (kind == "max" and longer > limit):
        ratio = limit / longer
    elif kind == "min" and shorter < limit:
        ratio = limit / shorter
    wide, high = int(width * ratio), int(height * ratio)
    if max(wide, high) > MAX_SIDE:
        ratio = MAX_SIDE / max(wide, high)
        wide, high = int(wide * ratio), int(high * ratio)
    return _rounded(wide), _rounded(high)


def computed_pixels(
    pipeline: str, arguments: Mapping[str, Any], width: int, height: int, side: int = 0
) -> int:
    """Pixels of ``detection_size``."""
    wide, high = detection_size(pipeline, arguments, width, height, side)
    return wide * high


def _rounded(side: int) -> int:
    return max(round(side / STRIDE) * STRIDE, STRIDE)
