from __future__ import annotations

import base64
import time

import pytest

from serve_app.document import Markdown
from serve_app.documents.assemble import MarkdownJoiner, inline_images

KEY = "imgs/img_in_image_box_10_20_30_40.jpg"
IMAGES = {KEY: b"\xff\xd8\xff jpeg"}
URI = "data:image/jpeg;base64," + base64.b64encode(IMAGES[KEY]).decode()
TAG = f'<img src="{KEY}" alt="Image" width="40%" />'
BLOCK = f'<div style="text-align: center;">{TAG}</div>\n'


def page(text: str, *, is_start: bool = True, is_end: bool = True) -> Markdown:
    return Markdown(text, {}, is_start, is_end)


def joined(pages: list[Markdown]) -> str:
    joiner = MarkdownJoiner()
    return "".join(joiner.add(page) for page in pages)


def test_pages_are_set_apart_by_an_empty_line() -> None:
    assert joined([page("# A"), page("B"), page("C")]) == "# A\n\nB\n\nC"


def test_paragraph_runs_on_with_a_space() -> None:
    assert joined([page("to be", is_end=False), page("or not", is_start=False)]) == ("to be or not")


@pytest.mark.parametrize(("left", "right"), [("文字", "继续"), ("文字", "more"), ("text", "继续")])
def test_chinese_paragraph_runs_on_without_a_space(left: str, right: str) -> None:
    pages = [page(left, is_end=False), page(right, is_start=False)]
    assert joined(pages) == left + right


def test_both_pages_must_agree_that_the_paragraph_runs_on() -> None:
    assert joined([page("a", is_end=True), page("b", is_start=False)]) == "a\n\nb"
    assert joined([page("a", is_end=False), page("b", is_start=True)]) == "a\n\nb"


def test_first_page_that_begins_inside_a_paragraph_gets_no_space() -> None:
    assert joined([page("a", is_start=False)]) == "a"


def test_nothing_and_empty_pages() -> None:
    assert joined([]) == ""
    assert joined([page(""), page("a")]) == "\n\na"


def test_joiner_remembers_the_last_character_over_an_empty_page() -> None:
    joiner = MarkdownJoiner()
    pieces = [
        joiner.add(page("文", is_end=False)),
        joiner.add(page("", is_start=False, is_end=False)),
        joiner.add(page("b", is_start=False)),
    ]
    assert pieces == ["文", "", "b"]


def test_pictures_become_data_uris() -> None:
    text = f"A\n\n{BLOCK}\n\n![]({KEY})"
    expected = f"A\n\n{BLOCK}\n\n![]({KEY})".replace(KEY, URI)
    assert inline_images(text, IMAGES, "data_uri") == expected


def test_reference_without_a_picture_stays() -> None:
    text = f"![](imgs/other.jpg) {TAG}"
    assert inline_images(text, {}, "data_uri") == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"A\n\n{BLOCK}\n\nB", "A\n\nB"),
        (f"A\n\n![]({KEY})\n\nB", "A\n\nB"),
        (f"{BLOCK}\n\nB", "B"),
        (f"A\n\n{BLOCK}", "A"),
        (f"A\n\n{BLOCK}\n\n{BLOCK}\n\nB", "A\n\nB"),
        (f"{BLOCK}\n\n![]({KEY})", ""),
        (f"<td>{BLOCK.strip()}</td>", "<td></td>"),
        (f"A\n\n{BLOCK}\n<div>seal</div>", "A\n\n\n<div>seal</div>"),
        (f"A\n\n{TAG} caption", "A\n\n caption"),
        ("\n<table></table>", "\n<table></table>"),
    ],
)
def test_pictures_are_left_out_with_what_is_around_them(text: str, left: str) -> None:
    assert inline_images(text, IMAGES, "omit") == left


def test_pictures_that_were_never_sent_are_left_out_too() -> None:
    assert inline_images(f"A\n\n{BLOCK}\n\nB", {}, "omit") == "A\n\nB"


def test_other_pictures_and_text_are_not_touched() -> None:
    text = 'see ![logo](https://example.org/a.png), <img src="b.png"> and [imgs/](x)'
    assert inline_images(text, IMAGES, "omit") == text
    assert inline_images(text, IMAGES, "data_uri") == text


@pytest.mark.parametrize("part", ['<img src="', "![", "![](", '<div style="text-align: center;"> '])
def test_time_grows_linearly_on_odd_text(part: str) -> None:
    started = time.perf_counter()
    inline_images(part * 10_000, {}, "omit")
    assert time.perf_counter() - started < 1.0
