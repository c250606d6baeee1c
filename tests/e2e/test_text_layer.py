"""The text layer of PDFs with the bundled models, at the shipped settings."""

from __future__ import annotations

from typing import Any

import pytest

from tests import documents
from tests.corpus import corpus_file
from tests.e2e.server import Server
from tests.layer_documents import page_pdf, text
from tests.word_f1 import compare, text_layer

pytestmark = pytest.mark.e2e

MIN_F1 = 0.995
ROTATED = str.maketrans("abcdefghijklmnopqrstuvwxyz", "nopqrstuvwxyzabcdefghijklm")
WORDS = ["A quick test of words that", "are printed here and read", "by whoever comes along"]


def pages(server: Server, data: bytes, **query: str) -> list[dict[str, Any]]:
    answer = server.parse(data, format="json", images="omit", **query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["pages"]
    return found


def sources(page: dict[str, Any]) -> set[str]:
    return {line["source"] for line in page["lines"]}


@pytest.mark.parametrize("model", ["ocr", "structure"])
@pytest.mark.parametrize(
    "name",
    [
        "multi_page.pdf",
        "2305.03393v1-pg9.pdf",
        "code_and_formula.pdf",
        "multicolumn.pdf",
        "bookmark_sample.pdf",
        "crazyones-pdfa.pdf",
        "normal_4pages.pdf",
    ],
)
def test_the_words_of_a_digital_pdf_come_from_its_layer(
    server: Server, name: str, model: str
) -> None:
    pdf = corpus_file(name)
    found = pages(server, pdf, model=model)
    # On one line: a word torn at a column's end is in two pieces on both sides, whatever the order.
    read = " ".join(line for page in found for line in page["text"])
    score = compare(read, " ".join(" ".join(text_layer(pdf)).split()))
    print(f"{name} ({model}): word F1 {score.f1:.4f}")
    assert score.f1 >= MIN_F1, f"missing {score.missing}, extra {score.extra}"
    assert all("layer" in sources(page) for page in found)
    assert all(page["text"] == [line["text"] for line in page["lines"]] for page in found)


def test_arabic_comes_in_logical_order(server: Server) -> None:
    [page] = pages(server, corpus_file("right_to_left_01.pdf"), model="ocr")
    words = " ".join(page["text"])
    # "productivity", "for problems", "also": lam-alef and a mark, which PDFium has in disorder.
    for word in ("الإنتاجية", "للمشكلات", "أيضًا"):
        assert word in words
    assert sources(page) == {"layer"}


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("truetype_font_nomapping.pdf", "Phone"),
        ("type3_font_nomapping.pdf", None),
    ],
)
def test_a_font_without_a_map_is_recognised(server: Server, name: str, word: str | None) -> None:
    pdf = corpus_file(name)
    [page] = pages(server, pdf, model="ocr")
    [asked] = pages(server, pdf, model="ocr", text_layer="off")
    assert sources(page) <= {"ocr"}
    assert page["text"] == asked["text"]
    assert page["text_layer"]["distrusted"]
    if word is not None:
        assert word in " ".join(page["text"])


def test_an_invisible_layer_is_not_taken_for_the_page(server: Server) -> None:
    [page] = pages(server, corpus_file("invisible_text_layer.pdf"), model="ocr")
    assert page["text"] == ["Visible heading line"]


def test_a_map_that_names_other_letters_is_not_believed(server: Server) -> None:
    lies = {letter: letter.translate(ROTATED) for letter in "abcdefghijklmnopqrstuvwxyzA"}
    content = text("An honest heading of the page", 60, 760, size=16)
    content += b"".join(
        text(words, 60, 700 - 30 * i, size=14, font="L") for i, words in enumerate(WORDS)
    )
    pdf = page_pdf(content, maps={"L": {**lies, " ": " "}})
    [page] = pages(server, pdf, model="ocr")
    assert page["text"][0] == "An honest heading of the page"
    assert compare(" ".join(page["text"][1:]), " ".join(WORDS)).f1 > 0.9
    assert [line["source"] for line in page["lines"]] == ["layer", "ocr", "ocr", "ocr"]
    [why] = page["text_layer"]["distrusted"]
    assert why["font"] == "Helvetica"


def test_a_page_of_text_and_a_scan_has_both(server: Server) -> None:
    scan = documents.text_picture("Scanned words here", width=900, height=120, font_px=70)
    grey = scan.convert("L")
    image = documents._stream(
        grey.tobytes(),
        b"/Type/XObject/Subtype/Image/Width 900/Height 120/BitsPerComponent 8"
        b"/ColorSpace/DeviceGray",
    )
    content = text("Digital words above", 60, 700, size=20)
    content += b"q 450 0 0 60 60 500 cm /I Do Q " + text("and some below", 60, 400, size=20)
    pdf = page_pdf(content, resources=b"/XObject<</I 20 0 R>>", objects=(image,))
    for model in ("ocr", "structure"):
        [page] = pages(server, pdf, model=model)
        assert sorted((line["text"], line["source"]) for line in page["lines"]) == [
            ("Digital words above", "layer"),
            ("Scanned words here", "ocr"),
            ("and some below", "layer"),
        ]


def test_only_reads_nothing_and_says_so(server: Server) -> None:
    answer = server.parse(corpus_file("ocr_test.pdf"), format="json", text_layer="only")
    assert answer.status_code == 200
    [page] = answer.json()["pages"]
    assert page["text"] == []
    [notice] = answer.json()["notices"]
    assert "no text layer" in notice
    assert answer.headers["x-ocr-notice"] == notice
    assert answer.headers["x-ocr-layer-lines"] == "0"


@pytest.mark.parametrize("name", ["ocr_test_rotated_90.pdf", "ocr_test_rotated_180.pdf"])
@pytest.mark.parametrize("model", ["ocr", "structure"])
def test_a_turned_scan_is_read_without_being_asked(server: Server, name: str, model: str) -> None:
    [page] = pages(server, corpus_file(name), model=model)
    [upright] = pages(server, corpus_file("ocr_test.pdf"), model=model)
    assert page["text"] == upright["text"]
    assert page["angle"] in (90, 180, 270)
    assert "angle" not in upright


@pytest.mark.parametrize("rotate", [90, 180, 270])
def test_a_digital_page_on_its_side_is_turned(server: Server, rotate: int) -> None:
    pdf = documents.text_pdf(["Some words\nand some more"], rotate=rotate)
    [page] = pages(server, pdf, model="ocr")
    assert page["text"] == ["Some words", "and some more"]
    assert page["angle"] == rotate
    assert page["width"] < page["height"]
    boxes = [line["box"] for line in page["lines"]]
    assert all(right - left > bottom - top for left, top, right, bottom in boxes)
