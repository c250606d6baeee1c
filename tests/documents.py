"""Small documents made on the spot, for all tests: PDFs with known text, pictures of all kinds.

Everything is a function that returns the bytes of a file. PDFs are written by hand, pictures
by Pillow.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

A4_PT = (595.0, 842.0)
QUADRANTS = {"red": (255, 0, 0), "green": (0, 160, 0), "blue": (0, 0, 255), "grey": (90, 90, 90)}
_ORIENTATION_TAG = 0x0112


# ---- PDF -------------------------------------------------------------------------------------


def page_text(number: int) -> str:
    """The text that `text_pdf` writes on page ``number`` (from 1) unless told otherwise."""
    return f"This is page number {number}\nThe quick brown fox jumps over the lazy dog"


def text_pdf(
    pages: int | Sequence[str] = 1,
    *,
    size_pt: tuple[float, float] = A4_PT,
    rotate: int = 0,
    font_pt: int = 24,
) -> bytes:
    """A digital PDF in Helvetica (Latin-1 only), so with a text layer.

    Args:
        pages: how many pages with `page_text`, or the text of each (lines split by newlines).
        size_pt: MediaBox of every page, 1/72 inch.
        rotate: the pages' /Rotate, a multiple of 90.
        font_pt: size of the letters.
    """
    texts = [page_text(i + 1) for i in range(pages)] if isinstance(pages, int) else list(pages)
    return _assemble_pdf(_text_objects(texts, size_pt, rotate, font_pt))


def encrypted_pdf(*, user_password: str = "secret", text: str = "top secret") -> bytes:
    """A PDF encrypted with 40-bit RC4; with an empty ``user_password`` anybody can open it."""
    return _assemble_pdf(
        _text_objects([text], A4_PT, 0, 24), _Rc4Handler(user_password, owner_password="owner")
    )


def claimed_pages_pdf(count: int) -> bytes:
    """A PDF of one page that says it has ``count``."""
    return text_pdf(1).replace(b"/Count 1", b"/Count %d" % count)


def huge_page_pdf(side_pt: float = 14_400.0) -> bytes:
    """A PDF whose second page of two is far larger than any limit."""
    small = _text_objects(["one", "two"], A4_PT, 0, 24)
    box = b"/MediaBox[0 0 595 842]"
    last = max(i for i, body in enumerate(small) if box in body)
    small[last] = small[last].replace(box, b"/MediaBox[0 0 %g %g]" % (side_pt, side_pt))
    return _assemble_pdf(small)


def damaged_pdf() -> bytes:
    """A PDF header followed by nothing that a reader could repair."""
    return b"%PDF-1.7\n" + bytes(range(1, 256)) * 4


def form_pdf(value: str = "filled in by hand") -> bytes:
    """A PDF with a text field: its value is drawn only by readers that draw forms."""
    objects = _text_objects(["A form with one field:"], A4_PT, 0, 24)
    field_id = len(objects) + 1
    appearance = _stream(
        b"/Tx BMC q BT /F1 18 Tf 4 8 Td (%s) Tj ET Q EMC" % _escape(value),
        b"/Type/XObject/Subtype/Form/BBox[0 0 400 30]/Resources<</Font<</F1 3 0 R>>>>",
    )
    objects[0] = (
        b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[%d 0 R]/DR<</Font<</F1 3 0 R>>>>"
        b"/DA(/F1 18 Tf 0 g)>>>>" % field_id
    )
    objects[3] = objects[3].replace(b"/Contents", b"/Annots[%d 0 R]/Contents" % field_id)
    objects.append(
        b"<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/V(%s)/Rect[60 600 460 630]/F 4/P 4 0 R"
        b"/AP<</N %d 0 R>>/DA(/F1 18 Tf 0 g)>>" % (_escape(value), field_id + 1)
    )
    objects.append(appearance)
    return _assemble_pdf(objects)


def jpeg2000_pdf(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PDF with a JPEG 2000 picture that claims ``width`` x ``height`` pixels; no body."""
    siz = struct.pack(">HHIIIIIIIIH", 38 + 3, 0, width, height, 0, 0, width, height, 0, 0, 1)
    codestream = b"\xff\x4f\xff\x51" + siz + b"\x07\x01\x01" + b"\xff\xd9"
    picture = (
        b"/Type/XObject/Subtype/Image/Width 8/Height 8/BitsPerComponent 8"
        b"/ColorSpace/DeviceGray/Filter/JPXDecode"
    )
    objects = _text_objects(["a picture:"], A4_PT, 0, 24)
    objects[3] = objects[3].replace(
        b"/Resources<<", b"/Resources<</XObject<</I %d 0 R>>" % (len(objects) + 1)
    )
    objects[4] = _stream(b"q 400 0 0 400 50 50 cm /I Do Q")
    objects.append(_stream(codestream, picture))
    return _assemble_pdf(objects)


def _text_objects(
    texts: Sequence[str], size_pt: tuple[float, float], rotate: int, font_pt: int
) -> list[bytes]:
    """Objects 1 (catalog), 2 (page tree), 3 (font), then page and content by turns."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * i) for i in range(len(texts)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(texts), kids),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    ]
    for i, text in enumerate(texts):
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %g %g]/Rotate %d/Contents %d 0 R"
            b"/Resources<</Font<</F1 3 0 R>>>>>>" % (*size_pt, rotate, 5 + 2 * i)
        )
        lines = b" ".join(b"(%s) Tj T*" % _escape(line) for line in text.split("\n"))
        top = size_pt[1] - 3 * font_pt
        objects.append(
            _stream(
                b"BT /F1 %d Tf %g TL %g %g Td %s ET"
                % (font_pt, 1.5 * font_pt, 2 * font_pt, top, lines)
            )
        )
    return objects


def _escape(text: str) -> bytes:
    raw = text.encode("latin-1")
    return raw.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")


def _stream(body: bytes, entries: bytes = b"") -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (entries, len(body), body)


def _assemble_pdf(objects: Sequence[bytes], encryption: _Rc4Handler | None = None) -> bytes:
    bodies = list(objects)
    trailer = b"/Size %d/Root 1 0 R" % (len(bodies) + 1 + (encryption is not None))
    if encryption is not None:
        bodies = [encryption.encrypt(i, body) for i, body in enumerate(bodies, 1)]
        bodies.append(encryption.dictionary())
        trailer += b"/Encrypt %d 0 R/ID[<%s><%s>]" % (
            len(bodies),
            encryption.file_id.hex().encode(),
            encryption.file_id.hex().encode(),
        )
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(bodies, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(bodies) + 1)
    for offset in offsets:
        out += b"%010d 00000 n \n" % offset
    out += b"trailer\n<<%s>>\nstartxref\n%d\n%%%%EOF\n" % (trailer, table)
    return bytes(out)


class _Rc4Handler:
    """PDF's standard security handler, revision 2, 40 bits (ISO 32000-1, 7.6.3)."""

    _PAD = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")
    _PERMISSIONS = 0xFFFFFFFC

    def __init__(self, user_password: str, owner_password: str) -> None:
        self.file_id = hashlib.md5(b"a test document", usedforsecurity=False).digest()
        user, owner = self._padded(user_password), self._padded(owner_password)
        self.owner_entry = _rc4(_md5(owner)[:5], user)
        self.key = _md5(
            user + self.owner_entry + struct.pack("<I", self._PERMISSIONS) + self.file_id
        )[:5]
        self.user_entry = _rc4(self.key, self._PAD)

    def _padded(self, password: str) -> bytes:
        return (password.encode("latin-1") + self._PAD)[:32]

    def encrypt(self, number: int, body: bytes) -> bytes:
        """Encrypt an object's stream, if it has one; there are no strings outside streams."""
        head, found, rest = body.partition(b"stream\n")
        if not found:
            return body
        content = rest.removesuffix(b"\nendstream")
        key = _md5(self.key + struct.pack("<I", number)[:3] + b"\0\0")[:10]
        return head + found + _rc4(key, content) + b"\nendstream"

    def dictionary(self) -> bytes:
        return b"<</Filter/Standard/V 1/R 2/O<%s>/U<%s>/P %d>>" % (
            self.owner_entry.hex().encode(),
            self.user_entry.hex().encode(),
            self._PERMISSIONS - 2**32,
        )


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _rc4(key: bytes, data: bytes) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out = bytearray()
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


# ---- Pictures --------------------------------------------------------------------------------


def quadrants(width: int = 64, height: int = 48) -> Image.Image:
    """An RGB picture that shows how it is turned: red | green over blue | grey."""
    image = Image.new("RGB", (width, height), QUADRANTS["red"])
    half_x, half_y = width // 2, height // 2
    image.paste(QUADRANTS["green"], (half_x, 0, width, half_y))
    image.paste(QUADRANTS["blue"], (0, half_y, half_x, height))
    image.paste(QUADRANTS["grey"], (half_x, half_y, width, height))
    return image


def text_picture(
    text: str = "Hello", *, width: int = 320, height: int = 80, font_px: int | None = None
) -> Image.Image:
    """Black letters on white, in Pillow's built-in font; by default half as high as the picture."""
    image = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(image).text((10, 10), text, fill="black", font_size=font_px or height // 2)
    return image


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """``image`` as a file; ``kind`` is a FileKind, the options are those of Pillow's writer."""
    out = io.BytesIO()
    image.save(out, format=kind.upper(), **options)
    return out.getvalue()


def picture(kind: str, width: int = 64, height: int = 48) -> bytes:
    """`quadrants` as a file of any kind but PDF."""
    return encoded(quadrants(width, height), kind)


def tiff(frames: Sequence[tuple[int, int]] = ((64, 48),), **options: Any) -> bytes:
    """A TIFF with one frame per (width, height)."""
    first, *others = [quadrants(*size) for size in frames]
    return encoded(first, "tiff", save_all=True, append_images=others, **options)


def big_endian_tiff(width: int = 5, height: int = 3, *, value: int = 77) -> bytes:
    """An uncompressed grey TIFF in Motorola byte order, every pixel ``value``."""
    entries = [
        (256, 3, width),
        (257, 3, height),
        (258, 3, 8),  # bits per sample
        (259, 3, 1),  # no compression
        (262, 3, 1),  # black is zero
        (273, 4, 8),  # offset of the strip
        (277, 3, 1),  # samples per pixel
        (278, 3, height),
        (279, 4, width * height),
    ]
    body = bytes([value]) * (width * height)
    body += b"\0" * (len(body) % 2)
    out = b"MM\x00\x2a" + struct.pack(">I", 8 + len(body)) + body
    out += struct.pack(">H", len(entries))
    for tag, kind, number in entries:
        field = struct.pack(">HH", number, 0) if kind == 3 else struct.pack(">I", number)
        out += struct.pack(">HHI", tag, kind, 1) + field
    return out + struct.pack(">I", 0)


def turned(kind: str, orientation: int, width: int = 64, height: int = 48) -> bytes:
    """A picture that shows `quadrants` only to a reader that follows its EXIF orientation.

    Args:
        kind: jpeg, png, webp or tiff.
        orientation: 1 to 8; with 5 to 8 the stored pixels lie on a side.
        width, height: of the upright picture.
    """
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = quadrants(width, height)
    if orientation in undo:
        image = image.transpose(undo[orientation])
    if kind == "tiff":
        return encoded(image, kind, tiffinfo={_ORIENTATION_TAG: orientation})
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = orientation
    return encoded(image, kind, exif=exif)


def transparent_png(mode: str = "RGBA", width: int = 64, height: int = 48) -> bytes:
    """Black on transparent black: the left half is opaque, the right half must become white.

    Args:
        mode: RGBA, LA, P, RGB or L (the last three mark one colour as transparent).
        width, height: in pixels.
    """
    alpha = Image.new("L", (width, height), 0)
    alpha.paste(255, (0, 0, width // 2, height))
    if mode in ("RGBA", "LA"):
        image = Image.new(mode, (width, height), 0)
        image.putalpha(alpha)
        return encoded(image, "png")
    key = {"P": 7, "L": 9, "RGB": (9, 9, 9)}[mode]
    image = Image.new(mode, (width, height), key)  # type: ignore[arg-type]
    if mode == "P":
        image.putpalette([0, 0, 0] * 256)
    image.paste(0 if mode != "RGB" else (0, 0, 0), (0, 0, width // 2, height))
    return encoded(image, "png", transparency=key)


def palette_png(width: int = 64, height: int = 48) -> bytes:
    """`quadrants` with a palette."""
    return encoded(quadrants(width, height).quantize(8, dither=Image.Dither.NONE), "png")


def grey16_png(width: int = 64, height: int = 48, *, value: int = 0x80FF) -> bytes:
    """A grey picture of 16 bits per pixel, all of them ``value``."""
    return encoded(Image.fromarray(np.full((height, width), value, np.uint16)), "png")


def cmyk(kind: str = "jpeg", width: int = 64, height: int = 48) -> bytes:
    """`quadrants` in CMYK, as JPEG or TIFF."""
    return encoded(quadrants(width, height).convert("CMYK"), kind)


def thin_png(height: int = 500) -> bytes:
    """A picture of one column of pixels."""
    return encoded(Image.new("RGB", (1, height), "white"), "png")


def pixel_bomb_png(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of about a hundred bytes that claims ``width`` x ``height`` grey pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(64)))
        + chunk(b"IEND", b"")
    )


def truncated(data: bytes, keep_fraction: float = 0.6) -> bytes:
    """The beginning of a file: its headers are sound, its body is not."""
    return data[: int(len(data) * keep_fraction)]
