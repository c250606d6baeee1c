from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.document import Block
from serve_app.formats.chunks import MIN_CHARS, ChunksWriter
from serve_app.formats.sentences import cut, sentences
from tests import block_pages
from tests.block_pages import HEIGHT, HOSTILE, WIDTH, block, page, written

SENTENCE = "This is one sentence of some fifty characters ok."


def answer(*pages: block_pages.Page, max_chars: int = 200, overlap: int = 0) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(
        written(ChunksWriter(max_chars, overlap), *pages, notices=["n"])
    )
    assert list(whole) == ["document", "chunks", "pages", "notices"]
    return whole


def chunks(
    *pages: block_pages.Page, max_chars: int = 200, overlap: int = 0
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer(*pages, max_chars=max_chars, overlap=overlap)["chunks"]
    return found


def heading(text: str, level: int = 2) -> tuple[Block, str]:
    return block(text, "paragraph_title", level=level)


def test_short_paragraphs_share_a_chunk_that_says_where_they_stand() -> None:
    (chunk,) = chunks(page(block("One."), block("Two.")))
    assert chunk == {
        "id": chunk["id"],
        "kind": "text",
        "text": "One.\n\nTwo.",
        "heading_path": [],
        "pages": [1],
        "boxes": [
            {"page": 1, "box": [20.5, 10.0, 500.0, 30.0]},
            {"page": 1, "box": [20.5, 50.0, 500.0, 70.0]},
        ],
    }


def test_a_paragraph_that_fits_is_not_cut() -> None:
    paragraph = " ".join([SENTENCE] * 3)
    found = chunks(page(block(paragraph), block(paragraph)))
    assert [chunk["text"] for chunk in found] == [paragraph, paragraph]


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    found = chunks(page(block(" ".join([SENTENCE] * 10))))
    assert [chunk["text"] for chunk in found] == [" ".join([SENTENCE] * 4)] * 2 + [
        " ".join([SENTENCE] * 2)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Dr. A. Smith paid 3.5 m. Then he left. ok",
            ["Dr. A. Smith paid 3.5 m. Then he left. ok"],
        ),
        ("He paid. Then he left.", ["He paid. ", "Then he left."]),
        ("See Fig. 3 and No. 5! Now?", ["See Fig. 3 and No. 5! ", "Now?"]),
        ("他走了。她来了！好", ["他走了。", "她来了！", "好"]),
        ("“Stop.” He did.", ["“Stop.” ", "He did."]),
        ("a line\nanother", ["a line\n", "another"]),
        ("كيف حالك؟ بخير", ["كيف حالك؟ ", "بخير"]),
    ],
)
def test_where_sentences_end(text: str, expected: list[str]) -> None:
    assert list(sentences(text)) == expected


def test_sections_are_not_mixed_and_know_their_headings() -> None:
    found = chunks(
        page(
            block("Title", "doc_title", level=1),
            heading("A"),
            block("Text of A."),
            heading("B"),
            block("Text of B."),
            heading("B1", 3),
            block("Text of B1."),
            heading("C"),
        )
    )
    assert [(chunk["heading_path"], chunk["text"]) for chunk in found] == [
        (["Title", "A"], "Title\n\nA\n\nText of A."),
        (["Title", "B"], "B\n\nText of B."),
        (["Title", "B", "B1"], "B1\n\nText of B1."),
        (["Title", "C"], "C"),
    ]
    assert [chunk["kind"] for chunk in found] == ["text", "text", "text", "heading"]


def test_a_paragraph_that_runs_over_the_page_is_one() -> None:
    first = page(block("It begins here and"), index=0, ends=False)
    second = page(block("ends there."), block("Another."), index=1, starts=False)
    (chunk,) = chunks(first, second)
    assert chunk["text"] == "It begins here and ends there.\n\nAnother."
    assert chunk["pages"] == [1, 2]
    assert [place["page"] for place in chunk["boxes"]] == [1, 2, 2]


def test_a_table_is_a_chunk_of_its_own_below_its_heading() -> None:
    before, table, after = chunks(
        page(block("Before."), heading("T"), block(block_pages.TABLE, "table"), block("After."))
    )
    assert (before["kind"], table["kind"], after["kind"]) == ("text", "table", "text")
    assert table["text"] == "T\n\nName | Size\nOak | 12 | m & more\n3 4 | a<b and c>d"
    assert '<td rowspan="2" dir="auto">Oak</td>' in table["html"]
    assert after["heading_path"] == ["T"]


def test_a_long_table_is_cut_between_rows_and_repeats_its_head() -> None:
    rows = "".join(f"<tr><td>row {number}</td><td>{'x' * 30}</td></tr>" for number in range(20))
    found = chunks(page(block(f"<table><tr><th>A</th><th>B</th></tr>{rows}</table>", "table")))
    assert len(found) > 3
    assert all(
        chunk["text"].startswith("A | B\nrow ") and len(chunk["text"]) <= 200 for chunk in found
    )
    assert all("html" not in chunk for chunk in found)
    told = [line for chunk in found for line in chunk["text"].split("\n")[1:]]
    assert told == [f"row {number} | {'x' * 30}" for number in range(20)]


def test_overlap_repeats_whole_sentences_within_a_section_only() -> None:
    text = " ".join(f"Sentence number {number:03} of this long text." for number in range(12))
    found = chunks(page(heading("A"), block(text), heading("B"), block("End.")), overlap=50)
    assert len(found) == 4
    for one, other in itertools.pairwise(found[:3]):
        repeated = other["text"].split(". ")[0] + "."
        assert one["text"].endswith(f" {repeated}")
        assert len(other["text"]) <= 200
    assert found[3]["text"] == "B\n\nEnd."


def test_ids_stay_the_same_when_something_else_changes() -> None:
    one = chunks(page(heading("A"), block("Same."), heading("B"), block("Old.")))
    other = chunks(page(heading("A"), block("Same."), heading("B"), block("New.")))
    assert one[0]["id"] == other[0]["id"]
    assert one[1]["id"] != other[1]["id"]


def test_ids_are_unique_where_texts_are_not() -> None:
    found = chunks(page(*[heading("A"), block("Same.")] * 3))
    assert len({chunk["id"] for chunk in found}) == 3


def test_pages_have_their_sizes_and_failures() -> None:
    whole = answer(
        page(block("x"), ends=False), block_pages.failed(1), page(block("y"), index=2, starts=False)
    )
    assert whole["pages"] == [
        {"page": 1, "width": WIDTH, "height": HEIGHT},
        {"page": 2, "error": {"code": "engine_crashed", "message": "signal 11 <b>--></b>"}},
        {"page": 3, "width": WIDTH, "height": HEIGHT},
    ]
    assert [chunk["text"] for chunk in whole["chunks"]] == ["x", "y"]
    assert whole["notices"] == ["n"]


@pytest.mark.parametrize("label", ["text", "paragraph_title", "algorithm", "image"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_told_whole_within_the_limit(name: str, label: str) -> None:
    text = HOSTILE[name]
    found = chunks(page(block(text, label), block("after")))
    assert all(0 < len(chunk["text"]) <= 200 for chunk in found)
    told = "".join("".join(chunk["text"].split()) for chunk in found)
    expected = "".join(f"{text} after".encode("utf-8", "replace").decode().split())
    assert told == expected


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["text", "paragraph_title", "algorithm", "formula"]),
            st.text(max_size=900),
        ),
        max_size=12,
    ),
    st.integers(MIN_CHARS, 300),
)
def test_no_text_is_lost_or_doubled(blocks: list[tuple[str, str]], max_chars: int) -> None:
    found = chunks(page(*(block(text, label) for label, text in blocks)), max_chars=max_chars)
    assert all(0 < len(chunk["text"]) <= max_chars for chunk in found)
    told = "".join("".join(chunk["text"].split()) for chunk in found)
    assert told == "".join("".join(text.split()) for _, text in blocks)


@given(st.text(), st.integers(1, 50))
def test_cutting_loses_nothing(text: str, limit: int) -> None:
    assert "".join(cut(text, limit)) == text
    assert all(0 < len(part) <= limit for part in cut(text, limit))
    assert "".join(sentences(text)) == text
