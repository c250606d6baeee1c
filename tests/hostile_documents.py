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


def deflated(data: bytes) -> bytes:
    """What repeats shrinks a thousandfold."""
    return zlib.compress(data, 9)


def deflated_repeat(first: bytes, block: bytes, times: int) -> bytes:
    """``first`` and then a block so many times, deflated; the block is packed once."""
    packer = zlib.compressobj(9)
    head = packer.compress(first) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    check = zlib.adler32(first)
    for _ in range(times):
        check = zlib.adler32(block, check)
    last = b"\x03\x00"  # an empty block that ends the stream
    return head + packed * times + last + struct.pack(">I", check)


BLANK = b" " * 8 * MIB


@cache
def object_stream_pdf(size_mib: int) -> bytes:
    """All objects in one stream of this size, deflated twice: 400 MiB are a kilobyte of file.

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
    raw = deflated(deflated_repeat(places + body, BLANK, size_mib // 8))
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
    for _ in range(times):
        raw = deflated(raw)
    filters = b"/FlateDecode" * times
    head = b"/Width %d/Height %d/ColorSpace/DeviceGray/Filter[%s]" % (side, side, filters)
    mask = _stream(raw, b"/Type/XObject/Subtype/Image/BitsPerComponent 8" + head)
    return _picture_pdf(raw, head + b"/SMask 6 0 R", mask)


@cache
def flate_content_pdf(size_mib: int = 2048) -> bytes:
    """A page whose content is blank, and so large, deflated twice."""
    content = deflated(deflated_repeat(b"", BLANK, size_mib // 8))
    return _assemble_pdf(_page_pdf(content, b"/Filter[/FlateDecode/FlateDecode]"))


@cache
def lines_pdf(count: int = 5_000_000) -> bytes:
    """A page of so many lines: five million are 90 KB."""
    content = deflated_repeat(b"", b"0 0 m 595 842 l S\n" * 50_000, count // 50_000)
    return _assemble_pdf(_page_pdf(content, b"/Filter/FlateDecode"))


@cache
def curves_pdf(count: int = 400_000) -> bytes:
    """A page of wide translucent curves: little memory, much time."""
    content = deflated_repeat(
        b"90 w /G gs\n", b"0 0 m 595 0 0 842 595 842 c S\n" * 10_000, count // 10_000
    )
    objects = _page_pdf(content, b"/Filter/FlateDecode", resources=b"/ExtGState<</G<</CA 0.01>>>>")
    return _assemble_pdf(objects)
