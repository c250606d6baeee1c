"""A page on its way from the process that parsed it to an engine: head, text layer, pixels."""

from __future__ import annotations

import json
import struct

import numpy as np

from serve_app.child.channel import Buffer
from serve_app.documents.page_input import PageInput
from serve_app.documents.text_layer.wire import decode_layer, encode_layer

_LENGTH = struct.Struct("<I")
#: Beside the pixels: the head, and what may be added to it.
MAX_HEAD_BYTES = 16 * 2**20
_CHANNELS = 3


def encode_page(page: PageInput) -> list[Buffer]:
    """The parts of a payload for a page as ``read_page`` gives it."""
    height, width = page.pixels.shape[:2]
    layer = encode_layer(page.layer) if page.layer is not None else []
    facts = {"width": width, "height": height}
    if layer:
        facts["layer"] = sum(map(len, layer))
    head = json.dumps(facts).encode()
    return [_LENGTH.pack(len(head)), head, *layer, page.pixels.data.cast("B")]


def decode_page(payload: Buffer) -> PageInput:
    """Inverse of ``encode_page``; the pixels are where they lie: pipelines paint over them.

    Raises:
        ValueError: the payload is no such frame.
    """
    try:
        (length,) = _LENGTH.unpack_from(payload)
        head = json.loads(bytes(payload[_LENGTH.size : _LENGTH.size + length]))
        shape = int(head["height"]), int(head["width"]), _CHANNELS
        start = _LENGTH.size + length
        layer = None
        if (size := int(head.get("layer", 0))) > 0:
            layer = decode_layer(memoryview(payload)[start : start + size])
            start += size
        pixels = np.frombuffer(payload, np.uint8, offset=start)
        return PageInput(np.reshape(pixels, shape), layer)
    except (KeyError, TypeError, RecursionError, struct.error) as error:
        raise ValueError(f"not a page: {type(error).__name__}") from None
