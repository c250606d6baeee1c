"""The format of a file, from its first bytes only: names and declared types are often wrong."""

from __future__ import annotations

from serve_app.document import FileKind
from serve_app.errors import EmptyFile, UnsupportedFile

SUPPORTED = "PDF, PNG, JPEG, WebP, BMP, GIF and TIFF"

# PDF readers look for the header in the first 1,024 bytes (ISO 32000-1, annex H.3, note 13).
PDF_HEADER_WINDOW_BYTES = 1024

_PDF_MAGIC = b"%PDF-"
_MAGICS: tuple[tuple[bytes, FileKind], ...] = (
    (_PDF_MAGIC, "pdf"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II\x2a\x00", "tiff"),
    (b"MM\x00\x2a", "tiff"),
    (b"II\x2b\x00", "tiff"),  # BigTIFF
    (b"MM\x00\x2b", "tiff"),
)
# "BM" alone is too weak a sign; the size of the second header has few values (OS/2 and Windows).
_BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})


def sniff(data: bytes | memoryview) -> FileKind:
    """Tell the format of ``data``; whether the rest of the file is sound is not looked at.

    Raises:
        EmptyFile: there are no bytes.
        UnsupportedFile: no known format begins like this.
    """
    head = bytes(data[: PDF_HEADER_WINDOW_BYTES + len(_PDF_MAGIC)])
    if not head:
        raise EmptyFile("the file is empty")
    for magic, kind in _MAGICS:
        if head.startswith(magic):
            return kind
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "bmp"
    if _PDF_MAGIC in head:
        return "pdf"
    raise UnsupportedFile(f"the file's format is not known; {SUPPORTED} are read")
