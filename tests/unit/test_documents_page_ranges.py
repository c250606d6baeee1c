from __future__ import annotations

import pytest

from serve_app.documents.page_ranges import MAX_TEXT_LENGTH, parse_page_ranges
from serve_app.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "indexes"),
    [
        (None, (0, 1, 2, 3, 4, 5, 6, 7)),
        ("1", (0,)),
        ("1-3,7", (0, 1, 2, 6)),
        ("7,1-2", (6, 0, 1)),
        ("2,1-3,2", (1, 0, 2)),
        ("6-", (5, 6, 7)),
        ("8-", (7,)),
        (" 1 - 2 , 4", (0, 1, 3)),
        ("3-3", (2,)),
    ],
)
def test_pages_come_in_the_order_given_and_once(text: str | None, indexes: tuple[int]) -> None:
    assert parse_page_ranges(text, 8) == indexes


@pytest.mark.parametrize("text", ["", ",", "1,", "a", "-3", "1-2-3", "1;2", "1.5", "٣", "1" * 10])
def test_what_is_not_a_list_of_pages(text: str) -> None:
    with pytest.raises(InvalidRequest, match="not a page or a range"):
        parse_page_ranges(text, 8)


@pytest.mark.parametrize("text", ["0", "0-2", "2,0"])
def test_pages_are_counted_from_1(text: str) -> None:
    with pytest.raises(InvalidRequest, match="counted from 1"):
        parse_page_ranges(text, 8)


def test_range_backwards() -> None:
    with pytest.raises(InvalidRequest, match="3-1 ends before it begins"):
        parse_page_ranges("3-1", 8)


@pytest.mark.parametrize("text", ["9", "1-9", "9-"])
def test_page_beyond_the_end_says_how_many_there_are(text: str) -> None:
    with pytest.raises(InvalidRequest, match="no page 9, the document has 8 pages"):
        parse_page_ranges(text, 8)


def test_one_page_is_not_called_pages() -> None:
    with pytest.raises(InvalidRequest, match=r"has 1 page$"):
        parse_page_ranges("999999999", 1)


def test_long_text_is_not_read_nor_echoed() -> None:
    with pytest.raises(InvalidRequest, match="at most 1000"):
        parse_page_ranges("1," * MAX_TEXT_LENGTH, 8)
    with pytest.raises(InvalidRequest) as caught:
        parse_page_ranges("x" * MAX_TEXT_LENGTH, 8)
    assert len(str(caught.value)) < 150
