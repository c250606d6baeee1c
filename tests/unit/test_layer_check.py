"""A map to Unicode that lies is found out by a look at the page; the recogniser is a fake."""

from __future__ import annotations

import string

import numpy as np
import pytest

from serve_app.documents.text_layer.values import PageLayer, Pixels
from serve_app.engines.layer_check import FIRST_SAMPLES, SAMPLE_CHARS, checked
from tests.layer_documents import layer_of, page_pdf, rendered, text

ALPHABET = frozenset(string.printable)
WORDS = ["the quick brown fox jumps", "over the lazy dog and then", "pack my box with five dozen"]
SHIFTED = {c: chr((ord(c) - 97 + 13) % 26 + 97) for c in string.ascii_lowercase} | {" ": " "}


def lines(font: str) -> bytes:
    return b"".join(text(words, 60, 700 - 30 * i, font=font) for i, words in enumerate(WORDS))


def test_a_map_that_tells_the_truth_is_believed_after_two_samples() -> None:
    data = page_pdf(lines("F1"))
    layer, page = layer_of(data), rendered(data)
    printed = iter(["thequickbrownfoxjum", "overthelazydogandth"])
    seen: list[Pixels] = []

    def read(pictures: list[Pixels]) -> list[str]:
        seen.extend(pictures)
        return [next(printed) for _ in pictures]

    assert checked(layer, page, read, ALPHABET) == layer
    assert len(seen) == FIRST_SAMPLES


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_samples_are_cut_out_upright(rotate: int) -> None:
    [turned, straight] = [
        first_sample(page_pdf(text("Hxg place", 100, 700, size=20), rotate=angle))
        for angle in (rotate, 0)
    ]
    height, width = min(len(turned), len(straight)), min(turned.shape[1], straight.shape[1])
    difference = turned[:height, :width].astype(int) - straight[:height, :width]
    assert np.abs(difference).mean() < 20


def first_sample(data: bytes) -> Pixels:
    cuts: list[Pixels] = []

    def read(pictures: list[Pixels]) -> list[str]:
        cuts.extend(pictures)
        return [""] * len(pictures)

    checked(layer_of(data), rendered(data), read, ALPHABET)
    return cuts[0]


def test_a_map_that_names_other_letters_is_found_out() -> None:
    data = page_pdf(text("A heading in another font", 60, 760) + lines("L"), maps={"L": SHIFTED})
    layer, page = layer_of(data), rendered(data)
    assert len(layer.lines) == 4
    printed = iter(["Aheadinginanother", *(words.replace(" ", "") for words in WORDS)])
    left = checked(layer, page, lambda cut: [next(printed) for _ in cut], ALPHABET)
    assert [line.text for line in left.lines] == ["A heading in another font"]
    assert [one.font for one in left.distrusted] == ["Helvetica"]
    assert "not those that are to be seen" in left.distrusted[0].why
    assert next(printed, None) is None  # every line was looked at before the font was given up


def test_what_is_not_believed_is_left_to_read() -> None:
    data = page_pdf(text("A heading in another font", 60, 760) + lines("L"), maps={"L": SHIFTED})
    layer, page = layer_of(data), rendered(data)
    assert layer.rest is None
    left = checked(layer, page, lambda cut: ["zzzzzzzzzzzzzzzz"] * len(cut), ALPHABET)
    assert left.lines == ()
    assert left.rest is not None
    top, bottom = layer.lines[0].box[1], layer.lines[-1].box[3]
    assert left.rest.top <= top
    assert left.rest.top + left.rest.picture.shape[0] >= bottom


def test_a_script_that_the_recogniser_does_not_know_is_not_compared() -> None:
    korean = {c: chr(0xAC00 + 28 * i) for i, c in enumerate(string.ascii_lowercase)} | {" ": " "}
    data = page_pdf(lines("K"), maps={"K": korean})
    layer, page = layer_of(data), rendered(data)

    def read(_: list[Pixels]) -> list[str]:
        pytest.fail("nothing to compare with")

    assert checked(layer, page, read, ALPHABET) == layer


def test_a_single_character_without_meaning_is_left_to_read_at_its_place() -> None:
    """In letters that the recogniser knows."""
    words = "a long line of words before x and a long line behind it"
    letters = {letter: letter for letter in "abcdefghijklmnopqrstuvwyz "}
    data = page_pdf(text(words, 50, 700, font="B"), maps={"B": {**letters, "x": "\ue001"}})
    layer, page = layer_of(data), rendered(data)
    left = checked(layer, page, lambda cut: ["alonglineofwords"] * len(cut), ALPHABET)
    before, behind = words.split(" x ")
    assert [line.text for line in left.lines] == [before, behind]
    assert "1 places" in left.distrusted[0].why
    assert left.rest is not None


@pytest.mark.parametrize("nonsense", ["abc", "ab"])
def test_broken_letters_of_an_unknown_script_do_not_cost_the_others(nonsense: str) -> None:
    """The recogniser could not read them, so what the layer has is the best there is."""
    korean = {c: chr(0xAC00 + 28 * i) for i, c in enumerate(string.ascii_lowercase)} | {" ": " "}
    told = korean | dict.fromkeys(nonsense, "\ue001")
    data = page_pdf(lines("K"), maps={"K": told})
    layer, page = layer_of(data), rendered(data)
    left = checked(layer, page, lambda _: pytest.fail("nothing to compare with"), ALPHABET)
    marked = {c: "\ufffd" if c in nonsense else letter for c, letter in korean.items()}
    assert [line.text for line in left.lines] == [
        "".join(marked[c] for c in words) for words in WORDS
    ]
    assert left.rest is None
    assert [one.font for one in left.distrusted] == ["Helvetica"]
    assert "does not know" in left.distrusted[0].why


def test_dots_to_a_page_number_are_no_sample() -> None:
    """A recogniser reads some of them, or none, and that says nothing of their font."""
    rows = [
        text(f"{name} {'. ' * 30}", 60, 700 - 30 * i) for i, name in enumerate(("Dcpo", "Open"))
    ]
    korean = {"q": "\uac00", "w": "\uac01"}
    data = page_pdf(text("qwqwqw", 400, 700, font="K") + b"".join(rows), maps={"K": korean})
    layer, page = layer_of(data), rendered(data)
    read: list[str] = []

    def names(cut: list[Pixels]) -> list[str]:
        read.extend(["Dcpo.…", "Open. ."][: len(cut)])
        return read

    assert checked(layer, page, names, ALPHABET) == layer
    assert read


def test_two_characters_prove_nothing() -> None:
    data = page_pdf(text("no", 60, 700))
    layer, page = layer_of(data), rendered(data)
    assert checked(layer, page, lambda cut: ["xx"] * len(cut), ALPHABET) == layer


def test_quotes_and_dashes_may_look_otherwise() -> None:
    data = page_pdf(text('"well-known" - it\'s', 60, 700))
    layer, page = layer_of(data), rendered(data)
    assert checked(layer, page, lambda cut: ["“well—known”–it’s"] * len(cut), ALPHABET) == layer


def test_samples_are_short() -> None:
    data = page_pdf(text("w" * 80, 10, 700, size=8))
    layer, page = layer_of(data), rendered(data)
    cuts: list[Pixels] = []

    def read(pictures: list[Pixels]) -> list[str]:
        cuts.extend(pictures)
        return ["w" * SAMPLE_CHARS] * len(pictures)

    assert checked(layer, page, read, ALPHABET) == layer
    width = layer.lines[0].box[2] - layer.lines[0].box[0]
    assert cuts[0].shape[1] < width / 4


def test_no_lines_no_questions() -> None:
    layer = PageLayer(())
    page = np.zeros((10, 10, 3), np.uint8)
    assert checked(layer, page, lambda cut: pytest.fail("asked"), ALPHABET) == layer
