"""The parts of the quality bench that decide what a table says; nothing is read by OCR."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench import quality_measures as measures
from tests.bench import quality_score, text_layers
from tests.bench.quality import files_of
from tests.bench.quality_readers import Reading, ReadPage, server_page
from tests.bench.text_layers import Layer


def reading(markdown: str, *lines: str, furniture: tuple[str, ...] = ()) -> Reading:
    return Reading((ReadPage(lines, markdown, furniture),), 1.0)


def test_a_line_that_is_not_in_the_markdown_is_lost() -> None:
    lines = ["Dear Sir or Madam,", "the invoice is enclosed."]
    assert measures.lost_lines(lines, "Dear Sir or Madam,") == [lines[1]]


@pytest.mark.parametrize(
    "kept",
    [
        "**Dear Sir** or\nMadam, this concerns you",  # set otherwise
        "DEAR SIR OR MADAM THIS CONCERNS YOU",
        "dear sir or madam\nsomething else between\nthis concerns you",  # cut into two cells
        "Dear Sir orMadam,this concerns you",  # joined badly, which is another fault
    ],
)
def test_a_line_set_otherwise_is_kept(kept: str) -> None:
    assert measures.lost_lines(["Dear Sir or Madam, this concerns you"], kept) == []


def test_one_of_two_equal_lines_is_lost_if_the_markdown_has_it_once() -> None:
    assert measures.lost_lines(["Total amount", "Total amount"], "Total amount") == ["Total amount"]
    assert measures.lost_lines(["Total amount"] * 2, "Total amount, Total amount") == []


def test_a_word_torn_by_a_hyphen_and_mended_is_kept() -> None:
    lines = ["we promise that nothing is for-", "gotten in here"]
    assert measures.lost_lines(lines, "we promise that nothing is forgotten in here") == []


def test_chinese_and_japanese_are_counted_by_characters() -> None:
    assert measures.tokens("大桶装 2 bottles") == ["大", "桶", "装", "2", "bottles"]
    assert measures.tokens("カタカナ") == list("カタカナ")


def test_markdown_is_read_as_people_see_it() -> None:
    text = measures.plain_text(
        "# A \\* B\n\n![](imgs/a.jpg)<img src=\"data:image/jpeg;base64,QUJD\" alt='x'/>"
        "<table><tr><td>one</td><td>two &amp; three</td></tr></table>"
    )
    assert measures.tokens(text) == ["a", "b", "one", "two", "three"]


def test_an_unescaped_less_than_sign_eats_no_text() -> None:
    assert measures.tokens(measures.plain_text("if 3 < 4 and 5 > 2")) == ["if", *"34", "and", *"52"]


def test_digits_are_judged_apart() -> None:
    words = measures.tokens("Total EUR 1949 on 2024")
    assert measures.with_digits(words) == ["1949", "2024"]


def test_order_is_one_when_it_is_that_of_the_layer_and_minus_one_backwards() -> None:
    true = [f"w{n}" for n in range(20)]
    assert measures.order_score(true, true) == (1.0, 18)
    words = [f"w{n}" for n in (2, 1, 0)]
    assert measures.order_score(words, ["w0", "w1", "w2"]) == (-1.0, 3)


def test_two_columns_read_across_score_lower_than_down() -> None:
    left, right = ([f"{side}{n}x{k}" for n in range(10) for k in range(6)] for side in "lr")
    true = left + right
    across = [w for n in range(10) for side in (left, right) for w in side[6 * n : 6 * n + 6]]
    down, mixed = (measures.order_score(read, true) for read in (true, across))
    assert down is not None
    assert mixed is not None
    assert down[0] == 1.0
    assert 0.3 < mixed[0] < 0.7


def test_words_that_occur_twice_say_nothing_of_the_order() -> None:
    assert measures.order_score(["a", "a"], ["a", "a"]) is None


@given(st.permutations(range(30)))
def test_kendalls_tau_counts_the_pairs_that_stand_the_right_way(ranks: list[int]) -> None:
    pairs = [(a, b) for at, a in enumerate(ranks) for b in ranks[at + 1 :]]
    rising = sum(a < b for a, b in pairs)
    assert measures.kendall_tau(ranks) == pytest.approx((2 * rising - len(pairs)) / len(pairs))


@given(st.lists(st.text(max_size=30), max_size=12), st.randoms(use_true_random=False))
def test_no_line_is_lost_in_a_text_that_has_them_all(
    lines: list[str], chance: random.Random
) -> None:
    assert measures.lost_lines(lines, "\n\n".join(chance.sample(lines, len(lines)))) == []


def test_listed_furniture_is_not_lost() -> None:
    page = reading("The body of it.", "The body of it.", "Page 7", furniture=("Page 7",))
    scored = quality_score.score(page, Layer(why_not="a picture"))
    assert scored.lost == ()
    assert scored.furniture == 1


def test_furniture_may_be_texts_or_blocks() -> None:
    page = server_page({"text": ["a"], "markdown": "", "furniture": ["x", {"text": "y"}]})
    assert page.furniture == ("x", "y")


def test_a_file_is_scored_against_its_layer() -> None:
    scored = quality_score.score(
        reading("one two", "one two", "three 3"), Layer(("one two three 3",))
    )
    assert scored.text is not None
    assert scored.markdown is not None
    assert scored.text.f1 == 1.0
    assert scored.markdown.recall == 0.5
    assert scored.markdown.digits_f1 == 0.0
    assert scored.lost == ("three 3",)


@pytest.mark.parametrize(
    ("text", "invisible", "why"),
    [
        ("", 0.0, "no text"),
        ("---", 0.0, "no text"),
        ("Hello, World!", 0.0, ""),
        ("Hello, World!", 0.5, "50% of it is invisible"),
        ("ab\ue000\ufffd", 0.0, "50% of it is unmapped"),
    ],
)
def test_layers_that_are_not_what_people_see_are_left_out(
    text: str, invisible: float, why: str
) -> None:
    assert text_layers.objection((text,), invisible) == why


def test_the_tables_have_totals_every_file_and_the_failures() -> None:
    good = quality_score.score(reading("one two", "one two"), Layer(("one two",)))
    failed = quality_score.score(Reading((), 0.5, "413 page_too_large"), Layer(("x",)))
    rows = [
        quality_score.row("a.pdf", Layer(("one two",)), {"ours": good}),
        quality_score.row("b.png", Layer(why_not="a picture"), {"ours": failed}),
    ]
    text = quality_score.section(rows, ["ours"], "structure")
    assert "| ours | 1 of 2 | 1 | 1 | 0 | 0 | 1.000 (1.000) | 1.000 (1.000) |" in text
    assert "| a.pdf | 1 | 2 | 1.000 / 1.000, 0 of 1, 1.00, 1.0 s |" in text
    assert "| b.png | 0 | a picture | 413 page_too_large |" in text


def test_folders_are_searched_for_documents_only(tmp_path: Path) -> None:
    for name in ("b.PDF", "a.png", "README.md"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in files_of([tmp_path])] == ["a.png", "b.PDF"]
