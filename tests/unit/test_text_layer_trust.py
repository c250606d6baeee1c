"""What of a text layer is believed without a recogniser, and what is left for it to read."""

from __future__ import annotations

import numpy as np
import pytest

from serve_app.documents.text_layer.residue import text_like
from tests.layer_documents import grey_picture, layer_of, page_pdf, rendered, text, texts_of

SEEN = text("plain to see", 100, 700)
PICTURE = {"resources": b"/XObject<</I 20 0 R>>", "objects": (grey_picture(),)}
GHOST = b"/ExtGState<</G 20 0 R>>"


@pytest.mark.parametrize(
    ("how", "content", "more"),
    [
        ("mode 3", b"BT 3 Tr /F1 12 Tf 100 600 Td (says something else) Tj ET", {}),
        ("white on white", b"1 g " + text("says something else", 100, 600), {}),
        ("almost white", b"0.99 g " + text("says something else", 100, 600), {}),
        (
            "below a picture",
            text("says something else", 100, 600) + b"q 200 0 0 40 90 590 cm /I Do Q",
            PICTURE,
        ),
        (
            "the colour of the picture below",
            b"q 200 0 0 40 90 590 cm /I Do Q 0.784 g " + text("says something else", 100, 600),
            PICTURE,
        ),
        ("below an area", text("says something else", 100, 600) + b"0.5 g 90 590 200 30 re f", {}),
        ("clipped", b"q 0 0 10 10 re W n " + text("says something else", 100, 600) + b"Q", {}),
        (
            "transparent",
            b"/G gs " + text("says something else", 100, 600),
            {"resources": GHOST, "objects": (b"<</Type/ExtGState/ca 0/CA 0>>",)},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_text_that_cannot_be_seen_is_left_out(
    how: str, content: bytes, more: dict[str, object]
) -> None:
    layer = layer_of(page_pdf(SEEN + content, **more))  # type: ignore[arg-type]
    assert [line.text for line in layer.lines] == ["plain to see"]
    assert layer.total == 2
    assert any("not to be seen" in one.why for one in layer.distrusted)


def test_an_invisible_layer_below_the_same_visible_words_is_not_seen_for_them() -> None:
    layer = layer_of(page_pdf(SEEN + b"BT 3 Tr /F1 12 Tf 100 700 Td (something else) Tj ET"))
    assert [line.text for line in layer.lines] == ["plain to see"]


def test_a_line_that_is_clipped_ends_where_it_is_clipped() -> None:
    content = b"q 100 600 60 100 re W n " + text("clipped at the end of it", 100, 650) + b"Q"
    [line] = texts_of(page_pdf(content))
    assert "clipped at the end".startswith(line)
    assert "clipped" in line


def test_hidden_words_within_a_line_are_left_out() -> None:
    content = text("first words", 100, 700) + b"1 g " + text("secret", 163, 700)
    content += b"0 g " + text("and the last words", 202, 700)
    assert texts_of(page_pdf(content)) == ["first words", "and the last words"]


@pytest.mark.parametrize("nonsense", ["\ue001", "\ufffd", "\x07", "\U000e1000", "\u0378"])
def test_a_font_whose_characters_mean_nothing_is_not_believed(nonsense: str) -> None:
    content = SEEN + text("abcab", 100, 600, font="B")
    layer = layer_of(page_pdf(content, maps={"B": {"a": nonsense, "b": nonsense, "c": "c"}}))
    assert [line.text for line in layer.lines] == ["plain to see"]
    assert [one.font for one in layer.distrusted] == ["Helvetica"]
    assert layer.rest is not None


def test_a_single_character_without_meaning_is_marked_where_it_stands() -> None:
    letters = {letter: letter for letter in "abcdefghijklmnopqrstuvwyz "}
    content = text("a line of words before x and one behind it", 50, 700, font="B")
    layer = layer_of(page_pdf(content, maps={"B": {**letters, "x": "\ue001"}}))
    assert [line.text for line in layer.lines] == [
        "a line of words before \ufffd and one behind it"
    ]
    assert layer.distrusted == ()  # who can read it decides


def test_a_placeholder_of_another_tool_is_no_text() -> None:
    layer = layer_of(page_pdf(SEEN + text("(cid:12)(cid:7)", 100, 600)))
    assert [line.text for line in layer.lines] == ["plain to see"]
    assert layer.distrusted


def test_beside_text_rules_and_frames_there_is_nothing_left_to_read() -> None:
    drawings = b"100 650 200 1 re f 100 500 300 120 re S 0.8 g 100 300 300 100 re f 0 g "
    drawings += b"100 450 m 400 450 l S 250 500 m 250 620 l S 120 560 18 12 re S "
    layer = layer_of(
        page_pdf(drawings + SEEN + text("in a cell", 110, 600) + text("on grey", 110, 350))
    )
    assert len(layer.lines) == 3
    assert layer.rest is None


def test_a_picture_with_words_is_left_to_read_and_has_no_text_of_the_layer() -> None:
    """Words as outlines stand for any picture: here letters drawn with lines."""
    outline = b"3 w 100 400 m 110 420 l 120 400 l S 130 400 m 130 420 l 142 412 l 130 410 l S "
    data = page_pdf(SEEN + outline)
    layer = layer_of(data)
    assert layer.rest is not None
    shown = layer.rest.picture
    page = rendered(data)
    left, top = layer.rest.left, layer.rest.top
    height, width = shown.shape[:2]
    same = page[top : top + height, left : left + width]
    # The drawing is there, the line of text is not.
    assert np.array_equal(shown[-400:], same[-400:])
    assert (page.min(axis=2) < 128).sum() > (shown.min(axis=2) < 128).sum() > 0
    assert text_like(shown) is not None


def test_a_blank_page_has_no_layer_and_no_rest() -> None:
    layer = layer_of(page_pdf(b""))
    assert layer.lines == ()
    assert layer.rest is None


def test_a_long_page_is_looked_at_to_its_end() -> None:
    """In bands: what lies on the border of two, and in the last one, counts as well."""
    content = b"".join(text(f"line {i} of a long page", 60, 20 + 20 * i) for i in range(95))
    layer = layer_of(page_pdf(content, media=(0, 0, 400, 1950)))
    assert len(layer.lines) == 95
    assert layer.distrusted == ()
    assert layer.rest is None
    letters = b"3 w 100 10 m 110 30 l 120 10 l S 130 10 m 130 30 l 142 22 l 130 20 l S "
    layer = layer_of(page_pdf(letters + text("up here", 60, 1900), media=(0, 0, 400, 1950)))
    assert layer.rest is not None
    assert layer.rest.top > 2000
