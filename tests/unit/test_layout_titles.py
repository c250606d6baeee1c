"""Titles that stand below each other or side by side, in one box of the layout model or in none."""

from __future__ import annotations

import pytest

from serve_app.layout.page import Region
from tests.layouts import around, blocks_of, line, prose, stack

HEADLINES = ["Village school gives lessons in drama", "Words of the week", "Relics go to Osaka"]


def titles(*found: object) -> list[str]:
    return [block.text for block in blocks_of(*found) if block.level]  # type: ignore[arg-type]


def test_headlines_in_one_box_are_titles_of_their_own() -> None:
    lines = stack(HEADLINES, 100, 100, leading=2.5)
    assert titles(lines, Region("paragraph_title", around(lines))) == HEADLINES


def test_a_headline_without_a_box_does_not_join_the_one_above() -> None:
    """Rows of two parts, as with a name of a place behind it."""
    lines = stack(HEADLINES, 100, 100, leading=2.5)
    lines += stack(["Sports", "Oslo", "Paris"], 560, 100, leading=2.5)
    region = Region("paragraph_title", around([lines[0], lines[3]]))
    assert blocks_of(lines, region)[0].text == f"{HEADLINES[0]} Sports"


@pytest.mark.parametrize("label", ["paragraph_title", "doc_title", "text", None])
def test_titles_side_by_side_are_two(label: str | None) -> None:
    heads = [line("Receipt", 100, 100, 36), line("Payment part", 500, 100, 36)]
    below = stack(prose("what was paid, and by whom", 4), 100, 200)
    regions = [Region(label, around(heads))] if label else []
    assert titles([*heads, *below], *regions) == ["Receipt", "Payment part"]


@pytest.mark.parametrize(
    ("height", "found"), [(34, ["Receipt", "Payment part"]), (36, ["Receipt"])]
)
def test_of_a_row_of_titles_those_in_hardly_smaller_letters_are_titles(
    height: int, found: list[str]
) -> None:
    """What has descenders is drawn taller; a number beside a title is none."""
    second = "Payment part" if "Payment part" in found else "12 / 2020"
    heads = [line("Receipt", 100, 100, 36), line(second, 500, 100, height)]
    below = stack(prose("what was paid, and by whom", 4), 100, 200, 28)
    assert titles([*heads, *below]) == found


@pytest.mark.parametrize("page", ["1", "128", "xiv"])
def test_an_entry_of_a_list_of_contents_is_no_heading(page: str) -> None:
    """Set in bold, with white space up to its page: the layout model calls it a title."""
    heads = [line("2 Uso", 100, 100), line(page, 700, 100)]
    region = Region("paragraph_title", around(heads))
    [block, *_] = blocks_of([*heads, *stack(prose("what it is for", 4), 100, 200)], region)
    assert (block.label, block.text, block.level) == ("text", f"2 Uso {page}", 0)


def test_a_title_of_two_lines_is_one() -> None:
    lines = [line("The long title of a document that", 200, 100), line("is centred", 320, 130)]
    region = Region("doc_title", around(lines))
    assert titles(lines, region) == ["The long title of a document that is centred"]


def test_a_number_and_its_title_are_one() -> None:
    lines = [line("5.1", 100, 100), line("Optimization", 190, 100)]
    assert titles(lines, Region("paragraph_title", around(lines))) == ["5.1 Optimization"]
