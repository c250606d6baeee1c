"""Lets PaddleX's page orientation classifier see pages with wide margins.

The classifier looks at the middle square of the page. A scan with three lines at its top shows it
white paper, and it answers "0" for every rotation (measured: ocr_test*.pdf and webp-test.webp of
the corpus). Cut to its content first, the page is classified right in all four rotations, and no
other page of the corpus changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

# A pixel belongs to the content if it differs from the page's median by more than this (of 255).
CONTRAST = 40
MARGIN_PIXELS = 8


def crop_to_content(picture: Picture) -> Picture:
    """The smallest part of a page (height x width x 3) that holds all that is not paper."""
    grey = picture.mean(axis=2, dtype=np.float32)
    content = np.abs(grey - np.median(grey)) > CONTRAST
    rows, columns = np.flatnonzero(content.any(axis=1)), np.flatnonzero(content.any(axis=0))
    if rows.size == 0:
        return picture
    top, left = max(rows[0] - MARGIN_PIXELS, 0), max(columns[0] - MARGIN_PIXELS, 0)
    return picture[top : rows[-1] + MARGIN_PIXELS, left : columns[-1] + MARGIN_PIXELS]


def classify_content_only(pipeline: Any) -> None:
    """Have the pipeline's orientation classifier look at the content; no-op without one."""
    preprocessor = getattr(pipeline, "doc_preprocessor_pipeline", None)
    model = getattr(preprocessor, "doc_ori_classify_model", None)
    if model is not None:
        read = model.preprocessors["Read"]
        model.preprocessors["Read"] = _CroppingReader(read)


class _CroppingReader:
    """In place of PaddleX's ReadImage, which turns paths and arrays into arrays."""

    def __init__(self, read: Callable[..., Sequence[Picture]]) -> None:
        self._read = read

    def __call__(self, imgs: Any) -> list[Picture]:
        return [np.ascontiguousarray(crop_to_content(img)) for img in self._read(imgs=imgs)]
