from __future__ import annotations

import time

import pytest

from serve_app.formats.tables import Cell, Table, read_table
from tests.block_pages import HOSTILE, TABLE


def read(markup: str) -> Table:
    table = read_table(markup)
    assert table is not None
    return table


def test_spans_are_placed_as_browsers_do() -> None:
    table = read(TABLE)
    assert table.width == 3
    assert table.header_rows == 1
    assert [
        [(cell.row, cell.column, cell.rows, cell.columns) for cell in row] for row in table.rows
    ] == [
        [(0, 0, 1, 1), (0, 1, 1, 2)],
        [(1, 0, 2, 1), (1, 1, 1, 1), (1, 2, 1, 1)],
        [(2, 1, 1, 1), (2, 2, 1, 1)],
    ]


def test_texts_keep_what_only_looks_like_markup() -> None:
    assert list(read(TABLE).lines()) == ["Name | Size", "Oak | 12 | m & more", "3 4 | a<b and c>d"]


def test_tags_that_no_model_writes_are_text_of_the_page() -> None:
    table = read("<tr><td>The tag <u> and <img src=x></td><th>b<sup>2</sup><div>c</div></th></tr>")
    assert [cell.text for cell in table.rows[0]] == ["The tag <u> and <img src=x>", "b2\nc"]


@pytest.mark.parametrize(
    "text", ["", "a < b", "<b>bold</b>", "<table></table>", "<table><tr></tr></table>"]
)
def test_without_a_cell_there_is_no_table(text: str) -> None:
    assert read_table(text) is None


def test_missing_end_tags_and_text_between_cells_lose_nothing() -> None:
    table = read("<table>before<tr><td>a<td>b<tr>between<td>c</table>after")
    texts = [cell.text for row in table.rows for cell in row]
    assert texts == ["before", "a", "b", "between", "c", "after"]


@pytest.mark.parametrize("span", ["0", "-3", "x", "", "1e3"])
def test_a_senseless_span_is_one_or_its_digits(span: str) -> None:
    assert read(f"<tr><td colspan='{span}'>a<td>b").rows[0][0].columns == 1


def test_a_span_ends_with_the_table() -> None:
    table = read("<tr><td rowspan=9>a<td>b<tr><td>c")
    assert table.rows[0][0].rows == 2


def test_overlapping_cells_are_cut() -> None:
    table = read("<tr><td>a<td rowspan=2>b<tr><td colspan=3>c<td>d")
    assert table.rows[1] == (Cell("c", 1, 0, 1, 1), Cell("d", 1, 2, 1, 1))


def test_absurd_spans_are_dropped_and_the_text_is_kept() -> None:
    table = read("<tr>" + "<td rowspan=60000 colspan=99999>x" * 300)
    assert (table.width, {cell.text for cell in table.rows[0]}) == (300, {"x"})


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_in_a_cell_comes_back_as_text(name: str) -> None:
    import html

    table = read(f"<tr><td>{html.escape(HOSTILE[name])}</td></tr>")
    expected = html.unescape(html.escape(HOSTILE[name])).strip()
    assert table.rows[0][0].text == expected


@pytest.mark.parametrize(
    "piece",
    [
        "<td ",
        "</td ",
        "</",
        "<p ",
        "<td a='",
        "&#",
        "<td/",
        "<!--",
        "<![CDATA[",
        "<",
        "<td rowspan=",
    ],
)
def test_no_text_takes_more_than_linear_time(piece: str) -> None:
    started = time.process_time()
    read("<tr><td>" + piece * 20_000)
    assert time.process_time() - started < 3
