"""JPEG 2000 pictures inside a PDF: a few bytes there can claim any number of pixels.

PDFium streams most pictures, however large, but decodes a JPEG 2000 picture as a whole, at about
36 bytes per pixel: 2.3 GB for 8000 x 8000 pixels out of a PDF of 3 KB (pypdfium2 5.15).

Found are codestreams that stand in the file as they are. Not found are those behind another
filter or inside an encrypted file; only a memory limit on the process stops these.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

# Start of codestream and the SIZ segment that must follow it (ISO/IEC 15444-1, A.4.1 and A.5.1).
_MARKER = b"\xff\x4f\xff\x51"
_SIZ = struct.Struct(">HHIIIIIIIIH")
_COMPONENT_BYTES = 3


def codestream_sizes(data: bytes | memoryview) -> Iterator[tuple[int, int]]:
    """Width and height in pixels of every JPEG 2000 codestream in ``data``."""
    raw = data if isinstance(data, bytes) else bytes(data)
    start = raw.find(_MARKER)
    while start >= 0:
        segment = raw[start + len(_MARKER) : start + len(_MARKER) + _SIZ.size]
        if len(segment) == _SIZ.size:
            length, _, x1, y1, x0, y0, *_, components = _SIZ.unpack(segment)
            # A chance hit in compressed bytes hardly has the right length for its components.
            if length == _SIZ.size + _COMPONENT_BYTES * components and x1 > x0 and y1 > y0:
                yield x1 - x0, y1 - y0
        start = raw.find(_MARKER, start + 1)
