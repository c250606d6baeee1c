"""Running headers, footers and page numbers: only where they are shown, and never lost."""

from __future__ import annotations

import dataclasses

import pytest

from serve_app.api.finish import Finish, finish_of
from serve_app.document import Block, Line, Markdown, PageResult, PredictOptions
from serve_app.layout.compose import compose
from serve_app.layout.furniture import NO_EDGES, decide, edges_of, is_number, settle
from serve_app.layout.page import Region
from serve_app.settings import ModelSettings
from tests.layouts import HEIGHT, WIDTH, around, line, page_of, prose, stack


def result(lines: list[Line], *regions: Region, index: int = 0) -> PageResult:
    blocks = compose(page_of(lines, regions))
    texts = tuple(one.text for one in lines)
    return PageResult(index, WIDTH, HEIGHT, b"{}", texts, lines=tuple(lines), blocks=blocks)


def page(number: int, head: str = "Annual Report", foot: str | None = None) -> PageResult:
    body = stack(prose(f"words of page {number} run on", 10), 100, 200)
    ends = [line(head, 100, 40), line(foot or str(number), 480, 1350)]
    return result([*ends, *body], index=number - 1)


def left_out(pages: list[PageResult]) -> list[list[str]]:
    chosen = decide([edges_of(one) for one in pages])
    return [
        sorted(one.lines[index].text for index in lines)
        for one, lines in zip(pages, chosen, strict=True)
    ]


def test_the_same_line_in_the_same_place_is_a_running_header() -> None:
    assert left_out([page(number) for number in (1, 2, 3)]) == [
        ["1", "Annual Report"],
        ["2", "Annual Report"],
        ["3", "Annual Report"],
    ]


def test_one_page_has_no_running_header_but_may_have_a_number() -> None:
    assert left_out([page(7)]) == [["7"]]


def test_what_a_model_calls_a_header_stays_on_a_single_page() -> None:
    lines = [line("What follows is all there is", 100, 40)]
    settled = settle(result(lines, Region("header", around(lines))), frozenset())
    assert [block.label for block in settled.blocks] == ["text"]


def test_a_large_line_that_a_model_calls_a_header_becomes_a_heading() -> None:
    head = line("The Title", 100, 40, 40)
    body = stack(prose("words of the page run on", 10), 100, 200)
    settled = settle(result([head, *body], Region("header", head.box)), frozenset())
    assert (settled.blocks[0].label, settled.blocks[0].level) == ("paragraph_title", 2)


def test_page_numbers_in_words_are_the_same_line() -> None:
    pages = [page(number, foot=f"Page {number} of 3") for number in (1, 2, 3)]
    assert [lines[1] for lines in left_out(pages)] == ["Page 1 of 3", "Page 2 of 3", "Page 3 of 3"]


def test_misread_letters_do_not_hide_a_running_header() -> None:
    heads = [
        "Optimized Table Tokenization",
        "Optimlzed Table Tokenization",
        "Optimized Table Tokenizatian",
    ]
    pages = [page(number + 1, head) for number, head in enumerate(heads)]
    assert all(head in lines for head, lines in zip(heads, left_out(pages), strict=True))


def test_left_and_right_pages_may_have_headers_of_their_own() -> None:
    heads = ["The Book", "Chapter One"] * 3
    pages = [page(number + 1, head) for number, head in enumerate(heads)]
    assert all(head in lines for head, lines in zip(heads, left_out(pages), strict=True))


def test_the_title_on_the_first_page_is_no_header_of_the_others() -> None:
    first = result(
        [line("Annual Report", 100, 150, 44), *stack(prose("words run on", 10), 100, 300)]
    )
    assert left_out([first, page(2), page(3)])[0] == []


def test_other_lines_in_the_same_place_are_no_header() -> None:
    pages = [
        page(number, head) for number, head in ((1, "Apples"), (2, "Shipping costs"), (3, "Zebra"))
    ]
    assert left_out(pages) == [["1"], ["2"], ["3"]]


def test_text_below_a_line_that_differs_is_not_reached() -> None:
    """From the edge inwards: what repeats below something else is text."""
    pages = []
    for number, head in ((1, "Apples"), (2, "Shipping costs"), (3, "Zebra")):
        one = page(number, head)
        again = line("The same sentence", 100, 90)
        pages.append(result([*one.lines, again], index=number - 1))
    assert left_out(pages) == [["1"], ["2"], ["3"]]


def test_pages_that_are_all_alike_are_left_alone() -> None:
    pages = [result(stack(["This is page 1", "The quick brown fox"], 100, 40)) for _ in range(3)]
    assert left_out(pages) == [[], [], []]


def test_numbers_on_an_axis_are_no_page_numbers() -> None:
    marks = stack(["600", "500", "400", "300", "200", "100", "0"], 40, 30, leading=9)
    assert left_out([result([*marks, *stack(prose("words run on", 5), 200, 300)])]) == [[]]


def test_a_number_close_to_the_text_is_text() -> None:
    lines = [line("12", 100, 40), *stack(prose("words run on", 10), 100, 64)]
    assert left_out([result(lines)]) == [[]]


def test_a_failed_page_between_does_not_matter() -> None:
    pages = [edges_of(page(1)), NO_EDGES, edges_of(page(3))]
    assert [len(lines) for lines in decide(pages)] == [2, 0, 2]


def test_a_header_within_a_block_is_cut_off() -> None:
    lines = [line("Annual Report", 100, 40), *stack(prose("words run on", 4), 100, 64)]
    one = result(lines)
    block = Block("text", around(lines), tuple(range(5)), " ".join(line.text for line in lines))
    settled = settle(dataclasses.replace(one, blocks=(block,)), {0})
    assert [block.label for block in settled.blocks] == ["header", "text"]
    assert [block.lines for block in settled.blocks] == [(0,), (1, 2, 3, 4)]
    assert settled.blocks[1].text.startswith("Words run on")


@pytest.mark.parametrize(
    "text", ["7", "- 7 -", "Page 7", "page 7 of 9", "7/9", "Seite 7", "xiv", "第7页", "78|"]
)
def test_page_numbers(text: str) -> None:
    assert is_number(text)


@pytest.mark.parametrize("text", ["7.50", "12345", "Chapter 7", "7 apples", "", "mild words"])
def test_what_is_no_page_number(text: str) -> None:
    assert not is_number(text)


# ---- finishing -----------------------------------------------------------------------------


def test_a_finished_page_leaves_furniture_out_and_lists_it() -> None:
    finish = Finish()
    finished = finish.page(page(1), {0, 1})
    assert finished.markdown is not None
    assert "Annual Report" not in finished.markdown.text
    assert sorted(block.text for block in finish.furniture_of(finished)) == ["1", "Annual Report"]


def test_furniture_is_kept_if_asked_for() -> None:
    finish = Finish(furniture="keep")
    finished = finish.page(page(1), {0, 1})
    assert finished.markdown is not None
    assert finished.markdown.text.startswith("Annual Report\n\n")
    assert finish.furniture_of(finished) == []


def test_given_labels_are_left_out_and_no_others() -> None:
    """PaddleX's markdownIgnoreLabels, whatever is furniture."""
    head = line("Head", 100, 40)
    body = stack(prose("words run on", 10), 100, 200)
    one = result([head, *body, line("7", 480, 1350)], Region("header", head.box))
    ignored = Finish(ignored=("header",)).page(one, {0}).markdown
    kept = Finish(ignored=()).page(one, {0}).markdown
    assert ignored is not None
    assert kept is not None
    assert ignored.text.startswith("Words")
    assert ignored.text.endswith("\n\n7")
    assert kept.text.startswith("Head\n\nWords")


def test_a_page_without_blocks_stays_as_its_engine_made_it() -> None:
    theirs = Markdown("# theirs", {}, True, True)
    one = PageResult(0, 10, 10, b"{}", ("a",), theirs)
    assert Finish().page(one, {0}) is one


def test_labels_come_from_the_request_or_from_the_model() -> None:
    model = ModelSettings(pipeline="PP-StructureV3", options={"markdown_ignore_labels": ["number"]})
    plain = ModelSettings(pipeline="PP-StructureV3")
    asked = PredictOptions({"markdown_ignore_labels": ["header"]}, prettify_markdown=False)
    assert finish_of(asked, model) == Finish(ignored=("header",), pretty=False)
    assert finish_of(PredictOptions(), model).ignored == ("number",)
    assert finish_of(PredictOptions(), plain).ignored is None


def test_page_numbers_below_a_wide_margin() -> None:
    pages = []
    for number in (1, 2, 3):
        body = stack(prose(f"{'abc'[number - 1]} words run on", 30), 100, 300)
        pages.append(result([*body, line(str(number), 480, 1130)], index=number - 1))
    assert left_out(pages) == [["1"], ["2"], ["3"]]
