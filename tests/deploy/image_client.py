"""Run inside the container by image_test.py: waits for ready, sends pages, tells what happened.

The standard library and Pillow only, which the image has. Arguments: seconds to wait, pages.
"""

from __future__ import annotations

import io
import json
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image, ImageDraw

URL = "http://127.0.0.1:8000"
# Of an A4 page at 72, 144 and 300 dpi, and a small label.
SIZES = [(595, 842), (1190, 1684), (2480, 3508), (320, 80)]
PAGE_S = 600


def main() -> None:
    ready_s, pages = float(sys.argv[1]), int(sys.argv[2])
    began = time.monotonic()
    while not _is_ready():
        if time.monotonic() - began > ready_s:
            print(json.dumps({"fault": f"not ready after {ready_s:g} s"}))
            return
        time.sleep(0.5)
    ready = round(time.monotonic() - began, 1)
    documents = [_as_file(_picture(*size), "PNG") for size in SIZES]
    pdf = _as_file(_picture(*SIZES[0]), "PDF")
    first = _send(pdf)
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        statuses = list(pool.map(_send, [documents[n % len(documents)] for n in range(pages)]))
    seconds = time.monotonic() - began
    answered = statuses.count(200)
    fault = "" if first == 200 and answered == pages else f"statuses {sorted({first, *statuses})}"
    print(
        json.dumps(
            {
                "ready_s": ready,
                "answered": answered,
                "pages_per_s": round(answered / seconds, 3),
                **_group(),
                "fault": fault,
            }
        )
    )


def _group() -> dict[str, int]:
    """Peak (with page cache) and kills of this container's memory group, of version 1 or 2."""
    for folder, peak, events in (
        (Path("/sys/fs/cgroup/memory"), "memory.max_usage_in_bytes", "memory.oom_control"),
        (Path("/sys/fs/cgroup"), "memory.peak", "memory.events"),
    ):
        if (folder / peak).is_file():
            lines = dict(line.split() for line in (folder / events).read_text().splitlines())
            used = int((folder / peak).read_text())
            return {"peak_mib": used // 2**20, "kills": int(lines.get("oom_kill", 0))}
    return {}


def _is_ready() -> bool:
    try:
        with urllib.request.urlopen(f"{URL}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _send(data: bytes) -> int:
    request = urllib.request.Request(f"{URL}/v1/parse?model=ocr&format=text", data=data)
    try:
        with urllib.request.urlopen(request, timeout=PAGE_S) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _picture(width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), "white")
    draw, size = ImageDraw.Draw(image), max(height // 60, 12)
    for line in range(0, height - 2 * size, 3 * size):
        draw.text((size, line), f"Line {line} of a page of text", fill="black", font_size=size)
    return image


def _as_file(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


main()
