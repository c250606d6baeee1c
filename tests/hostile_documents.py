"""Small PDFs that ask for far more memory or time than an honest one. None attacks code."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache

from PIL import Image

from tests.documents import _assemble_pdf, _stream

MIB = 2**20
PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %g %g]/Contents 4 0 R/Resources<<%s>>>>"


def deflated(data: bytes, times: int = 1) -> bytes:
    """Each time may shrink what repeats a thousandfold."""
    for _ in range(times):
        data = zlib.compress(data, 9)
    return data


@cache
def object_stream_pdf(size_mib: int) -> bytes:
    """All objects in one stream of this size, deflated twice: 64 MiB are 650 bytes of file.

    Whoever looks for the number of pages must inflate it.
    """
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 100 100]>>",
    )
    places, body = b"", b""
    for number, content in enumerate(objects, 1):
        places += b"%d %d " % (number, len(body))
        body += content + b" "
    raw = deflated((places + body).ljust(size_mib * MIB), 2)
    out = bytearray(b"%PDF-1.5\n")
    stream_at = len(out)
    head = b"/Type/ObjStm/N %d/First %d/Filter[/FlateDecode/FlateDecode]"
    out += b"4 0 obj\n%s\nendobj\n" % _stream(raw, head % (len(objects), len(places)))
    table_at = len(out)
    rows = [(0, 0, 65535), (2, 4, 0), (2, 4, 1), (2, 4, 2), (1, stream_at, 0), (1, table_at, 0)]
    table = b"".join(struct.pack(">BIH", *row) for row in rows)
    out += b"5 0 obj\n%s\nendobj\n" % _stream(table, b"/Type/XRef/Size 6/W[1 4 2]/Root 1 0 R")
    return bytes(out + b"startxref\n%d\n%%%%EOF\n" % table_at)


def _page_pdf(content: bytes, entries: bytes = b"", *, resources: bytes = b"") -> list[bytes]:
    return [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
        PAGE % (595, 842, resources),
        _stream(content, entries),
    ]


def _picture_pdf(picture: bytes, entries: bytes, *others: bytes) -> bytes:
    objects = _page_pdf(b"q 500 0 0 700 40 40 cm /I Do Q", resources=b"/XObject<</I 5 0 R>>")
    head = b"/Type/XObject/Subtype/Image/BitsPerComponent 8" + entries
    return _assemble_pdf([*objects, _stream(picture, head), *others])


@cache
def hidden_jpeg2000_pdf(side: int = 6000) -> bytes:
    """A JPEG 2000 picture of side x side pixels, deflated, so that its head cannot be seen."""
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(out, "JPEG2000")
    small = out.getvalue()
    codestream = bytearray(small[small.index(b"\xff\x4f\xff\x51") :])
    # SIZ: the sizes of the picture and of its one tile (ISO/IEC 15444-1, A.5.1).
    for place in (8, 24):
        codestream[place : place + 8] = struct.pack(">II", side, side)
    entries = b"/Width 8/Height 8/ColorSpace/DeviceRGB/Filter[/FlateDecode/JPXDecode]"
    return _picture_pdf(deflated(bytes(codestream)), entries)


@cache
def flate_picture_pdf(side: int = 30_000, *, times: int = 2) -> bytes:
    """A grey picture of side x side pixels, deflated ``times``, with a mask of the same size."""
    raw = bytes(side * 1024)  # the rest is missing
    filters = b"/FlateDecode" * times
    head = b"/Width %d/Height %d/ColorSpace/DeviceGray/Filter[%s]" % (side, side, filters)
    mask = _stream(deflated(raw, times), b"/Type/XObject/Subtype/Image/BitsPerComponent 8" + head)
    return _picture_pdf(deflated(raw, times), head + b"/SMask 6 0 R", mask)


@cache
def flate_content_pdf(size_mib: int = 2048) -> bytes:
    """A page whose content is blank, and so large, deflated twice."""
    packer = zlib.compressobj(9)
    once = b"".join(packer.compress(b" " * MIB) for _ in range(size_mib)) + packer.flush()
    return _assemble_pdf(_page_pdf(deflated(once), b"/Filter[/FlateDecode/FlateDecode]"))


@cache
def lines_pdf(count: int = 5_000_000) -> bytes:
    """A page of so many lines; five million are some 90 KB."""
    block = b"0 0 m 595 842 l S\n" * 1000
    packer = zlib.compressobj(9)
    content = b"".join(packer.compress(block) for _ in range(count // 1000)) + packer.flush()
    return _assemble_pdf(_page_pdf(content, b"/Filter/FlateDecode"))


@cache
def curves_pdf(count: int = 400_000) -> bytes:
    """A page of wide translucent curves: little memory, much time."""
    block = b"0 0 m 595 0 0 842 595 842 c S\n" * 100
    content = b"90 w /G gs\n" + block * (count // 100)
    objects = _page_pdf(
        deflated(content), b"/Filter/FlateDecode", resources=b"/ExtGState<</G<</CA 0.01>>>>"
    )
    return _assemble_pdf(objects)
