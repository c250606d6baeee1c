"""What a process for one file does (``parser_host.py`` forks it): read headers, or render a page.

The factory loads all that parsing needs, for a process that is locked in loads nothing.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any

import cv2

from serve_app.documents.inspect import inspect
from serve_app.documents.page_frame import encode_page
from serve_app.documents.render import render_page
from serve_app.engines.channel import Buffer
from serve_app.settings import DocumentSettings, LimitSettings

FACTORY = "serve_app.documents.parser:build"


def build(spec: dict[str, Any]) -> DocumentParser:
    """``spec``: ``limits`` and ``documents`` of the configuration; ``niceness``, if any."""
    os.nice(spec.get("niceness", 0))
    # No pool of threads: a process that forks must not have any, and a fork may not make one.
    cv2.setNumThreads(1)
    return DocumentParser(
        LimitSettings.model_validate(spec["limits"]),
        DocumentSettings.model_validate(spec["documents"]),
    )


class DocumentParser:
    """Jobs: ``{"op": "inspect"}``, or ``{"op": "render", "kind", "index"}``; with the file."""

    def __init__(self, limits: LimitSettings, documents: DocumentSettings) -> None:
        self._limits, self._documents = limits, documents

    def handle(self, job: dict[str, Any], data: Buffer) -> Sequence[Buffer]:
        """The payload: JSON of kind and page sizes, or a page's frame (``page_frame.py``)."""
        if job["op"] == "inspect":
            info = inspect(data, self._limits, self._documents)
            return [json.dumps(dataclasses.asdict(info)).encode()]
        # Here is also the place for what else a page's bytes tell, as its text layer: the file
        # itself goes no further than this process.
        page = render_page(data, job["kind"], job["index"], self._limits, self._documents)
        return encode_page(page)
