"""Engines for the tests of the pages: PP-StructureV3 as it is, and one that does what a page says.

The second answers with the page's own text. Its first line may be a command: `wait 0.3` (seconds),
or `hostile`, which is answered with what documents have tried on browsers.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import cv2

from serve_app.child.channel import Buffer
from serve_app.child.host import Handler
from serve_app.document import PAGE_IMAGE, Block, Line, Markdown, PageResult, PredictOptions
from serve_app.documents.page_frame import decode_page
from serve_app.engines import paddle
from serve_app.page_codec import encode_result
from tests.browser.hostile import LINES, MARKDOWN, TABLE

BOX = (40.0, 40.0, 400.0, 80.0)


def build(spec: dict[str, Any]) -> Handler:
    """By the model's pipeline."""
    return Obedient() if spec["model"]["pipeline"] == "OCR" else paddle.build(spec)


class Obedient:
    """See the module's docstring."""

    def handle(self, job: dict[str, Any], data: Buffer) -> list[bytes]:
        """One page."""
        page, options = decode_page(data), PredictOptions(**job["options"])
        height, width = page.pixels.shape[:2]
        found = page.layer.lines if page.layer else ()
        lines = tuple(Line(line.text, line.box, 1.0, "layer") for line in found)
        result = PageResult(
            job["index"], width, height, b"{}", tuple(line.text for line in lines), lines=lines
        )
        command, _, argument = lines[0].text.partition(" ") if lines else ("", "", "")
        if command == "wait":
            time.sleep(float(argument))
        elif command == "hostile":
            result = _hostile(result, with_blocks=argument == "blocks")
        if options.page_image:
            drawn, jpeg = cv2.imencode(".jpg", page.pixels)
            assert drawn
            result = dataclasses.replace(result, images={PAGE_IMAGE: jpeg.tobytes()})
        return encode_result(result)


def _hostile(result: PageResult, *, with_blocks: bool) -> PageResult:
    """Without blocks the Markdown is the engine's: nothing on the way has escaped it."""
    lines = tuple(Line(text, BOX, 0.5) for text in LINES)
    everything = tuple(range(len(lines)))
    blocks = (Block("text", BOX, everything), Block("table", BOX, (), TABLE)) if with_blocks else ()
    return dataclasses.replace(
        result,
        lines=lines,
        text=LINES,
        blocks=blocks,
        markdown=Markdown(MARKDOWN, {}, is_start=True, is_end=True),
    )
