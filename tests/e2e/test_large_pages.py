"""Pages that are large, small or see-through, on the budget of configs/local.yaml: answered."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.corpus import corpus_file
from tests.documents import encoded, text_pdf
from tests.e2e.server import Server

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

BUDGET_BYTES = 4 * 2**30
WORDS = "Line {}: total amount due to the bearer"


def lined(width: int, height: int, letters_px: int, lines: int) -> Image.Image:
    """A picture with so many lines of text."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for line in range(lines):
        place = (0.03 * width, height * (0.05 + 0.9 * line / lines))
        draw.text(place, WORDS.format(line), fill="black", font_size=letters_px)
    return image


def page_of(server: Server, data: bytes, model: str) -> tuple[dict[str, Any], list[str]]:
    """The only page of a document, and the notices."""
    answer = server.parse(data, model=model, format="json", images="omit")
    assert answer.status_code == 200, answer.text
    assert int(answer.headers["x-ocr-estimate-bytes"]) <= BUDGET_BYTES
    assert int(answer.headers["x-ocr-peak-bytes"]) <= BUDGET_BYTES
    (page,) = answer.json()["pages"]
    return page, answer.json()["notices"]


@pytest.mark.parametrize("model", ["ocr", "structure"])
def test_a_long_picture_is_read(server: Server, model: str) -> None:
    page, notices = page_of(server, encoded(lined(15_000, 2_600, 130, 8), "png"), model)
    assert (page["width"], page["height"], page["scale"]) == (15_000, 2_600, 1.0)
    assert sum("total amount due" in line for line in page["text"]) == 8
    assert notices == []


def test_a_poster_is_read(server: Server) -> None:
    page, _ = page_of(server, corpus_file("poster.pdf"), "structure")
    assert (page["width"], page["height"], page["dpi"]) == (3600, 7200, 144.0)
    assert len(page["text"]) > 70
    assert any("32 Track MIDI Sequence Recorder" in line for line in page["text"])


def test_a_page_of_thirty_inches_is_read(server: Server) -> None:
    page, notices = page_of(server, text_pdf(1, size_pt=(2160, 2160), font_pt=40), "structure")
    assert (page["width"], page["height"], page["dpi"]) == (4320, 4320, 144.0)
    assert page["text"]
    assert notices == []


def test_a_page_of_a_hundred_inches_is_rendered_smaller_and_says_so(server: Server) -> None:
    page, notices = page_of(server, text_pdf(1, size_pt=(7200, 7200), font_pt=150), "ocr")
    assert page["dpi"] == 63.2
    assert page["width"] * page["height"] <= 40_000_000
    assert page["text"]
    assert notices[0].startswith("page 1 was rendered at 63.2 dpi instead of 144")


def test_a_picture_of_126_megapixels_is_decoded_smaller_and_says_so(server: Server) -> None:
    page, notices = page_of(server, encoded(lined(14_000, 9_000, 160, 8), "jpeg"), "ocr")
    assert (page["width"], page["height"], page["scale"]) == (7_000, 4_500, 0.5)
    assert sum("total amount due" in line for line in page["text"]) == 8
    assert "of 14000 x 9000 pixels was read at 7000 x 4500" in notices[0]


@pytest.mark.parametrize("model", ["ocr", "structure"])
def test_a_label_of_a_few_pixels_is_read(server: Server, model: str) -> None:
    page, _ = page_of(server, corpus_file("short.png"), model)
    assert page["text"] == ["中国网络空间安全"]
    (left, top, right, bottom) = (page["result"].get("overall_ocr_res") or page["result"])[
        "rec_boxes"
    ][0]
    assert 0 <= left < right <= 65 + 1
    assert 0 <= top < bottom <= 11 + 1


@pytest.mark.parametrize("colour", ["black", "white"])
def test_letters_on_transparency_are_read(server: Server, colour: str) -> None:
    page, _ = page_of(server, corpus_file(f"{colour}_font_color_transparent.png"), "ocr")
    assert "".join(page["text"]) == "我是中国人"
