"""A document of sixty pages: answered whole, with no more memory in the gateway than ten need."""

from __future__ import annotations

import base64
import io
import re

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from serve_app.devices import process_memory
from tests.documents import _assemble_pdf, _stream
from tests.e2e.server import Server

pytestmark = pytest.mark.e2e

SHORT, LONG = 10, 60
MIB = 2**20
PAGE_PT = (360, 240)
# What a gateway that held the pages until the last one is there would grow by, at the least.
HELD_BYTES = 30 * MIB
# What peaks differ by in one process anyway: malloc, and the mapping of the object store.
NOISE_BYTES = 10 * MIB
# Short documents before the measurement: together more pages than the long one.
WARM_UP = LONG // SHORT + 2


def test_sixty_pages_are_answered_whole_and_the_gateways_memory_does_not_grow(
    server: Server,
) -> None:
    """The peak of one request of sixty pages against that of one of ten, in the same process.

    The test can tell: both requests have the same size, and drawn pictures make each page of the
    answer so large that fifty of them cannot hide in the noise. Before that, documents of ten pages
    are sent until their own peak stands still, so that what a process needs once (imports, heap,
    the mapping of the object store) is not taken for growth; none of them is a long one, whose
    leftovers could hide it.
    """
    gateway = server.replica_process("gateway")
    long = document(LONG)
    short = document(SHORT).ljust(len(long), b"\n")
    base = settled_peak(server, gateway, short)

    peak, answer = measured(server, gateway, long)

    pages = answer.json()["result"]["ocrResults"]
    numbers = [re.findall(r"\d+", " ".join(page["prunedResult"]["rec_texts"])) for page in pages]
    assert numbers == [[str(number + 1)] for number in range(LONG)]
    # Three quarters: in the answer they are base64.
    more_bytes = len(answer.content) * 3 / 4 * (LONG - SHORT) / LONG
    assert more_bytes > HELD_BYTES, "the test could not tell"
    print(f"peak {base / MIB:.1f} MiB for {SHORT} pages, {peak / MIB:.1f} MiB for {LONG}")
    assert peak - base < NOISE_BYTES


def settled_peak(server: Server, gateway: psutil.Process, file: bytes) -> int:
    """The peak of a request after the warm-up, once three in a row are alike."""
    peaks: list[int] = []
    for _ in range(3 * WARM_UP):
        peaks.append(measured(server, gateway, file)[0])
        if len(peaks) >= WARM_UP and max(peaks[-3:]) - min(peaks[-3:]) < 2 * MIB:
            return peaks[-1]
    raise AssertionError(f"the memory of the gateway never stood still: {peaks}")


def measured(server: Server, gateway: psutil.Process, file: bytes) -> tuple[int, httpx.Response]:
    """Highest resident bytes of the gateway during one request, and the answer."""
    if not process_memory.reset_peak(gateway.pid):
        pytest.skip("the kernel does not let us reset a peak (/proc/<pid>/clear_refs)")
    body = {"file": base64.b64encode(file).decode(), "fileType": 0, "visualize": True}
    answer = server.http.post("/ocr", json=body)
    memory = process_memory.read(gateway.pid)
    assert answer.status_code == 200, answer.text[:500]
    assert memory is not None
    return memory.peak_bytes, answer


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
