"""A rendered page on its way from the process that parsed it to an engine: a head, then pixels."""

from __future__ import annotations

import json
import struct

import numpy as np
import numpy.typing as npt

from serve_app.engines.channel import Buffer

_LENGTH = struct.Struct("<I")
#: Beside the pixels: the head, and what may be added to it.
MAX_HEAD_BYTES = 16 * 2**20
_CHANNELS = 3


def encode_page(page: npt.NDArray[np.uint8]) -> list[Buffer]:
    """The parts of a payload for a page as ``render_page`` gives it (BGR, uint8, contiguous)."""
    height, width = page.shape[:2]
    head = json.dumps({"width": width, "height": height}).encode()
    return [_LENGTH.pack(len(head)), head, page.data.cast("B")]


def decode_page(payload: Buffer) -> npt.NDArray[np.uint8]:
    """Inverse of ``encode_page``: the pixels, where they lie; pipelines paint over them.

    Raises:
        ValueError: the payload is no such frame.
    """
    try:
        (length,) = _LENGTH.unpack_from(payload)
        head = json.loads(bytes(payload[_LENGTH.size : _LENGTH.size + length]))
        shape = int(head["height"]), int(head["width"]), _CHANNELS
        pixels = np.frombuffer(payload, np.uint8, offset=_LENGTH.size + length)
        return np.reshape(pixels, shape)
    except (KeyError, TypeError, RecursionError, struct.error) as error:
        raise ValueError(f"not a page: {type(error).__name__}") from None
