"""Word documents, read back with python-docx."""

from __future__ import annotations

import io
import re
from typing import Any

import docx
import pytest
from docx.oxml.ns import qn

from serve_app.document import FailedPage
from serve_app.formats.pieces import EVERYTHING, Selection
from serve_app.formats.word import WordDocument
from tests import block_pages
from tests.block_pages import HOSTILE, block, page


def written(*pages: block_pages.Page, selection: Selection = EVERYTHING) -> Any:
    made = WordDocument("a <name>.pdf", selection)
    for one in pages:
        if isinstance(one, FailedPage):
            made.failed(one.index, f"{one.error.code}: {one.error}")
        else:
            made.add(one)
    return docx.Document(io.BytesIO(made.save(["a notice & <more>"])))


def paragraphs(document: Any) -> list[tuple[str, str]]:
    return [(p.style.name, p.text) for p in document.paragraphs if p.text]


def test_a_page_with_all_kinds_of_blocks() -> None:
    document = written(block_pages.everything())
    assert paragraphs(document) == [
        ("Heading 1", "A Title"),
        ("Normal", "First sentence. Second one, which is\nmuch longer."),
        ("Heading 2", "Section"),
        ("List Bullet", "one"),
        ("List Bullet", "two"),
        ("Normal", "1. first"),
        ("Normal", "2. second"),
        ("Normal", "Label in the picture"),
        ("Normal", "E = mc^2"),
        ("Code", "if a < b:\n    return"),
        ("Normal", "Figure 1: a tree"),
        ("Intense Quote", "a notice & <more>"),
    ]
    assert document.core_properties.title == "a <name>.pdf"


def test_spans_of_tables_survive() -> None:
    (table,) = written(block_pages.everything()).tables
    # A cell is told for each slot that it covers.
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["Name", "Size", "Size"],
        ["Oak", "12", "m & more"],
        ["Oak", "3\n4", "a<b and c>d"],
    ]
    assert table.cell(0, 1)._tc is table.cell(0, 2)._tc
    assert table.cell(1, 0)._tc is table.cell(2, 0)._tc
    header = table._tbl.tr_lst[0]
    assert header.find(f"{qn('w:trPr')}/{qn('w:tblHeader')}") is not None


def test_spans_in_both_directions_and_missing_cells() -> None:
    markup = "<table><tr><td rowspan=2 colspan=2>a<td>b</tr><tr><td>c</tr><tr><td>d</tr></table>"
    (table,) = written(page(block(markup, "table"))).tables
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["a", "a", "b"],
        ["a", "a", "c"],
        ["d", "", ""],
    ]


def test_a_table_that_word_cannot_open_is_text() -> None:
    markup = f"<table><tr>{'<td>x</td>' * 64}</tr></table>"
    document = written(page(block(markup, "table")))
    assert document.tables == []
    assert paragraphs(document)[0][1] == " | ".join(["x"] * 64)


def test_pictures_are_as_wide_as_on_the_page() -> None:
    document = written(block_pages.everything())
    (shape,) = document.inline_shapes
    section = document.sections[0]
    text_width = section.page_width - section.left_margin - section.right_margin
    assert shape.width / text_width == pytest.approx((500 - 20.5) / 600, rel=0.01)


def test_a_paragraph_that_runs_over_the_page_is_one() -> None:
    document = written(
        page(block("It begins here and"), ends=False),
        page(block("ends there."), block("Another."), index=1, starts=False),
    )
    assert [text for _, text in paragraphs(document)[:2]] == [
        "It begins here and ends there.",
        "Another.",
    ]


def test_a_failed_page_says_so_in_its_place() -> None:
    document = written(
        page(block("one"), ends=False),
        block_pages.failed(1),
        page(block("three"), index=2, starts=False),
    )
    assert paragraphs(document)[:3] == [
        ("Normal", "one"),
        ("Intense Quote", "Page 2 failed: engine_crashed: signal 11 <b>--></b>"),
        ("Normal", "three"),
    ]


def test_furniture_is_left_out_where_it_is_asked_for() -> None:
    one = page(block("Header", "header"), block("Text"))
    assert [t for _, t in paragraphs(written(one))] == ["Header", "Text", "a notice & <more>"]
    without = written(one, selection=Selection(frozenset({"header"})))
    assert [t for _, t in paragraphs(without)] == ["Text", "a notice & <more>"]


def test_right_to_left_paragraphs_are_marked() -> None:
    document = written(page(block("שלום עולם"), block("Hello שלום")))
    marked = [
        p._p.pPr is not None and p._p.pPr.find(qn("w:bidi")) is not None
        for p in document.paragraphs[:2]
    ]
    assert marked == [True, False]


@pytest.mark.parametrize("label", ["text", "paragraph_title", "table", "image", "algorithm"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_stays_text(name: str, label: str) -> None:
    text = HOSTILE[name]
    document = written(
        page(block(text, label, level=int(label == "paragraph_title")), block("after"))
    )
    told = "".join(t for _, t in paragraphs(document))
    assert "after" in told
    for word in re.findall(r"[a-z]{4,}", text):
        assert word in told
    if "\x00" in text:
        assert "\ufffd" in told
