"""Listings of programs on a page of prose."""

from __future__ import annotations

from serve_app.document import Block, Line
from serve_app.layout.compose import compose
from serve_app.layout.markdown import write
from serve_app.layout.page import Page

LETTER, HIGH = 10, 20


def line(text: str, column: int, row: int, *, is_code: bool = True) -> Line:
    left, top = 100.0 + LETTER * column, 100.0 + 24 * row
    box = (left, top, left + LETTER * len(text), top + HIGH)
    return Line(text, box, 1.0, "layer", is_code)


def prose(text: str, row: int) -> Line:
    return line(text, 0, row, is_code=False)


def composed(*lines: Line) -> tuple[tuple[Block, ...], str]:
    blocks = compose(Page(1000, 1400, lines))
    return blocks, write(blocks, lines, 1000).text


def test_a_listing_keeps_its_lines_and_their_indentation() -> None:
    _, text = composed(
        prose("Listing 1: a program that adds two numbers, and says so", 0),
        line("def add(a, b):", 0, 1),
        line("# both are *numbers*", 4, 2),
        line("return a + b", 4, 3),
        prose("It is called with two numbers, and gives one of them back.", 4),
    )
    assert text == (
        "Listing 1: a program that adds two numbers, and says so\n\n"
        "```\ndef add(a, b):\n    # both are *numbers*\n    return a + b\n```\n\n"
        "It is called with two numbers, and gives one of them back."
    )


def test_words_that_stand_apart_in_a_line_keep_their_place() -> None:
    blocks, _ = composed(
        line("int", 0, 0), line("a;", 8, 0), line("// first", 16, 0), line("char  b;", 0, 1)
    )
    assert [(block.label, block.text) for block in blocks] == [
        ("algorithm", "int     a;      // first\nchar  b;")
    ]


def test_one_line_alone_is_a_part_of_its_paragraph() -> None:
    blocks, _ = composed(
        prose("The sources of this program are all to be found at the address", 0),
        line("https://example.org/sources/of/the/program/and/of/its/documents", 0, 1),
        prose("where they may be read by everybody who wants to read them.", 2),
    )
    assert [block.label for block in blocks] == ["text"]


def test_a_fence_is_longer_than_those_in_the_listing() -> None:
    _, text = composed(line("```python", 0, 0), line("print(1)", 0, 1), line("```", 0, 2))
    assert text == "````\n```python\nprint(1)\n```\n````"


def test_a_grid_that_is_wider_than_its_letters_makes_no_further_spaces() -> None:
    """As LaTeX sets listings: each letter is 12 wide on a grid of 14."""

    def word(text: str, column: int, row: int) -> Line:
        left, top = 100.0 + 14 * column, 100.0 + 24 * row
        return Line(text, (left, top, left + 14 * len(text) - 2, top + HIGH), 1.0, "layer", True)

    blocks, _ = composed(
        *(word("def", 0, 0), word("f(a,", 4, 0), word("b):", 9, 0)),
        *(word("return", 4, 1), word("a", 11, 1), word("+", 13, 1), word("b", 15, 1)),
    )
    assert [block.text for block in blocks] == ["def f(a, b):\n    return a + b"]
