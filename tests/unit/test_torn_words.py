"""Korean words that lines divide: told by the spaces that a file has at the ends of others."""

from __future__ import annotations

import pytest

from serve_app.document import Line
from serve_app.engines.torn_words import torn_lines
from tests.layer_documents import layer_of, page_pdf, text
from tests.layouts import blocks_of, line, markdown_of

HANGUL = {"a": "가", "b": "나", "c": "다", "d": "라", " ": " "}


def lines_of(*written: str) -> list[bool]:
    """Whether each of the lines, as a file has them, is torn."""
    content = b"".join(
        text(words, 100, 700 - 16 * number, font="K") for number, words in enumerate(written)
    )
    lines = layer_of(page_pdf(content, maps={"K": HANGUL})).lines
    assert [one.text.strip() for one in lines] == [
        "".join(HANGUL[letter] for letter in words).strip() for words in written
    ]
    torn = torn_lines(lines)
    return [index in torn for index in range(len(lines))]


def test_a_line_without_a_space_at_its_end_is_torn_where_others_have_one() -> None:
    assert lines_of("ab cd ", "abc ab", "ab dd ", "cd ab ", "aa bb ") == [
        False,
        True,
        False,
        False,
        False,
    ]


def test_where_no_line_has_one_nothing_is_known() -> None:
    assert not any(lines_of("ab cd", "abc ab", "ab dd", "cd ab", "aa bb"))


def test_a_line_that_ends_before_its_time_is_not_torn() -> None:
    assert not lines_of("ab cd ", "ab ", "ab dd ", "cd", "aa bb aa bb ")[3]


def korean(*texts: str) -> list[Line]:
    """Of which each is torn but the last."""
    lines = [line(words, 100, 100 + 25 * number) for number, words in enumerate(texts)]
    return [Line(*(one.text, one.box, 1.0, "layer"), is_torn=one is not lines[-1]) for one in lines]


def test_a_torn_word_is_one_word_in_the_text() -> None:
    lines = korean("세계적 유행 단계에 돌", "입하였다고 세계보건기", "구가 인정한 것과 관련")
    (block,) = blocks_of(lines)
    assert block.text == "세계적 유행 단계에 돌입하였다고 세계보건기구가 인정한 것과 관련"
    assert "\u00ad" not in markdown_of(lines)


@pytest.mark.parametrize("next_line", ["2) 감염병의 예방", "(이하 감염병)", "www.nars.go.kr"])
def test_what_begins_with_no_syllable_is_no_rest_of_a_word(next_line: str) -> None:
    text = " ".join(block.text for block in blocks_of(korean("우발적인 외래의 사고", next_line)))
    assert text.replace("\n", " ") == f"우발적인 외래의 사고 {next_line}"
