"""Bodies that were compressed on their way: gzip is undone as it comes, within the limits.

A megabyte can hide a gigabyte, so what comes out is counted like what came in, in pieces that are
small whatever went in.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

from serve_app.errors import InvalidRequest, UnsupportedEncoding

HEADER = "content-encoding"
PIECE_BYTES = 256 * 1024
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


class Plain:
    """A body as it is."""

    encoded = False

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """The chunk itself."""
        yield chunk

    def end(self) -> None:
        """Nothing to check."""


class Gzip:
    """A body in gzip, of one or more members."""

    encoded = True

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        self._begun = False

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """What the chunk becomes, in pieces of at most ``PIECE_BYTES``.

        Raises:
            InvalidRequest: it is no gzip.
        """
        while chunk:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP_WINDOW)
            self._begun = True
            try:
                piece = self._member.decompress(chunk, PIECE_BYTES)
            except zlib.error:
                raise InvalidRequest("The body is not gzip, as Content-Encoding says") from None
            chunk = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if piece:
                yield piece

    def end(self) -> None:
        """The body has ended.

        Raises:
            InvalidRequest: in the middle of a member.
        """
        if self._begun and not self._member.eof:
            raise InvalidRequest("The body is gzip that is cut off")


def decoder_of(headers: Mapping[str, str]) -> Plain | Gzip:
    """The one that the header asks for.

    Raises:
        UnsupportedEncoding: neither gzip nor none.
    """
    asked = headers.get(HEADER, "").strip().lower()
    if asked in ("", "identity"):
        return Plain()
    if asked in ("gzip", "x-gzip"):
        return Gzip()
    raise UnsupportedEncoding(
        f"Content-Encoding {asked[:32]!r} is not supported: send gzip, or the body as it is"
    )
