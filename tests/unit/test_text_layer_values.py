"""Layers that are turned, cut and sent; fonts whose places in them must survive."""

from __future__ import annotations

import random

import numpy as np
import pytest

from serve_app.documents.text_layer.pieces import pieces
from serve_app.documents.text_layer.turn import turned, turned_box
from serve_app.documents.text_layer.values import Char, LayerLine, PageLayer
from serve_app.documents.text_layer.wire import decode_layer, encode_layer
from serve_app.engines.page_angle import layer_angle
from tests.layer_documents import grey_picture, layer_of, page_pdf, text

PICTURE = page_pdf(
    b"".join(text(f"line {i} of a page with text enough", 100, 700 - 15 * i) for i in range(9))
    + text("and another (cid:3)", 100, 500)
    + b"3 w 100 400 m 110 420 l 120 400 l S 130 400 m 130 420 l 142 412 l 130 410 l S "
)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3, 4, 5])
def test_a_box_turns_as_the_pixels_do(quarters: int) -> None:
    page = np.zeros((60, 100), np.uint8)
    page[10:20, 30:70] = 1
    left, top, right, bottom = turned_box((30, 10, 70, 20), quarters, 100, 60)
    rows, columns = np.nonzero(np.rot90(page, quarters))
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (
        left,
        top,
        right,
        bottom,
    )


@pytest.mark.parametrize("rotate", [90, 180, 270])
def test_a_turned_layer_is_that_of_the_turned_page(rotate: int) -> None:
    """A page with /Rotate, turned back, has its lines where the upright page has them."""
    upright, lying = layer_of(PICTURE), layer_of(page_pdf_rotated(rotate))
    width, height = (1190, 1684) if rotate == 180 else (1684, 1190)
    assert layer_angle(lying) == rotate
    back = turned(lying, rotate // 90, width, height)
    assert sorted(line.text for line in back.lines) == sorted(line.text for line in upright.lines)
    for line in back.lines:
        [same] = [other for other in upright.lines if other.text == line.text]
        assert line.angle == 0
        assert np.allclose(line.box, same.box, atol=1.5)
    assert back.rest is not None
    assert upright.rest is not None


def page_pdf_rotated(rotate: int) -> bytes:
    return PICTURE.replace(b"/Rotate 0", b"/Rotate %d" % rotate)


def test_a_few_words_on_a_scan_do_not_say_which_way_up_it_is() -> None:
    scan = page_pdf(
        b"q 400 0 0 400 90 200 cm /I Do Q "
        b"3 w 100 40 m 110 60 l 120 40 l S 130 40 m 130 60 l 142 52 l 130 50 l S "
        + text("stamp", 100, 700),
        rotate=90,
        resources=b"/XObject<</I 20 0 R>>",
        objects=(grey_picture(),),
    )
    assert layer_angle(layer_of(scan)) is None


def test_a_layer_without_lines_is_upright() -> None:
    assert layer_angle(PageLayer(())) == 0


def test_a_layer_survives_the_wire() -> None:
    layer = layer_of(PICTURE)
    assert layer.lines
    assert layer.distrusted
    assert layer.rest is not None
    again = decode_layer(b"".join(encode_layer(layer)))
    assert [line.text for line in again.lines] == [line.text for line in layer.lines]
    assert (again.fonts, again.total, again.distrusted) == (
        layer.fonts,
        layer.total,
        layer.distrusted,
    )
    for line, same in zip(again.lines, layer.lines, strict=True):
        assert [c.text for c in line.chars] == [c.text for c in same.chars]
        assert np.allclose([c.ink for c in line.chars], [c.ink for c in same.chars], atol=1e-3)
        assert line.fonts == same.fonts
    assert again.rest is not None
    assert (again.rest.left, again.rest.top) == (layer.rest.left, layer.rest.top)
    assert np.array_equal(again.rest.picture, layer.rest.picture)
    again.rest.picture[0, 0] = 7  # its own memory


def test_an_empty_layer_survives_the_wire() -> None:
    assert decode_layer(b"".join(encode_layer(PageLayer(())))) == PageLayer(())


def test_whatever_else_comes_over_the_wire_is_a_value_error() -> None:
    whole = b"".join(encode_layer(layer_of(PICTURE)))
    random_ = random.Random(7)
    for _ in range(300):
        data = bytearray(
            whole[: random_.randrange(len(whole))] if random_.random() < 0.5 else whole
        )
        for _ in range(random_.randrange(4)):
            if data:
                data[random_.randrange(min(len(data), 2000))] = random_.randrange(256)
        try:
            decode_layer(bytes(data))
        except ValueError:
            continue


def a_line(words: str) -> LayerLine:
    chars, left = [], 0.0
    for letter in words:
        if not letter.isspace():
            box = (left, 0.0, left + 8, 12.0)
            chars.append(Char(letter, box, box, 0, 0.0, 12.0))
        left += 9
    return LayerLine(words.strip(), (0.0, 0.0, left, 12.0), tuple(chars))


def test_pieces_have_what_is_kept_and_nothing_else() -> None:
    random_ = random.Random(3)
    for _ in range(500):
        words = "".join(random_.choice("abc  ") for _ in range(random_.randrange(1, 20)))
        if not words.strip():
            continue
        line = a_line(words)
        kept = [random_.random() < 0.7 for _ in line.chars]
        found = pieces(line, kept)
        expected = "".join(c.text for c, keep in zip(line.chars, kept, strict=True) if keep)
        assert "".join(piece.text for piece in found).replace(" ", "") == expected
        assert [c for piece in found for c in piece.chars] == [
            c for c, keep in zip(line.chars, kept, strict=True) if keep
        ]
        for piece in found:
            assert piece.text.replace(" ", "") == "".join(c.text for c in piece.chars)
