"""What a process for one page does below a worker (``parser_host.py`` forks it): render it.

The factory loads all that parsing needs, for a process that is locked in loads nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from serve_app.child.channel import Buffer
from serve_app.documents.page_frame import encode_page
from serve_app.documents.render import read_page
from serve_app.settings import DocumentSettings, LimitSettings

FACTORY = "serve_app.documents.page_parser:build"


def build(spec: dict[str, Any]) -> PageParser:
    """``spec``: ``limits`` and ``documents`` of the configuration; ``niceness``, if any."""
    os.nice(spec.get("niceness", 0))
    # No pool of threads: a process that forks must not have any, and a fork may not make one.
    cv2.setNumThreads(1)
    parser = PageParser(
        LimitSettings.model_validate(spec["limits"]),
        DocumentSettings.model_validate(spec["documents"]),
    )
    parser.warm_up()
    return parser


# One letter in a font that is no part of PDF; without a table of its objects, which is rebuilt.
_LETTER = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Count 1/Kids[3 0 R]>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 20 20]/Contents 5 0 R
/Resources<</Font<</F 4 0 R>>>>>>endobj
4 0 obj<</Type/Font/Subtype/TrueType/BaseFont/Unheard/Encoding/WinAnsiEncoding>>endobj
5 0 obj<</Length 30>>stream
BT /F 12 Tf 4 4 Td (a) Tj ET
endstream endobj
trailer<</Root 1 0 R>>
"""


def _picture(suffix: str) -> bytes:
    return bytes(cv2.imencode(suffix, np.zeros((8, 8, 3), np.uint8))[1])


class PageParser:
    """Jobs: ``{"kind", "index", "layer"}`` with the file."""

    def __init__(self, limits: LimitSettings, documents: DocumentSettings) -> None:
        self._limits, self._documents = limits, documents

    def warm_up(self) -> None:
        """Have the libraries do once what they do at their first use: each fork has it then.

        PDFium looks through the system's fonts when a PDF names one that it does not bring.
        """
        for kind, data in (("pdf", _LETTER), ("jpeg", _picture(".jpg")), ("png", _picture(".png"))):
            self.handle({"kind": kind, "index": 0, "layer": True}, data)

    def handle(self, job: dict[str, Any], data: Buffer) -> Sequence[Buffer]:
        """The payload: the page's frame (``page_frame.py``).

        With all that the page's bytes tell: the file itself goes no further than this process.
        """
        file, limits, documents = memoryview(data), self._limits, self._documents
        layer = bool(job["layer"])
        page = read_page(file, job["kind"], job["index"], limits, documents, with_layer=layer)
        return encode_page(page)
