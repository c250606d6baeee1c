"""Factories for tests: a reader whose files say how slow they are, an engine that tells sizes."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Sequence
from typing import Any

from serve_app.child.channel import Buffer
from serve_app.document import PageInfo, PageResult
from serve_app.documents.page_frame import decode_page
from serve_app.page_codec import encode_result

SLOW_READER = "tests.fake_parsers:build_slow_reader"
SIZES = "tests.fake_parsers:build_sizes"
_SECONDS = {b"quick": 0.01, b"slow": 3.0, b"never": 60.0}


def build_slow_reader(spec: dict[str, Any]) -> SlowReader:
    """For ``parser_host.py``."""
    return SlowReader()


def build_sizes(spec: dict[str, Any]) -> Sizes:
    """For ``host.py``."""
    return Sizes()


class SlowReader:
    """Takes as long as the file says, to find a small picture in it."""

    def handle(self, job: dict[str, Any], data: Buffer) -> Sequence[Buffer]:
        """As ``HeaderParser``."""
        time.sleep(_SECONDS[bytes(data)])
        page = dataclasses.asdict(PageInfo(0, 10, 10))
        return [json.dumps({"kind": "png", "pages": [page]}).encode()]


class Sizes:
    """An engine that tells the size of its page, and its own pid as the text."""

    def handle(self, job: dict[str, Any], data: Buffer) -> Sequence[Buffer]:
        """See above."""
        height, width = decode_page(data).pixels.shape[:2]
        return encode_result(PageResult(job["index"], width, height, b"{}", (str(os.getpid()),)))
