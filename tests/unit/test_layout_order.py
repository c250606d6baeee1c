"""Reading order: columns before rows, rows where columns are none."""

from __future__ import annotations

import math
import random

import pytest

from serve_app.document import Line
from serve_app.layout.compose import compose
from serve_app.layout.page import Page, Region
from tests.layouts import around, blocks_of, line, markdown_of, prose, stack, texts_of


def first_words(texts: list[str]) -> list[str]:
    return [text.split()[0] for text in texts]


def test_two_columns_are_read_one_after_the_other() -> None:
    left, right = prose("left words run on", 12), prose("right words run on", 12)
    lines = [*stack(left, 50, 100), *stack(right, 520, 100)]
    random.Random(1).shuffle(lines)
    assert first_words(texts_of(lines)) == ["Left", "Right"]


def test_three_columns_of_a_newspaper_below_a_headline() -> None:
    columns = [prose(f"{name} goes on and on", 20, 28) for name in ("one", "two", "three")]
    lines = [line("A headline across all of the page", 60, 60, 40)]
    for number, column in enumerate(columns):
        lines += stack(column, 50 + number * 310, 140)
    random.Random(2).shuffle(lines)
    assert first_words(texts_of(lines)) == ["A", "One", "Two", "Three"]


def test_a_narrow_gutter_with_outlines_that_touch() -> None:
    """The boxes of a detector reach a little into the gutter from both sides."""
    left = [Line(text, (50, top, 452, top + 20), 1) for text, top in rows("left", 12)]
    right = [Line(text, (449, top, 850, top + 20), 1) for text, top in rows("right", 12)]
    assert len(texts_of([*left, *right])) == 2


def rows(word: str, count: int) -> list[tuple[str, float]]:
    texts = prose(f"{word} words that fill the column", count)
    return [(text, 100.0 + number * 25) for number, text in enumerate(texts)]


def test_paragraph_gaps_at_the_same_height_do_not_cut_columns() -> None:
    lines = []
    for number, name in enumerate(("left", "right")):
        for part in range(2):
            words = prose(f"{name}{part} words run on", 6)
            lines += stack(words, 50 + number * 470, 100 + part * 200)
    assert first_words(texts_of(lines)) == ["Left0", "Left1", "Right0", "Right1"]


def test_a_heading_across_separates_columns_above_from_columns_below() -> None:
    lines = []
    for part, top in enumerate((100, 600)):
        for number, name in enumerate(("left", "right")):
            words = prose(f"{name}{part} words run on", 12)
            lines += stack(words, 50 + number * 470, top)
    lines.append(line("This heading goes across both of the columns of it", 200, 500, 30))
    assert first_words(texts_of(lines)) == ["Left0", "Right0", "This", "Left1", "Right1"]


def test_a_heading_below_columns_belongs_to_the_text_below_it() -> None:
    wide = prose("text across the whole page goes on", 6, 85)
    lines = [
        *stack(prose("left words run on", 12), 50, 100),
        *stack(prose("right words run on", 12), 520, 100),
        line("Features", 50, 440),
        *stack(wide, 50, 466),
    ]
    texts = texts_of(lines)
    assert first_words(texts)[:3] == ["Left", "Right", "Features"]
    assert "Text across" in " ".join(texts[2:])


def test_labels_and_values_of_a_form_are_read_row_by_row() -> None:
    names = ["Name:", "Street:", "City:", "Born:"]
    values = ["Alice Adams", "Long Lane 5", "London", "7 May 1990"]
    lines = [*stack(names, 60, 100, leading=1.8), *stack(values, 300, 100, leading=1.8)]
    text = markdown_of(lines)
    assert "Name: Alice Adams" in text
    assert "Born: 7 May 1990" in text


def test_a_receipt_is_read_row_by_row() -> None:
    articles = ["Milk 1 l", "Bread", "Butter", "Coffee beans", "Total"]
    prices = ["1.29", "2.50", "2.19", "8.99", "14.97"]
    lines = [*stack(articles, 60, 100), *stack(prices, 400, 100)]
    text = markdown_of(lines).replace("  \n", "\n")
    assert text.split("\n") == [f"{a} {p}" for a, p in zip(articles, prices, strict=True)]


def test_two_addresses_beside_each_other_are_read_one_after_the_other() -> None:
    bill = ["Bill to", "Alice Adams", "Long Lane 5", "London"]
    ship = ["Ship to", "Bob Brown", "Short Street 7", "Leeds"]
    texts = texts_of([*stack(bill, 60, 100), *stack(ship, 500, 100)])
    assert texts == ["\n".join(bill), "\n".join(ship)]


def test_authors_in_centred_columns_are_read_one_after_the_other() -> None:
    people = [
        ["Ann Archer", "Institute of Physics", "ann@physics.example"],
        ["Bo Li", "University", "bo@university.example"],
        ["Cornelius van der Berg", "Academy", "c@academy.example"],
    ]
    lines: list[Line] = []
    for number, person in enumerate(people):
        for row, text in enumerate(person):
            left = 180 + number * 320 - len(text) * 5
            lines.append(line(text, left, 100 + row * 25))
    texts = texts_of(lines)
    assert [text.startswith(person[0]) for text, person in zip(texts, people, strict=True)] == [
        True
    ] * 3


def test_bullets_apart_from_their_items_are_no_column() -> None:
    items = prose("an item that is long", 4)
    lines = [*stack(["•"] * 4, 50, 100, leading=2), *stack(items, 80, 100, leading=2)]
    assert [text.startswith("•") for text in "\n".join(texts_of(lines)).split("\n")] == [True] * 4


def test_pictures_beside_text_do_not_break_it() -> None:
    text = stack(prose("words beside a picture", 10), 500, 100)
    picture = Region("image", (60, 90, 460, 360), image="imgs/a.jpg")
    labels = [block.label for block in blocks_of(text, picture)]
    assert labels == ["image", "text"]


def test_right_to_left_columns_and_rows_begin_at_the_right() -> None:
    right = stack(["العمود الأول من النص العربي الطويل"] * 6, 520, 100)
    left = stack(["العمود الثاني من النص العربي الطويل"] * 6, 60, 100)
    texts = texts_of([*left, *right])
    assert "الأول" in texts[0]
    assert "الثاني" not in texts[0]


def test_cells_of_a_right_to_left_row_are_joined_from_the_right() -> None:
    lines = [line("الاسم", 600, 100), line("محمد", 300, 100)]
    assert texts_of(lines) == ["الاسم محمد"]


def test_vertical_japanese_is_read_from_the_right() -> None:
    texts = [
        "春の海終日のたりのたりかな",
        "古池や蛙飛びこむ水の音です",
        "閑さや岩にしみ入る蝉の声だ",
    ]
    lines = [
        Line(text, (800 - number * 40, 100, 825 - number * 40, 100 + len(text) * 25), 1)
        for number, text in enumerate(texts)
    ]
    (block,) = blocks_of(list(reversed(lines)))
    assert block.text.replace("\n", "") == "".join(texts)


def test_a_tilted_scan_of_two_columns() -> None:
    """5 degrees: no horizontal line goes through without touching two lines of text."""
    angle = math.radians(5)
    straight = [
        *stack(prose("left words run on", 14), 50, 100),
        *stack(prose("right words run on", 14), 520, 100),
    ]
    tilted, corners = [], []
    for one in straight:
        left, top, right, bottom = one.box
        points = [
            (
                x * math.cos(angle) - y * math.sin(angle) + 100,
                x * math.sin(angle) + y * math.cos(angle),
            )
            for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))
        ]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        tilted.append(Line(one.text, (min(xs), min(ys), max(xs), max(ys)), 1))
        corners.append(tuple(points))
    blocks = compose(Page(1000, 1400, tilted, corners))
    assert first_words([block.text for block in blocks]) == ["Left", "Right"]


def test_a_line_on_its_side_comes_last() -> None:
    lines = stack(prose("words of the page run on", 10), 100, 100)
    side = Line("arXiv:2301.00001v1 [cs.CL]", (20, 100, 45, 500), 1)
    blocks = blocks_of([side, *lines])
    assert [block.label for block in blocks] == ["text", "aside_text"]


@pytest.mark.parametrize("label", ["header", "number"])
def test_a_header_comes_first_and_a_footer_last_whatever_stands_beside_them(label: str) -> None:
    head = line("Chapter 3", 700, 30)
    foot = line("17", 500, 1360)
    body = stack(prose("words of the page run on", 10), 100, 100)
    regions = Region(label, around([head])), Region("footer", around([foot]))
    labels = [block.label for block in blocks_of([foot, *body, head], *regions)]
    assert labels == [label, "text", "footer"]
