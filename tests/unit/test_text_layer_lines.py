"""Lines out of the characters of real PDFs, as they stand on the page."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from serve_app.documents.text_layer.values import LayerLine, Pixels
from tests.documents import _stream
from tests.layer_documents import layer_of, page_pdf, rendered, text, texts_of

HEBREW = {"a": "א", "b": "ב", "c": "ג", "d": "ד", " ": " "}


def ink_box(pixels: Pixels) -> tuple[int, int, int, int]:
    rows, columns = np.where(pixels.min(axis=2) < 128)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def assert_around(line: LayerLine, pixels: Pixels) -> None:
    """The line's box holds all the ink, and not much more."""
    left, top, right, bottom = ink_box(pixels)
    assert line.box[0] - 2 <= left <= line.box[0] + 8
    assert line.box[1] - 2 <= top <= line.box[1] + 8
    assert right - 2 <= line.box[2] <= right + 8
    assert bottom - 2 <= line.box[3] <= bottom + 8


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize(
    ("boxes", "at"),
    [
        ({}, (60, 120)),
        ({"media": (0, 0, 400, 300)}, (60, 120)),
        ({"media": (-50, -70, 600, 800)}, (10, 50)),
        ({"media": (1000, 2000, 1600, 2800)}, (1060, 2120)),
        ({"media": (-50, -70, 600, 800), "crop": (100, 150, 450, 700)}, (160, 270)),
        ({"crop": (100.5, 99.25, 450.75, 700)}, (160, 220)),
        # Larger than the MediaBox: what is in both counts.
        ({"crop": (-100, -100, 2000, 2000)}, (60, 120)),
        ({"extra": b"/UserUnit 2"}, (60, 120)),
    ],
)
def test_a_line_is_where_its_ink_is(
    rotate: int, boxes: dict[str, Any], at: tuple[float, float]
) -> None:
    data = page_pdf(text("Hxg place", *at, size=20), rotate=rotate, **boxes)
    [line] = layer_of(data).lines
    assert line.text == "Hxg place"
    assert line.angle == rotate
    assert_around(line, rendered(data))


@pytest.mark.parametrize(
    ("matrix", "angle"), [("0 1 -1 0", 270), ("0 -1 1 0", 90), ("-1 0 0 -1", 180)]
)
def test_turned_text_reads_along_its_own_direction(matrix: str, angle: int) -> None:
    data = page_pdf(b"BT /F1 20 Tf %s 300 400 Tm (turned words) Tj ET" % matrix.encode())
    [line] = layer_of(data).lines
    assert (line.text, line.angle) == ("turned words", angle)
    assert_around(line, rendered(data))


def test_slanted_text_is_one_line() -> None:
    data = page_pdf(b"BT /F1 12 Tf .866 .5 -.5 .866 300 300 Tm (slanted text here) Tj ET")
    [line] = layer_of(data).lines
    assert (line.text, line.angle) == ("slanted text here", 330)


def test_columns_are_lines_of_their_own() -> None:
    rows = [("left column", "right column"), ("more of it", "here as well")]
    content = b"".join(
        text(left, 100, 700 - 15 * i) + text(right, 300, 700 - 15 * i)
        for i, (left, right) in enumerate(rows)
    )
    assert sorted(texts_of(page_pdf(content))) == sorted(cell for row in rows for cell in row)


def test_cells_of_a_table_row_are_apart() -> None:
    content = b"".join(
        text(cell, 100 + 45 * i, 700) for i, cell in enumerate(["0.965", "0.934", "7"])
    )
    assert texts_of(page_pdf(content)) == ["0.965", "0.934", "7"]


# Helvetica, 12 points: a number of five characters is 30 points wide.
WIDE, NARROW = 45, 38.5


def table_row(number: int, *gaps: float, y: float) -> tuple[bytes, list[str]]:
    """Cells of three letters more than a narrow table's; the last two may be near."""
    cells = [f"0.{number}{column}5" for column in range(len(gaps) + 1)]
    places = [100 + sum(gaps[:column]) for column in range(len(cells))]
    return b"".join(map(text, cells, places, [y] * len(cells))), cells


@pytest.mark.parametrize("tight", [0, 1, 2])
def test_near_cells_are_apart_where_the_rows_beside_them_are(tight: int) -> None:
    rows = []
    for number in range(3):
        last = NARROW if number == tight else WIDE
        rows.append(table_row(number, WIDE, WIDE, WIDE, last, y=700 - 15 * number))
    content = b"".join(content for content, _ in rows)
    assert texts_of(page_pdf(content)) == [cell for _, cells in rows for cell in cells]


def test_cells_that_stand_between_the_lines_of_others_are_apart() -> None:
    """The first column's cells are in the middle of their rows' height."""
    content = b""
    for number, middle in enumerate((700, 640)):
        for line in range(3):
            content += text(f"much {number}{line}", 134, middle + 15 - 15 * line)
        content += text(f"No {number}", 100, middle - 7)
    content += text("No 2", 100, 595) + text("none", 134, 595)
    found = texts_of(page_pdf(content))
    assert found[-2:] == ["No 2", "none"]
    assert len(found) == 10


def test_wide_spaces_below_a_table_stay_in_their_line() -> None:
    """The next line of the text does not have the same white space."""
    row, cells = table_row(1, WIDE, WIDE, WIDE, y=700)
    words = ["words", "which", "stand", "apart", "again", "today"]
    stretched = b"".join(text(word, 100 + 41 * i, 685) for i, word in enumerate(words))
    rest = text("and go on in a line of their own", 100, 670)
    assert texts_of(page_pdf(row + stretched + rest)) == [
        *cells,
        " ".join(words),
        "and go on in a line of their own",
    ]


def test_a_word_that_was_written_later_comes_to_its_place() -> None:
    content = text("This is a", 100, 700) + text("word here", 179, 700) + text("below", 100, 685)
    assert texts_of(page_pdf(content + text("bold", 151, 700))) == [
        "This is a bold word here",
        "below",
    ]


@pytest.mark.parametrize("spacing", [3, 5, 8])
def test_letter_spaced_words_stay_words(spacing: int) -> None:
    content = b"BT /F1 12 Tf %d Tc 80 700 Td (SPACED TITLE) Tj ET" % spacing
    assert texts_of(page_pdf(content)) == ["SPACED TITLE"]


def test_a_formula_keeps_the_spaces_between_its_signs() -> None:
    signs = b" ".join(b"(%s) -300" % sign for sign in (b"2", b"+", b"8", b"=", b"12"))
    assert texts_of(page_pdf(b"BT /F1 12 Tf 100 700 Td [%s] TJ ET" % signs)) == ["2 + 8 = 12"]


def test_letters_drawn_one_by_one_are_words() -> None:
    content = b"BT /F1 12 Tf 100 700 Td [(W) 80 (o) -20 (r) 10 (d) -300 (t) 5 (wo)] TJ ET"
    assert texts_of(page_pdf(content)) == ["Word two"]


@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.3, 0.0), (1.0, -1.0)])
def test_text_drawn_twice_is_there_once(offset: tuple[float, float]) -> None:
    right, up = offset
    content = text("little llama - office", 100, 700, size=20)
    again = text("little llama - office", 100 + right, 700 + up, size=20)
    assert texts_of(page_pdf(content + again)) == ["little llama - office"]


@pytest.mark.parametrize("times", [2, 3, 9])
def test_text_drawn_many_times_is_seen(times: int) -> None:
    """PDFium leaves the repeats out of the text; they are drawn all the same."""
    shadow = b"".join(text("shadow", 100 + 0.2 * i, 700, size=20) for i in range(times))
    layer = layer_of(page_pdf(shadow + text("and more", 100, 600)))
    assert [line.text for line in layer.lines] == ["shadow", "and more"]
    assert layer.rest is None


def test_the_letters_of_a_ligature_are_all_there() -> None:
    ligatures = {"1": "ffi", "2": "ff", "3": "\ufb01"}
    content = text("o", 100, 700) + text("1", 106.7, 700, font="L") + text("ce sta", 113.4, 700)
    content += text("2", 148, 700, font="L") + text(" ", 155, 700) + text("3", 158, 700, font="L")
    [line] = texts_of(page_pdf(content, maps={"L": ligatures}))
    assert line.replace(" ", "") == "officestafffi"


def test_a_hyphen_at_the_end_of_a_line_is_a_hyphen() -> None:
    content = text("a broken exam-", 100, 700) + text("ple of words", 100, 685)
    assert texts_of(page_pdf(content)) == ["a broken exam-", "ple of words"]


def test_hebrew_is_in_logical_order() -> None:
    content = text("dcba ab", 100, 700, font="H")
    assert texts_of(page_pdf(content, maps={"H": HEBREW})) == ["בא אבגד"]


def test_numbers_and_words_keep_their_direction_within_hebrew() -> None:
    content = (
        text("123.5", 100, 700) + text(" dcba ", 131, 700, font="H") + text("two words", 167, 700)
    )
    content += text(" ba", 221.2, 700, font="H")
    assert texts_of(page_pdf(content, maps={"H": HEBREW})) == ["אב two words אבגד 123.5"]


def test_two_letters_of_one_glyph_keep_their_order_in_arabic() -> None:
    """Lam-alef, which PDFium turns round."""
    arabic = {"a": "\u0633", "b": "\u0644\u0627", "c": "\u0645"}
    content = text("cba", 100, 700, font="A")
    assert texts_of(page_pdf(content, maps={"A": arabic})) == ["\u0633\u0644\u0627\u0645"]


def test_arabic_presentation_forms_become_letters() -> None:
    arabic = {"a": "\ufeb3", "b": "\ufefc", "c": "\ufee1"}
    content = text("cba", 100, 700, font="A")
    assert texts_of(page_pdf(content, maps={"A": arabic})) == ["\u0633\u0644\u0627\u0645"]


def test_a_mark_stays_with_its_letter() -> None:
    marks = {"a": "a", "b": "\u0323", "c": "c"}
    content = text("a", 100, 700, font="M") + text("c", 107, 700, font="M")
    content += text("b", 100, 698, font="M")
    [line] = texts_of(page_pdf(content, maps={"M": marks}))
    assert line == "a\u0323c"


def test_characters_beyond_the_basic_plane_are_one_each() -> None:
    content = text("ab", 100, 700, font="S")
    assert texts_of(page_pdf(content, maps={"S": {"a": "\U0001d400", "b": "𠮷"}})) == [
        "\U0001d400𠮷"
    ]


def test_what_is_outside_of_the_page_or_has_no_size_is_not_there() -> None:
    content = text("outside", -200, 700) + text("above", 100, 900) + text("seen", 100, 700)
    assert texts_of(page_pdf(content + text("tiny", 100, 600, size=0.8))) == ["seen"]


def test_text_in_a_form_is_found() -> None:
    form = _stream(
        text("in a form", 100, 700),
        b"/Type/XObject/Subtype/Form/BBox[0 0 595 842]/Resources<</Font<</F1 5 0 R>>>>",
    )
    pdf = page_pdf(b"/Fx Do", resources=b"/XObject<</Fx 20 0 R>>", objects=(form,))
    assert texts_of(pdf) == ["in a form"]


def test_bullets_of_symbol_fonts_are_bullets() -> None:
    content = text("x", 100, 700, font="W") + text("first point", 112, 700)
    [line] = texts_of(page_pdf(content, maps={"W": {"x": "\uf0b7"}}))
    assert line == "• first point"


def test_a_page_of_a_hundred_thousand_characters_is_left_to_the_recogniser_at_once() -> None:
    content = b"".join(text("x" * 1000, 10, 800 - 7 * i, size=1) for i in range(100))
    started = time.process_time()
    layer = layer_of(page_pdf(content))
    assert time.process_time() - started < 10
    assert layer.lines == ()
    [why] = layer.distrusted
    assert why.font is None
    assert "more than 50000" in why.why
