"""What the writers of all formats share: what they are told of the document, and of a failed page.

A writer gives its answer as pieces of bytes in order: ``head``, then ``page`` or ``failed`` for
each page, then ``tail``; ``Writer`` in ``api/pages.py`` is the protocol. It keeps nothing of a page
but what the next one needs, so its memory is bounded by the page and not by the document. Calls
come one at a time, from threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from serve_app.document import DocumentInfo, FailedPage
from serve_app.formats.characters import one_line

SYSTEM = "ocr-serve"


class Document(Protocol):
    """The file that is answered.

    Attributes:
        info: what its headers say.
        pages: indexes from 0, in the order of the answer.
        name: what the client called it; "" if it did not say.
    """

    @property
    def info(self) -> DocumentInfo: ...

    @property
    def pages(self) -> Sequence[int]: ...

    @property
    def name(self) -> str: ...


def why_failed(page: FailedPage) -> str:
    """Code and message on one line."""
    return one_line(f"{page.error.code}: {page.error}")


def utf8(text: str) -> bytes:
    """A lone surrogate, which UTF-8 cannot hold, becomes a question mark."""
    return text.encode("utf-8", "replace")
