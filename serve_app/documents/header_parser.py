"""What a process for one file does below the gateway (``parser_host.py`` forks it): read headers.

Without OpenCV: a fork of a process that has loaded it costs twice as much.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from serve_app.child.channel import Buffer
from serve_app.documents.inspect import inspect
from serve_app.settings import DocumentSettings, LimitSettings

FACTORY = "serve_app.documents.header_parser:build"

# A page without anything on it; without a table of its objects, which is rebuilt.
_BLANK = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Count 1/Kids[3 0 R]>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 20 20]>>endobj
trailer<</Root 1 0 R>>
"""


def build(spec: dict[str, Any]) -> HeaderParser:
    """``spec``: ``limits`` and ``documents`` of the configuration."""
    parser = HeaderParser(
        LimitSettings.model_validate(spec["limits"]),
        DocumentSettings.model_validate(spec["documents"]),
    )
    # What libraries do at their first use, each fork has then.
    parser.handle({}, _BLANK)
    return parser


class HeaderParser:
    """Answers with kind and page sizes."""

    def __init__(self, limits: LimitSettings, documents: DocumentSettings) -> None:
        self._limits, self._documents = limits, documents

    def handle(self, job: dict[str, Any], data: Buffer) -> Sequence[Buffer]:
        """The payload: a ``DocumentInfo`` as JSON."""
        info = inspect(memoryview(data), self._limits, self._documents)
        return [json.dumps(dataclasses.asdict(info)).encode()]
