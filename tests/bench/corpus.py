"""What is read: pages of the corpus as one-page files, and one file of several pages.

One-page files, so that "4 at once" means the same for a server that works page by page and for
one that takes a whole document into its only thread.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pypdfium2

from tests.word_f1 import text_layer

ROOT = Path(__file__).resolve().parents[2]

# With a text layer, which is the truth for Word F1.
DIGITAL_PDFS = (
    "multi_page.pdf",
    "2305.03393v1-pg9.pdf",
    "code_and_formula.pdf",
    "normal_4pages.pdf",
)
# Small ones last: at the end of a block a worker idles at most for one of them.
PICTURES = ("qr_bill_example.jpg", "ch_en_num.jpg", "en.jpg")
MANY_PAGES = "multi_page.pdf"
QUICK = ("2305.03393v1-pg9.pdf p1", "multi_page.pdf p1", "en.jpg")


@dataclass(frozen=True, slots=True)
class Sample:
    """One file to read.

    Attributes:
        name: file of the corpus, with the page number of a split PDF.
        source: file of the corpus.
        kind: its format.
        pages: how many pages it has.
        data: its bytes.
        truth: text of the PDF's text layer; empty for pictures.
    """

    name: str
    source: str
    kind: Literal["pdf", "jpeg"]
    pages: int
    data: bytes
    truth: str


def corpus_folder() -> Path:
    """$OCR_SERVE_CORPUS, or the folder next to the checkout."""
    return Path(os.environ.get("OCR_SERVE_CORPUS") or ROOT.parent / "shared" / "corpus")


def single_pages(folder: Path, *, quick: bool = False) -> list[Sample]:
    """Every page of the digital PDFs as a file of its own, then the pictures."""
    samples = [page for name in DIGITAL_PDFS for page in _split(folder / name)]
    samples += [_picture(folder / name) for name in PICTURES]
    if quick:
        samples = [sample for sample in samples if sample.name in QUICK]
    return samples


def many_pages(folder: Path) -> Sample:
    """One PDF as it is; short enough for PaddleX, which answers ten pages at most."""
    data = (folder / MANY_PAGES).read_bytes()
    texts = text_layer(data)
    return Sample(MANY_PAGES, MANY_PAGES, "pdf", len(texts), data, "\n".join(texts))


def _split(file: Path) -> list[Sample]:
    data = file.read_bytes()
    texts = text_layer(data)
    with pypdfium2.PdfDocument(data) as document:
        pages = [_one_page(document, index) for index in range(len(document))]
    names = [f"{file.name} p{number}" for number in range(1, len(pages) + 1)]
    return [
        Sample(name, file.name, "pdf", 1, page, text)
        for name, page, text in zip(names, pages, texts, strict=True)
    ]


def _one_page(document: Any, index: int) -> bytes:
    buffer = io.BytesIO()
    with pypdfium2.PdfDocument.new() as alone:
        alone.import_pages(document, [index])
        alone.save(buffer)
    return buffer.getvalue()


def _picture(file: Path) -> Sample:
    return Sample(file.name, file.name, "jpeg", 1, file.read_bytes(), "")
