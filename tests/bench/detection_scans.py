"""``python -m tests.bench.detection_scans --url URL``: how small detection may look at a scan.

Digital pages with a known text become scans of A4 at 300 dpi: clean ones, noisy ones (blurred, with
grain, tilted, poorly compressed), and small print (two and four pages on one). Each is read with
every limit of text detection; recognition crops from the whole picture always. What decides is how
tall the letters are that detection sees, not how large the page is.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import httpx
import numpy as np
import pypdfium2 as pdfium
from PIL import Image, ImageFilter

from tests.bench.quality_measures import f1, tokens
from tests.corpus import corpus_file
from tests.word_f1 import text_layer

A4_PX = (2480, 3508)
# Pages in English whose layer is known to be right, with text of 7 to 12 points.
PAGES = (("multi_page.pdf", 0), ("2305.03393v1-pg9.pdf", 0), ("code_and_formula.pdf", 0))
LIMITS: Sequence[int | None] = (None, 2400, 1920, 1600, 1280, 960)
TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Scan:
    """A picture, and the words on it."""

    name: str
    jpeg: bytes
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One scan read with one limit (pixels of the longer side; None: as PaddleX)."""

    scan: str
    limit: int | None
    f1: float
    seconds: float
    peak_bytes: int


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.detection_scans")
    parser.add_argument("--url", required=True, help="of a server that is up")
    parser.add_argument("--model", default="ocr")
    parser.add_argument("--limit", type=int, action="append", help="instead of the usual ones")
    parser.add_argument("--default", action="store_true", help="the server's own limit only")
    options = parser.parse_args(argv)
    limits: Sequence[int | None] = options.limit or LIMITS
    if options.default:
        limits = (None,)
    rows = []
    with httpx.Client(base_url=options.url, timeout=TIMEOUT_S, trust_env=False) as http:
        for scan in scans():
            for limit in limits:
                rows.append(read(http, options.model, scan, limit, options.default))
                print(json.dumps(asdict(rows[-1])), flush=True)
    print(table(rows))
    return 0


def read(http: httpx.Client, model: str, scan: Scan, limit: int | None, default: bool) -> Row:
    """One scan. Without a limit detection is told PaddleX's own, unless ``default``."""
    query = {"model": model, "format": "json", "images": "omit"}
    if not default:
        side, kind = (limit, "max") if limit else (64, "min")
        query |= {"text_det_limit_side_len": str(side), "text_det_limit_type": kind}
    began = time.monotonic()
    answer = http.post("/v1/parse", params=query, files={"file": ("scan.jpg", scan.jpeg)})
    seconds = time.monotonic() - began
    answer.raise_for_status()
    (page,) = answer.json()["pages"]
    texts = [line if isinstance(line, str) else line["text"] for line in page["lines"]]
    score = f1(tokens("\n".join(texts)), scan.words)
    return Row(scan.name, limit, score, seconds, int(answer.headers["x-ocr-peak-bytes"]))


def scans() -> Iterator[Scan]:
    """Those of the module's docstring."""
    pages = [(name, picture(name, index), words(name, index)) for name, index in PAGES]
    for name, image, true in pages:
        yield Scan(f"clean {name}", jpeg(on_paper([image]), 90), true)
        yield Scan(f"noisy {name}", jpeg(worn(on_paper([image])), 35), true)
    for count in (2, 4):
        some = (pages * 2)[:count]
        true = tuple(word for _, _, one in some for word in one)
        image = on_paper([image for _, image, _ in some])
        yield Scan(f"{count} on one, clean", jpeg(image, 90), true)
        yield Scan(f"{count} on one, noisy", jpeg(worn(image), 50), true)


def picture(name: str, index: int) -> Image.Image:
    """A page at 300 dpi."""
    document = pdfium.PdfDocument(corpus_file(name))
    try:
        return as_grey(document[index].render(scale=300 / 72).to_pil())
    finally:
        document.close()


def as_grey(image: Image.Image) -> Image.Image:
    return image.convert("L")


def words(name: str, index: int) -> tuple[str, ...]:
    """What the page's text layer says."""
    return tuple(tokens(text_layer(corpus_file(name))[index]))


def on_paper(images: Sequence[Image.Image]) -> Image.Image:
    """One, two (one above the other, on their sides' width) or four pages on a sheet of A4."""
    sheet = Image.new("L", A4_PX, 255)
    columns = 1 if len(images) == 1 else 2
    rows = -(-len(images) // columns)
    width, height = A4_PX[0] // columns, A4_PX[1] // rows
    for number, image in enumerate(images):
        scale = min(width / image.width, height / image.height)
        small = image.resize(
            (int(image.width * scale), int(image.height * scale)), Image.Resampling.LANCZOS
        )
        sheet.paste(small, (number % columns * width, number // columns * height))
    return sheet


def worn(image: Image.Image) -> Image.Image:
    """Tilted by 0.7 degrees, blurred, grey and grainy; the same every time."""
    image = image.rotate(0.7, Image.Resampling.BICUBIC, fillcolor=255).filter(
        ImageFilter.GaussianBlur(1.2)
    )
    grey = np.asarray(image, np.float32) * 0.75 + 40
    grain = np.random.default_rng(7).normal(0, 18, grey.shape)
    return Image.fromarray(np.clip(grey + grain, 0, 255).astype(np.uint8))


def jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality, dpi=(300, 300))
    return buffer.getvalue()


def table(rows: Sequence[Row]) -> str:
    """Markdown: per limit the mean and the lowest F1, seconds and the highest peak."""
    lines = ["| limit | word F1, mean (lowest: scan) | s | peak MiB |", "| --- | --- | --- | --- |"]
    for limit in dict.fromkeys(row.limit for row in rows):
        some = [row for row in rows if row.limit == limit]
        worst = min(some, key=lambda row: row.f1)
        mean = statistics.fmean(row.f1 for row in some)
        seconds = sum(row.seconds for row in some)
        peak = max(row.peak_bytes for row in some) // 2**20
        lines.append(
            f"| {limit or 'none'} | {mean:.4f} ({worst.f1:.4f}: {worst.scan}) | {seconds:.1f} "
            f"| {peak} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
