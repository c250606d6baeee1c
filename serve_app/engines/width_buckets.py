"""Few widths of text lines, so that few shapes: a runtime keeps memory for every shape it has seen.

PaddleX pads a line to 320 pixels at least, and the lines of a call to the widest of them, to the
pixel. Padded to the next multiple of ``BUCKET_PIXELS`` instead, the 134 calls for 15 pages of the
corpus come in 28 widths, and one line a call (``engine.rec_batch_size: 1``) no longer costs a shape
each. Measured with both, OpenVINO in f32, after these pages twice: 1169 MiB held instead of 1576,
in 5.4 s of CPU a page either way; the Word F1 of the English PDFs is the same to four digits.

A pixel of width costs the same time wherever it is, so short lines are padded less than by PaddleX
where the network was seen to read them nearly as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Line = npt.NDArray[np.float32]

# PaddleX's widest line, 3200, is a multiple of it.
BUCKET_PIXELS = 64
# Recognisers that were measured with less than 320 pixels (DESIGN.md), by PaddleX's name: the width
# that their lines, scaled to the network's height, are padded to at least.
SHORT_LINES = {"PP-OCRv6_small_rec": 96}
CPU, OPENVINO = "CPUExecutionProvider", "OpenVINOExecutionProvider"


def bucketed(width: int) -> int:
    """The width in pixels that a line of this width is padded to."""
    return -(-width // BUCKET_PIXELS) * BUCKET_PIXELS


def least_width(model_name: str, provider: str | None) -> int | None:
    """What a recogniser's lines are padded to at least, in pixels; None: as PaddleX does.

    Args:
        model_name: PaddleX's name of the recogniser.
        provider: ONNX Runtime's that it computes with; None if another runtime does.
    """
    return SHORT_LINES.get(model_name) if provider in (CPU, OPENVINO) else None


def pad_to_buckets(recognizer: Any) -> None:
    """Have PaddleX's text recogniser on a runner (``TextRecRunnerPredictor``) pad to buckets."""
    least = least_width(recognizer.model_name, _provider(recognizer.runner))
    if least is not None:
        resize = recognizer.pre_tfs["ReisizeNorm"]
        channels, height, _ = resize.rec_image_shape
        resize.rec_image_shape = [channels, height, least]
    batch = _BucketBatch()
    recognizer.pre_tfs["ToBatch"] = batch
    recognizer.post_op = _BucketDecode(recognizer.post_op, batch)


def _provider(runner: Any) -> str | None:
    session = getattr(runner, "session", None)  # only PaddleX's ONNX runner has one
    return None if session is None else str(session.get_providers()[0])


class _BucketBatch:
    """In place of PaddleX's ToBatch: lines (3 x height x width) to one padded array."""

    def __init__(self) -> None:
        #: Width / height of the last batch.
        self.wh_ratio = 0.0

    def __call__(self, imgs: Sequence[Line]) -> list[Line]:
        channels, height, _ = imgs[0].shape
        width = bucketed(max(line.shape[2] for line in imgs))
        batch = np.zeros((len(imgs), channels, height, width), np.float32)
        for row, line in zip(batch, imgs, strict=True):
            row[:, :, : line.shape[2]] = line
        self.wh_ratio = width / height
        return [batch]


class _BucketDecode:
    """PaddleX's decoder, told the true width: it finds the places of words by its share."""

    def __init__(self, decode: Any, batch: _BucketBatch) -> None:
        self._decode, self._batch = decode, batch

    @property
    def character(self) -> Sequence[str]:
        """The characters that the decoder knows."""
        characters: Sequence[str] = self._decode.character
        return characters

    def __call__(self, pred: Any, *, max_wh_ratio: float, **options: Any) -> Any:
        return self._decode(pred, max_wh_ratio=self._batch.wh_ratio, **options)
