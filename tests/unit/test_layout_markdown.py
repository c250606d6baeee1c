"""Blocks as Markdown: what is escaped, what is not, and what goes on where."""

from __future__ import annotations

import pytest

from serve_app.document import Block, Line
from serve_app.layout.escaping import escape, escape_formula, escape_heading
from serve_app.layout.markdown import Style, Written, write
from tests.layouts import line

BOX = (0.0, 0.0, 100.0, 20.0)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        # nothing to do
        ("plain text, 3.5 % of 7 (seven) & more", None),
        ("C# and F# are languages", None),
        ("snake_case_name and 5 * 7 = 35", None),
        ("a < b and b > a", None),
        ("it's 3`360.00", None),
        ("- a dash within - text"[2:], None),
        ("[1] and [2, 3]", None),
        ("-5 degrees, +7, #5", None),
        ("1990. was a year"[:4], None),
        ("C:\\temp", None),
        ("$x_1^2$", None),
        # what would mean something else
        ("# no heading", r"\# no heading"),
        ("> no quote", r"\> no quote"),
        ("- no item", r"\- no item"),
        ("+ no item", r"\+ no item"),
        ("* no item", r"\* no item"),
        ("1. no item", r"1\. no item"),
        ("12) no item", r"12\) no item"),
        ("---", r"\---"),
        ("===", r"\==="),
        ("~~~ no fence", r"\~\~~ no fence"),
        ("*no* emphasis", r"\*no\* emphasis"),
        ("_no_ emphasis", r"\_no\_ emphasis"),
        ("`no code`", r"\`no code\`"),
        ("~~no strike~~", r"\~\~no strike\~\~"),
        ("[no](javascript:alert(1))", r"[no\](javascript:alert(1))"),
        ("![no](x.png)", r"![no\](x.png)"),
        ("[no][link]", r"[no\][link]"),
        ("[no]: https://example.org", r"[no\]: https://example.org"),
        ("<b>no</b>", "&lt;b>no&lt;/b>"),
        ("<https://example.org>", "&lt;https://example.org>"),
        ("<!-- no comment", "&lt;!-- no comment"),
        ("&lt;b&gt; &#106;", "&amp;lt;b&amp;gt; &amp;#106;"),
        (r"\*", r"\\*"),
        ("a | b\n--- | ---", "a | b\n\\--- | ---"),
    ],
)
def test_escaping(text: str, escaped: str | None) -> None:
    assert escape(text) == (text if escaped is None else escaped)


def test_a_heading_keeps_its_number_and_its_sharp() -> None:
    assert escape_heading("1. In C#") == "1. In C#"
    assert escape_heading("A closing ##") == r"A closing \##"
    assert escape_heading("<script>") == "&lt;script>"


def test_a_formula_is_no_tag() -> None:
    assert escape_formula(r"a<b \left[x](y)") == r"a< b \left[x] (y)"


def block(text: str, label: str = "text", lines: tuple[int, ...] = (0, 1), level: int = 0) -> Block:
    return Block(label, BOX, lines, text, level)


def written(*blocks: Block, style: Style | None = None) -> Written:
    lines = [Line("x", BOX, 1.0)] * 2
    return write(blocks, lines, 100, style or Style())


def test_blocks_are_set_apart_by_an_empty_line() -> None:
    text = written(block("Title", "doc_title", level=1), block("Text."), block("More.")).text
    assert text == "# Title\n\nText.\n\nMore."


def test_a_paragraph_goes_on_in_the_next_column() -> None:
    text = written(block("It goes on and"), block("ends here.")).text
    assert text == "It goes on and ends here."


def test_a_word_is_mended_from_one_column_to_the_next() -> None:
    assert written(block("The infor-"), block("mation is here.")).text == "The information is here."


def test_a_sentence_that_has_ended_does_not_go_on() -> None:
    assert (
        written(block("It has ended."), block("lower case")).text == "It has ended.\n\nlower case"
    )


def test_a_heading_between_keeps_paragraphs_apart() -> None:
    parts = block("It goes on and"), block("Heading", "paragraph_title", level=2), block("more.")
    assert written(*parts).text == "It goes on and\n\n## Heading\n\nmore."


def test_flags_say_whether_a_paragraph_goes_on_over_the_page() -> None:
    page = written(block("goes on from the page before"), block("It does not end,"))
    assert (page.is_start, page.is_end) == (False, False)
    page = written(block("Begins here."), block("Ends here."))
    assert (page.is_start, page.is_end) == (True, True)


def test_nothing_is_an_empty_page() -> None:
    assert written() == Written("")


def test_labels_can_be_left_out() -> None:
    style = Style(omitted={"header"})
    assert written(block("Head", "header"), block("Text."), style=style).text == "Text."


def test_a_formula_and_a_plain_picture() -> None:
    picture = Block("image", (0, 0, 50, 50), (), "", 0, "imgs/a.jpg")
    formula = block("x^2", "formula", lines=())
    assert written(formula, picture, style=Style(pretty=False)).text == "$$x^2$$\n\n![](imgs/a.jpg)"


def test_a_header_that_is_no_furniture_is_not_joined_to_the_text_below_it() -> None:
    lines = [line("Tokenization", 300, 60), line("9", 900, 60), line("order to compute", 100, 140)]
    header = Block("text", (300, 60, 920, 80), (0, 1), "Tokenization 9")
    text = Block("text", (100, 140, 900, 160), (2,), "order to compute")
    assert write([header, text], lines, 1000).text == "Tokenization 9\n\norder to compute"
