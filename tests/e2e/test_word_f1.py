"""Accuracy at the shipped CPU settings: OCR against the text layers of digital PDFs in English."""

from __future__ import annotations

import base64

import pytest

from tests.corpus import corpus_file
from tests.e2e.server import Server
from tests.word_f1 import compare, joined, text_layer

pytestmark = pytest.mark.e2e

MIN_F1 = 0.98


@pytest.mark.parametrize("name", ["multi_page.pdf", "2305.03393v1-pg9.pdf", "code_and_formula.pdf"])
def test_the_words_of_a_digital_pdf_are_read(server: Server, name: str) -> None:
    pdf = corpus_file(name)
    body = {"file": base64.b64encode(pdf).decode(), "fileType": 0}
    answer = server.http.post("/ocr", json=body)
    assert answer.status_code == 200, answer.text
    pages = answer.json()["result"]["ocrResults"]
    layer = text_layer(pdf)
    assert len(pages) == len(layer)
    read = [joined(page["prunedResult"]["rec_texts"]) for page in pages]
    score = compare(joined(read), joined(layer))
    print(f"{name}: word F1 {score.f1:.4f} ({score.read} words read of {score.true})")
    assert score.f1 >= MIN_F1, f"missing {score.missing}, extra {score.extra}"
