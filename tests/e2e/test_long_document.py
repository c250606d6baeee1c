"""A document of sixty pages: answered whole, with no more memory in the gateway than ten need."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.documents import _assemble_pdf, _stream
from tests.e2e.memory import highest_private, highest_resident
from tests.e2e.server import Server

pytestmark = pytest.mark.e2e

SHORT, LONG = 10, 60
WARM_UP_ROUNDS = 4
MIB = 2**20
PAGE_PT = (360, 240)

# What the peaks of a process differ by anyway.
RESIDENT_NOISE_BYTES = 4 * MIB
PRIVATE_NOISE_BYTES = 8 * MIB
# What a gateway that held the pages until the last one is there would grow by, at the least.
HELD_BYTES = 24 * MIB


def test_sixty_pages_are_answered_whole_without_more_memory_in_the_gateway(
    server: Server,
) -> None:
    gateway = server.replica_process("gateway").pid
    short, long = (partial(read, server, document(pages)) for pages in (SHORT, LONG))
    base = highest_of_short(lambda: highest_resident(gateway, short))
    peak, answer = highest_resident(gateway, long)
    assert numbers(answer) == [[str(number + 1)] for number in range(LONG)]
    print(f"resident peak: {base / MIB:.1f} MiB for {SHORT} pages, {peak / MIB:.1f} for {LONG}")
    assert peak - base < RESIDENT_NOISE_BYTES


@pytest.mark.long
def test_the_gateway_does_not_hold_the_pages_of_a_large_answer(server: Server) -> None:
    """With drawn pictures, so that fifty pages more could not hide in the noise.

    The documents of ten pages come first and none of the long ones before the measurement, whose
    leftovers could hide the growth.
    """
    gateway = server.replica_process("gateway").pid
    short, long = (
        partial(read, server, document(pages), visualize=True) for pages in (SHORT, LONG)
    )
    base = highest_of_short(lambda: highest_private(gateway, short))
    peak, answer = highest_private(gateway, long)
    assert numbers(answer) == [[str(number + 1)] for number in range(LONG)]
    more_bytes = picture_bytes(answer) * (LONG - SHORT) / LONG
    assert more_bytes > HELD_BYTES, "the test could not tell"
    print(f"private peak: {base / MIB:.1f} MiB for {SHORT} pages, {peak / MIB:.1f} for {LONG}")
    assert peak - base < PRIVATE_NOISE_BYTES


def highest_of_short(measure: Callable[[], tuple[int, httpx.Response]]) -> int:
    """The highest peak of as many short documents as have the pages of a long one.

    A peak is what happened to be in flight at one moment, so the more pages, the higher the
    highest; documents before them make what is needed once.
    """
    for _ in range(WARM_UP_ROUNDS):
        measure()
    return max(peak for peak, _ in (measure() for _ in range(LONG // SHORT)))


def read(server: Server, file: bytes, **fields: object) -> httpx.Response:
    body = {"file": base64.b64encode(file).decode(), "fileType": 0, **fields}
    answer = server.http.post("/ocr", json=body)
    assert answer.status_code == 200, answer.text[:500]
    return answer


def pages_of(answer: httpx.Response) -> Sequence[dict[str, Any]]:
    pages: Sequence[dict[str, Any]] = answer.json()["result"]["ocrResults"]
    return pages


def numbers(answer: httpx.Response) -> list[list[str]]:
    """The numbers that were read on each page."""
    return [
        re.findall(r"\d+", " ".join(page["prunedResult"]["rec_texts"])) for page in pages_of(answer)
    ]


def picture_bytes(answer: httpx.Response) -> float:
    """Size of the drawn pictures of an answer, before they became base64."""
    drawn = [page[name] for page in pages_of(answer) for name in ("ocrImage", "inputImage")]
    return sum(map(len, drawn)) * 3 / 4


def document(pages: int) -> bytes:
    """A PDF with the page's number on each page, before one noisy picture that all of them share.

    So the file is small however many pages it has, while a drawn page takes most of a megabyte.
    """
    width, height = PAGE_PT
    box = b"/MediaBox[0 0 %d %d]" % PAGE_PT
    resources = b"/Resources<</Font<</F1 3 0 R>>/XObject<</I 4 0 R>>>>"
    kids = b" ".join(b"%d 0 R" % (5 + 2 * index) for index in range(pages))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count %d/Kids[%s]>>" % (pages, kids),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        _noise(2 * width, 2 * height),
    ]
    for index in range(pages):
        content = b"q %d 0 0 %d 0 0 cm /I Do Q " % PAGE_PT
        content += b"1 g 20 150 200 60 re f 0 g BT /F1 30 Tf 30 170 Td (Page %d) Tj ET" % (
            index + 1
        )
        objects.append(
            b"<</Type/Page/Parent 2 0 R%s/Contents %d 0 R%s>>" % (box, 6 + 2 * index, resources)
        )
        objects.append(_stream(content))
    return _assemble_pdf(objects)


def _noise(width: int, height: int) -> bytes:
    """A picture of a PDF in which no compression finds anything."""
    noise = np.random.default_rng(seed=0).normal(200, 60, (height, width, 3))
    out = io.BytesIO()
    Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(out, "JPEG")
    entries = b"/Type/XObject/Subtype/Image/Width %d/Height %d" % (width, height)
    return _stream(
        out.getvalue(), entries + b"/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/DCTDecode"
    )
