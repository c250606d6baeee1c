"""Pictures that are text, pictures that are pictures, and tables against their lines."""

from __future__ import annotations

import time
from html.parser import HTMLParser

import pytest

from serve_app.document import Line
from serve_app.layout.markdown import Style
from serve_app.layout.page import Region
from serve_app.layout.tables import clean_table
from tests.layouts import HEIGHT, WIDTH, around, blocks_of, line, markdown_of, prose, stack

KEY = "imgs/img_in_image_box_0_0_1000_1400.jpg"

# ---- pictures ------------------------------------------------------------------------------


def picture(*box: float, label: str = "image") -> Region:
    left, top, right, bottom = box
    return Region(label, (left, top, right, bottom), image=KEY)


@pytest.mark.parametrize("label", ["image", "figure", "chart"])
def test_a_picture_full_of_text_is_text(label: str) -> None:
    lines = stack(prose("words of the page run on", 10), 100, 100)
    labels = [block.label for block in blocks_of(lines, picture(90, 90, 520, 360, label=label))]
    assert labels == ["text"]


def test_a_picture_that_is_the_page_is_text() -> None:
    lines = [line("Dear Ms. Rutschmann, we thank you", 100, 700), line("Yours", 100, 1000)]
    labels = {block.label for block in blocks_of(lines, picture(0, 0, WIDTH, HEIGHT))}
    assert labels == {"text"}


@pytest.mark.parametrize(
    ("words", "label"), [("Pia Rutschmann, Marktgasse 28", "text"), ("Umsatz 40 %", "image")]
)
def test_lines_scattered_over_a_picture_of_the_page_are_text_if_they_say_much(
    words: str, label: str
) -> None:
    """An invoice, whose parts begin in many places; and a chart with its labels."""
    lines = [
        line(words, 30 + 137 * (row * 7 % 5) + row * 11, 40 + row * 42, size=30)
        for row in range(30)
    ]
    labels = {block.label for block in blocks_of(lines, picture(0, 0, WIDTH, HEIGHT))}
    assert labels == {label}


def test_one_line_in_a_box_of_its_size_is_text() -> None:
    one = line("Cette ligne est une ligne", 100, 100)
    (block,) = blocks_of([one], picture(95, 95, 360, 125))
    assert (block.label, block.text) == ("text", "Cette ligne est une ligne")


def test_a_real_picture_has_its_lines_below_it() -> None:
    labels = [line("Axis", 200, 300), line("100", 150, 500)]
    below = stack(prose("words of the page run on", 5), 100, 900)
    text = markdown_of([*labels, *below], picture(100, 200, 800, 800))
    first, second, third = text.replace("\n\n\n", "\n\n").split("\n\n")
    assert f'<img src="{KEY}" alt="Image" width="70%" />' in first
    assert second == "Axis  \n100"
    assert third.startswith("Words of the page")


def test_text_of_pictures_is_left_out_if_asked_for() -> None:
    style = Style(picture_text=False)
    text = markdown_of([line("Axis", 200, 300)], picture(100, 200, 800, 800), style=style)
    assert "Axis" not in text
    assert KEY in text


def test_a_picture_without_text_stays() -> None:
    (block,) = blocks_of([], picture(0, 0, WIDTH, HEIGHT))
    assert (block.label, block.image) == ("image", KEY)


def test_what_a_chart_model_has_read_stays_beside_the_lines() -> None:
    chart = Region("chart", (100, 200, 800, 800), "year | sales\n2020 | 7", KEY)
    (block,) = blocks_of([line("Sales", 200, 300)], chart)
    assert block.text == "year | sales\n2020 | 7"
    (block,) = blocks_of([line("Source: us", 200, 300)], chart)
    assert block.text.endswith("\nSource: us")


def test_lines_in_a_formula_without_latex_are_text() -> None:
    formula = Region("formula", (100, 100, 400, 140), "", KEY)
    labels = [block.label for block in blocks_of([line("E = mc2", 110, 110)], formula)]
    assert sorted(labels) == ["formula", "text"]


# ---- tables --------------------------------------------------------------------------------

GRID = [["Name", "Age", "City"], ["Alice", "31", "London"], ["Bob", "4", "Leeds"]]


def grid_lines(cells: list[list[str]], left: float = 100, top: float = 100) -> list[Line]:
    return [
        line(text, left + column * 200, top + row * 30)
        for row, texts in enumerate(cells)
        for column, text in enumerate(texts)
        if text
    ]


def html_of(cells: list[list[str]]) -> str:
    rows = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in cells)
    return f"<html><body><table>{rows}</table></body></html>"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        self.rows[-1][-1] += data


def cells_of(html: str) -> list[list[str]]:
    reader = _Reader()
    reader.feed(html)
    return reader.rows


def table(lines: list[Line], html: str) -> Region:
    left, top, right, bottom = around(lines)
    return Region("table", (left - 10, top - 10, right + 10, bottom + 10), html, KEY)


def test_a_table_that_agrees_with_its_lines_stays_as_the_model_made_it() -> None:
    lines = grid_lines(GRID)
    html = html_of(GRID).replace("<tr>", "<thead><tr>", 1).replace("</tr>", "</tr></thead>", 1)
    (block,) = blocks_of(lines, table(lines, html))
    assert (block.text, block.image, len(block.lines)) == (html, None, 9)


def test_a_table_that_lost_a_cell_is_made_of_its_lines() -> None:
    lines = grid_lines(GRID)
    lost = [["Name", "Age", "City"], ["Alice", "31", ""], ["Bob", "4", "Leeds"]]
    (block,) = blocks_of(lines, table(lines, html_of(lost)))
    assert cells_of(block.text) == GRID


def test_a_table_with_cells_in_other_rows_than_they_stand_in_is_made_of_its_lines() -> None:
    lines = grid_lines(GRID)
    moved = [
        ["Name", "Age", "City"],
        ["Alice", "", ""],
        ["Bob", "31", "London"],
        ["", "4", "Leeds"],
    ]
    (block,) = blocks_of(lines, table(lines, html_of(moved)))
    assert cells_of(block.text) == GRID


def test_a_table_that_holds_a_line_from_outside_is_made_of_its_lines() -> None:
    lines = grid_lines(GRID)
    more = [["Name", "Table 1: People Age", "City"], *GRID[1:]]
    caption = line("Table 1: People", 100, 60)
    found = blocks_of([caption, *lines], table(lines, html_of(more)))
    assert [block.label for block in found] == ["text", "table"]
    assert cells_of(found[1].text) == GRID


def test_a_caption_in_the_box_of_a_table_is_no_cell() -> None:
    lines = [line("Table 1: Some People", 100, 70), *grid_lines(GRID)]
    found = blocks_of(lines, table(lines, html_of(GRID)))
    assert found[0].text == "Table 1: Some People"
    assert cells_of(found[1].text) == GRID


def test_cells_that_wrap_do_not_contradict_the_model() -> None:
    lines = [
        line("Item", 100, 100),
        line("Description", 300, 100),
        line("1", 100, 130),
        line("Garden work and", 300, 130),
        line("other things", 300, 152),
        line("2", 100, 190),
        line("Disposal", 300, 190),
    ]
    html = html_of(
        [["Item", "Description"], ["1", "Garden work and other things"], ["2", "Disposal"]]
    )
    (block,) = blocks_of(lines, table(lines, html))
    assert block.text == html


def test_a_table_without_structure_keeps_its_lines_as_text() -> None:
    lines = stack(prose("words that the model took for a table", 6), 100, 100)
    (block,) = blocks_of(lines, table(lines, ""))
    assert block.label == "text"


def test_a_cell_between_two_rows_reaches_over_both() -> None:
    lines = [
        line("6", 100, 112),
        line("OTSL", 300, 100),
        line("0.96", 500, 100),
        line("HTML", 300, 124),
        line("0.97", 500, 124),
        line("4", 100, 172),
        line("OTSL", 300, 160),
        line("0.94", 500, 160),
        line("HTML", 300, 184),
        line("0.95", 500, 184),
    ]
    (block,) = blocks_of(lines, table(lines, ""))
    assert block.text.count('rowspan="2"') == 2
    assert cells_of(block.text)[:2] == [["6", "OTSL", "0.96"], ["HTML", "0.97"]]


def test_a_price_list_without_a_box_is_a_table() -> None:
    cells = [
        ["Item", "Amount", "Total"],
        ["Garden work", "28", "3360.00"],
        ["Disposal", "1", "307.35"],
    ]
    (block,) = blocks_of(grid_lines(cells))
    assert (block.label, block.recovered) == ("table", True)
    assert cells_of(block.text) == cells


def test_lines_of_a_box_that_is_no_table_are_not_lost_in_one_around_it() -> None:
    """The inner one has them first; the outer one has to hold them when that is dropped."""
    lines = stack(prose("words that two boxes were drawn around", 6), 100, 100)
    inner = table(lines, "")
    left, top, right, bottom = inner.box
    outer = Region("table", (left - 50, top - 50, right + 50, bottom + 50), "", KEY)
    for regions in ([inner, outer], [outer, inner]):
        (block,) = [block for block in blocks_of(lines, *regions) if block.lines]
        assert block.text == " ".join(one.text for one in lines)


def test_formulas_in_a_frame_are_no_table() -> None:
    """Each has its own places: a grid of them is mostly empty."""
    lines = [
        line(f"x{row}{part}", 100 + 37 * row + 300 * part, 100 + 40 * row)
        for row in range(10)
        for part in range(2)
    ]
    found = blocks_of(lines, table(lines, ""))
    assert {block.label for block in found} == {"text"}
    assert sum(len(block.lines) for block in found) == len(lines)


def test_names_beside_each_other_are_no_table() -> None:
    cells = [["Ann", "Bob", "Cor"], ["Leeds", "York", "Bath"], ["North", "South", "East"]]
    assert "table" not in {block.label for block in blocks_of(grid_lines(cells))}


# ---- what a document wrote into its cells ------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "clean"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ('<a href="javascript:x">y</a>', '&lt;a href="javascript:x"&gt;y&lt;/a&gt;'),
        ("1 < 2 & 3", "1 &lt; 2 &amp; 3"),
        ("<b>bold</b>", "<b>bold</b>"),
        ("x<sup>2</sup>", "x<sup>2</sup>"),
        ("<b onclick=x>bold", "<b>bold</b>"),
        (
            '<div style="text-align: center;"><img src="imgs/a.jpg" alt="Image" /></div>',
            '<img src="imgs/a.jpg" alt="Image" />',
        ),
        ('<img src="http://evil.example/x.png">', '&lt;img src="http://evil.example/x.png"&gt;'),
        ("<!-- x -->", "&lt;!-- x --&gt;"),
        ("&lt;b&gt;", "&lt;b&gt;"),
        ("a<b and c>d", "a&lt;b and c&gt;d"),
        ("1<br>2<br/>3", "1<br>2<br>3"),
        ("<b><i>both</b> one</i>", "<b><i>both one</i></b>"),
        ("<u>said</u> by <img src='x'>", "&lt;u&gt;said&lt;/u&gt; by &lt;img src='x'&gt;"),
    ],
)
def test_cells_are_cleaned(cell: str, clean: str) -> None:
    html = f"<html><body><table><tr><td>{cell}</td></tr></table></body></html>"
    assert clean_table(html, pretty=False) == f"<table><tr><td>{clean}</td></tr></table>"


def test_spans_survive_and_absurd_ones_do_not() -> None:
    html = '<table><tr><td rowspan="2" colspan="3">a</td><td colspan="x">b</td></tr></table>'
    assert clean_table(html, pretty=False) == (
        '<table><tr><td rowspan="2" colspan="3">a</td><td>b</td></tr></table>'
    )


def test_pretty_tables_have_the_form_of_paddlex() -> None:
    assert clean_table(html_of([["1"]]), pretty=True) == (
        '<div style="text-align: center;"><html><body><table border="1"><tr><td>1</td></tr>'
        "</table></body></html></div>\n"
    )


@pytest.mark.parametrize("piece", ["<td ", "<", "<!--", "</", "<td a='>", "<!x>", "<![CDATA["])
def test_no_table_takes_long(piece: str) -> None:
    """It was 7 s for one of these: each sign was compared with all of the rest."""
    started = time.process_time()
    clean_table("<table><tr><td>" + piece * 8_000, pretty=True)
    assert time.process_time() - started < 2
