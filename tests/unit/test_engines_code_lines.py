"""Which lines of a text layer are of a program."""

from __future__ import annotations

from serve_app.documents.text_layer.values import Char, LayerLine
from serve_app.engines.code_lines import code_lines, spaced

SIZE = 10.0
PROSE, CODE = 0, 1
NARROW = frozenset("iljtfrI.,;:'|!()[] ")


def line(text: str, font: int, *, pitch: float = 6.0, angle: float = 0.0) -> LayerLine:
    """As a writer of PDFs sets it: no spaces, each character at its place."""
    chars, x = [], 0.0
    for letter in text:
        width = pitch if font == CODE or letter not in NARROW else pitch / 2
        if letter != " ":
            box = (x, 0.0, x + min(width, 6.0), SIZE)
            chars.append(Char(letter, box, box, font, angle, SIZE))
        x += width
    return LayerLine(text, (0.0, 0.0, x, SIZE), tuple(chars), angle)


PARAGRAPH = [line("A paragraph with letters of all widths, from i and l to m and W.", PROSE)] * 5
PROGRAM = [line("def main(argv):", CODE), line("    return list(map(int, argv))", CODE)]


def test_lines_in_a_font_of_one_width_are_code() -> None:
    assert code_lines([*PARAGRAPH, *PROGRAM]) == {5, 6}


def test_a_page_that_is_typed_has_no_code() -> None:
    assert code_lines([*PARAGRAPH[:1], *PROGRAM * 4]) == frozenset()


def test_a_line_with_a_word_of_code_is_none() -> None:
    mixed = line("called by ", PROSE)
    mixed = LayerLine("called by main", mixed.box, mixed.chars + PROGRAM[0].chars)
    assert code_lines([*PARAGRAPH, mixed]) == frozenset()


def test_letters_that_are_all_as_wide_in_every_font_tell_nothing() -> None:
    numbers, han = line("0123456789", CODE), line("日本語の文章です", CODE)
    assert code_lines([*PARAGRAPH, numbers, han]) == frozenset()


def test_spaces_are_those_that_there_is_room_for() -> None:
    assert spaced(line("console.log(add(3, 5));", CODE)) == "console.log(add(3, 5));"
    assert spaced(line("int      a;", CODE)) == "int      a;"
    assert spaced(line("a", CODE)) == "a"


def test_a_grid_that_is_wider_than_the_letters_makes_no_spaces() -> None:
    assert spaced(line("return add(a, b);", CODE, pitch=7.0)) == "return add(a, b);"
