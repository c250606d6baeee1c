"""Lines of a column to paragraphs, lists, headings; and their lines to running text."""

from __future__ import annotations

import pytest

from serve_app.layout.joining import join, vocabulary
from serve_app.layout.page import Region
from tests.layouts import SIZE, around, blocks_of, line, markdown_of, prose, stack, texts_of

# ---- joining -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "joined"),
    [
        (["almost 5000", "data"], "almost 5000 data"),
        (["per record.", "Businesses"], "per record. Businesses"),
        (["Windows®", "is"], "Windows® is"),
        (["10 m²", "of"], "10 m² of"),
        (["Menü", "und"], "Menü und"),
        (["信息", "系统"], "信息系统"),
        (["春の海", "終日"], "春の海終日"),
        (["他说：", "Hello"], "他说：Hello"),
        (["使用", "Python"], "使用 Python"),
        (["2024", "年"], "2024年"),
        (["한국어", "문장"], "한국어 문장"),
        (["informa-", "tion"], "information"),
        (["informa\u00ad", "tion"], "information"),
        (["informa\u2010", "tion"], "information"),
        (["kokend wa=", "ter"], "kokend water"),
        (["2019-", "2020"], "2019-2020"),
        (["Anglo-", "Saxon"], "Anglo-Saxon"),
        (["COVID-", "19"], "COVID-19"),
        (["state-of-the-", "art"], "state-of-the-art"),
        (["self-", "contained"], "self-contained"),
        (["Ein-", "und Ausgang"], "Ein- und Ausgang"),
        (["a dash -", "here"], "a dash - here"),
        (["https://example.org/", "path"], "https://example.org/path"),
        (["", " ", "a", "", "b"], "a b"),
        (["tab\there", "line\u2028two"], "tab here line two"),
        (["nul\x00", "bell\x07"], "nul bell"),
    ],
)
def test_joining(lines: list[str], joined: str) -> None:
    assert join(lines) == joined


def test_a_compound_that_the_page_has_elsewhere_keeps_its_hyphen() -> None:
    texts = ["The image-based way.", "Another image-", "based way."]
    assert join(texts[1:], vocabulary(texts)) == "Another image-based way."


def test_a_word_that_the_page_has_elsewhere_loses_its_hyphen() -> None:
    texts = ["The long dataset, with data here and a set there.", "Another data-", "set there."]
    assert join(texts[1:], vocabulary(texts)) == "Another dataset there."


def test_halves_that_are_words_of_the_page_are_a_compound() -> None:
    texts = ["The high pressure of water", "is water-", "pressure."]
    assert join(texts[1:], vocabulary(texts)) == "is water-pressure."


# ---- paragraphs ----------------------------------------------------------------------------


def test_lines_of_a_paragraph_are_joined() -> None:
    assert len(texts_of(stack(prose("some words run on", 6), 50, 100))) == 1


def test_a_gap_ends_a_paragraph() -> None:
    first = stack(prose("first words run on", 4), 50, 100)
    second = stack(prose("second words run on", 4), 50, 100 + 5 * 25)
    assert [text.split()[0] for text in texts_of([*first, *second])] == ["First", "Second"]


def test_an_indented_line_begins_a_paragraph() -> None:
    texts = prose("words of a paragraph run on", 8)
    lines = [
        line(
            text if row not in (0, 4) else text[:-3],
            50 + (30 if row in (0, 4) else 0),
            100 + row * 25,
        )
        for row, text in enumerate(texts)
    ]
    assert len(texts_of(lines)) == 2


def test_a_short_last_line_ends_a_paragraph() -> None:
    texts = [*prose("first words run on", 4), *prose("second words run on", 4)]
    assert len(texts_of(stack(texts, 50, 100))) == 2


def test_a_sentence_that_runs_on_is_not_cut_by_boxes_of_the_model() -> None:
    texts = [
        "A sentence of the page that begins here",
        "and goes on in the next box of the model,",
        "which cut it.",
    ]
    lines = stack(texts, 50, 100)
    regions = [Region("text", around(lines[:1])), Region("reference", around(lines[1:]))]
    assert len(texts_of(lines, *regions)) == 1


def test_lines_of_an_address_stay_lines() -> None:
    lines = stack(["Pia Rutschmann", "Marktgasse 28", "9400 Rorschach"], 50, 100)
    region = Region("text", around(lines))
    assert texts_of(lines, region) == ["Pia Rutschmann\nMarktgasse 28\n9400 Rorschach"]
    assert markdown_of(lines, region) == "Pia Rutschmann  \nMarktgasse 28  \n9400 Rorschach"


def test_items_of_a_list_are_items() -> None:
    texts = [
        "• The first item is so long that it needs",
        "two lines of the column",
        "• The second one",
        "• And a third one with a hyphen-",
        "ated word",
    ]
    assert markdown_of(stack(texts, 50, 100)).split("\n") == [
        "- The first item is so long that it needs two lines of the column",
        "- The second one",
        "- And a third one with a hyphenated word",
    ]


def test_numbered_items_keep_their_numbers() -> None:
    texts = ["1. Wash the lentils.", "2. Soak them.", "3) Boil them."]
    assert markdown_of(stack(texts, 50, 100)).split("\n") == texts


def test_a_number_within_running_text_begins_no_item() -> None:
    texts = [
        "The answer that they found in the end was",
        "42. It took a very long time to find it, and",
        "nobody knew the question.",
    ]
    assert texts_of(stack(texts, 50, 100)) == [" ".join(texts)]


def test_lines_of_a_table_of_contents_stay_lines() -> None:
    texts = [
        "1 Introduction .................. 3",
        "2 Methods and materials ......... 7",
        "3 Results ....................... 12",
    ]
    assert markdown_of(stack(texts, 50, 100)).count("\n") == 2


def test_words_and_what_they_mean_with_dots_between_stay_lines() -> None:
    """Of one length, in small letters, without a page number: a glossary."""
    texts = [
        "measure" + "." * 40 + "how much of it there is",
        "ordered" + "." * 40 + "set that has a sequence",
        "valuate" + "." * 40 + "tell what it is worth a",
    ]
    assert markdown_of(stack(texts, 50, 100)).count("\n") == 2


# ---- headings ------------------------------------------------------------------------------


def test_larger_letters_are_a_heading() -> None:
    lines = [
        line("The Title", 50, 40, SIZE * 2),
        line("A Section", 50, 110, SIZE * 1.4),
        *stack(prose("words of the page run on", 6), 50, 150),
    ]
    levels = [(block.label, block.level) for block in blocks_of(lines)]
    assert levels == [("doc_title", 1), ("paragraph_title", 2), ("text", 0)]


def test_numbers_of_sections_are_levels() -> None:
    body = stack(prose("words of the page run on", 6), 50, 200)
    for text, level in (("1 Introduction", 2), ("1.1 Scope", 3), ("2.3.1 Detail", 4)):
        head = line(text, 50, 150)
        (first, _) = blocks_of([head, *body], Region("paragraph_title", head.box))
        assert (first.label, first.level) == ("paragraph_title", level)


def test_a_numbered_line_above_a_paragraph_is_a_heading_without_a_label() -> None:
    body = stack(prose("words of the page run on", 6), 50, 125)
    (first, _) = blocks_of([line("1. Interpretation", 50, 100), *body])
    assert (first.label, first.level) == ("paragraph_title", 2)


def test_a_paragraph_that_the_model_calls_a_title_is_text() -> None:
    texts = [
        "This is a sentence of the text. It is not a title,",
        "because it goes on and on. So it is text.",
    ]
    lines = stack(texts, 50, 100)
    (block,) = blocks_of(lines, Region("paragraph_title", around(lines)))
    assert block.label == "text"


def test_a_line_of_an_address_that_the_model_calls_a_title_is_none() -> None:
    lines = stack(["Robert Schneider AG", "Rue du Lac 1268", "2501 Biel"], 50, 100)
    title = Region("paragraph_title", around(lines[2:]))
    texts = texts_of(lines, Region("text", around(lines[:2])), title)
    assert texts == ["Robert Schneider AG\nRue du Lac 1268\n2501 Biel"]


def test_a_title_no_farther_from_its_text_than_lines_are_stands_alone() -> None:
    title = line("1. Interpretation", 100, 100, size=24)
    text = stack(prose("this clause is provided for demonstration purposes only", 3, 60), 100, 126)
    regions = [
        Region("paragraph_title", (100, 98, 320, 126)),
        Region("text", (100, 120, 900, 220)),
    ]
    first, *rest = blocks_of([title, *text], *regions)
    assert (first.label, first.text) == ("paragraph_title", "1. Interpretation")
    assert [block.label for block in rest] == ["text"]


def test_an_address_whose_first_line_was_taken_for_a_title_stays_together() -> None:
    lines = stack(["Mining Surveys Ltd.", "Holroyd Road", "Reading, Berks."], 100, 100)
    regions = [
        Region("paragraph_title", (100, 98, 330, 122)),
        Region("text", (100, 122, 330, 190)),
    ]
    assert len(blocks_of(lines, *regions)) == 1
