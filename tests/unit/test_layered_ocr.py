"""The layer in PaddleX's OCR pipeline; a pipeline of the same shape stands for it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from serve_app.documents.text_layer.values import Char, LayerLine, PageLayer, Pixels, Rest
from serve_app.engines.layer_result import (
    LayerText,
    not_painted_over,
    row_by_row,
    with_lines,
)
from serve_app.engines.layered_ocr import LayeredOcr, LiesOnItsSide, place_on, stand

HEIGHT, WIDTH = 400, 600


def line(words: str, left: float, top: float, *, angle: float = 0.0) -> LayerLine:
    chars = []
    for i, letter in enumerate(words):
        box = (left + 10 * i, top, left + 10 * i + 9, top + 16)
        if letter != " ":
            chars.append(Char(letter, box, box, 0, angle, 16.0))
    return LayerLine(words, (left, top, left + 10 * len(words), top + 16), tuple(chars), angle)


def quad(left: int, top: int, right: int, bottom: int) -> Any:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.int16)


class FakeOcr:
    """What ``LayeredOcr`` takes hold of: detects given boxes, "reads" the mean grey of a cut."""

    text_rec_model: Any
    text_det_model: Any
    _crop_by_polys: Any

    def __init__(self, boxes: list[tuple[int, int, int, int]]) -> None:
        self.seen: list[Pixels] = []
        self.text_rec_model = Recognizer()
        self.text_det_model = self._detect
        self._crop_by_polys = lambda image, polys: [
            image[poly[0][1] : poly[2][1], poly[0][0] : poly[2][0]] for poly in polys
        ]
        self.boxes = boxes
        self.score = 0.9

    def _detect(self, images: list[Pixels], **_: Any) -> Iterator[Any]:
        self.seen += images
        yield {"dt_polys": [quad(*box) for box in self.boxes]}

    def predict(self, image: Pixels, **_: Any) -> Iterator[Any]:
        [found] = self.text_det_model([image])
        polys = list(found["dt_polys"])
        cuts = self._crop_by_polys(image, polys)
        texts = [result["rec_text"] for result in self.text_rec_model(cuts)]
        yield {
            "doc_preprocessor_res": {"output_img": image},
            "dt_polys": polys,
            "rec_texts": texts,
            "rec_scores": [self.score] * len(texts),
            "rec_polys": polys,
            "rec_boxes": np.array([[*p[0], *p[2]] for p in polys]),
            "vis_fonts": [None] * len(texts),
        }


class Recognizer:
    vis_font = None
    post_op = SimpleNamespace(character=["a", "b"])

    def __call__(self, pictures: list[Pixels], **_: Any) -> Iterator[Any]:
        for picture in pictures:
            yield {"rec_text": f"grey {picture.mean():.0f}", "rec_score": 0.9}


def page(level: int = 200) -> Pixels:
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


def with_shapes(picture: Pixels, left: int, top: int) -> Pixels:
    """Something that may be letters."""
    for i in range(4):
        x = left + 20 * i
        picture[top : top + 16, x : x + 3] = 0
        picture[top + 6 : top + 9, x : x + 10] = 0
        picture[top : top + 3, x + 6 : x + 12] = 0
    return picture


def test_without_a_layer_everything_passes_through() -> None:
    ocr = FakeOcr([(10, 10, 60, 30)])
    layered = LayeredOcr(ocr, [])
    with layered.page(page()):
        [result] = ocr.predict(page())
    assert result["rec_texts"] == ["grey 200"]
    [outside] = ocr.predict(page())
    assert outside["rec_texts"] == ["grey 200"]


def test_where_the_layer_says_it_all_nothing_is_detected() -> None:
    ocr = FakeOcr([(10, 10, 60, 30)])
    layered = LayeredOcr(ocr, [])
    layer = PageLayer((line("second", 10, 100), line("first", 10, 20)))
    with layered.page(page(), layer, "auto"):
        [result] = ocr.predict(page())
    assert ocr.seen == []
    assert result["rec_texts"] == ["first", "second"]
    assert all(isinstance(text, LayerText) for text in result["rec_texts"])
    assert result["rec_scores"] == [1.0, 1.0]
    assert result["rec_boxes"].tolist() == [[10, 20, 60, 36], [10, 100, 70, 116]]


def test_beside_the_layer_the_rest_is_detected_and_read_in_its_place() -> None:
    rest = with_shapes(page(50)[100:300, 200:500], 10, 20)
    ocr = FakeOcr([(5, 15, 95, 45)])  # in the picture of the rest
    layered = LayeredOcr(ocr, [])
    layer = PageLayer((line("from the layer", 10, 300),), rest=Rest(200, 100, rest))
    with layered.page(page(), layer, "auto"):
        [result] = ocr.predict(page())
    assert ocr.seen[0] is rest
    read, own = result["rec_texts"]
    assert read.startswith("grey ")
    assert read != "grey 200"  # cut out of the rest, not of the page
    assert (own, type(own)) == ("from the layer", LayerText)
    assert result["rec_boxes"].tolist()[0] == [205, 115, 295, 145]


def test_what_is_detected_on_a_plain_ground_is_not_read() -> None:
    """The ground that a line of the layer was written on looks like text to a detector."""
    rest = with_shapes(page(250), 10, 300)
    rest[100:130, 50:200] = 90
    ocr = FakeOcr([(45, 95, 205, 135), (5, 295, 95, 325)])
    layered = LayeredOcr(ocr, [])
    layer = PageLayer((line("marked", 60, 105),), rest=Rest(0, 0, rest))
    with layered.page(page(), layer, "auto"):
        [result] = ocr.predict(page())
    assert [text for text in result["rec_texts"] if isinstance(text, LayerText)] == ["marked"]
    assert len(result["rec_texts"]) == 2


def test_only_recognises_nothing() -> None:
    rest = with_shapes(page(50), 10, 20)
    ocr = FakeOcr([(5, 15, 95, 45)])
    layered = LayeredOcr(ocr, [])
    with layered.page(page(), PageLayer((), rest=Rest(0, 0, rest)), "only"):
        [result] = ocr.predict(page())
        [again] = ocr.text_rec_model([page()[10:20, 10:20]])
    assert ocr.seen == []
    assert result["rec_texts"] == []
    assert again == {"rec_text": "", "rec_score": -1.0}


def test_a_part_of_the_page_is_read_from_the_layer() -> None:
    """PP-StructureV3 recognises anew what two of its boxes share."""
    ocr = FakeOcr([])
    layered = LayeredOcr(ocr, [])
    layer = PageLayer((line("left words right words", 10, 100), line("below", 10, 140)))
    whole = np.array(page())
    with layered.page(page(), layer, "auto"):
        [left] = ocr.text_rec_model([whole[95:120, 5:120]])
        [both] = ocr.text_rec_model([whole[95:170, 0:300]])
        [elsewhere] = ocr.text_rec_model([whole[300:320, 5:120]])
        [copy] = ocr.text_rec_model([whole[95:120, 5:120].copy()])
    assert left == {"rec_text": "left words", "rec_score": 1.0}
    assert both["rec_text"] == "left words right words below"
    assert elsewhere["rec_text"] == "grey 200"
    assert copy["rec_text"] == "grey 200"


def test_a_part_with_more_than_the_layer_knows_is_recognised() -> None:
    rest = with_shapes(page(250), 10, 100)
    ocr = FakeOcr([])
    layered = LayeredOcr(ocr, [])
    layer = PageLayer((line("words", 100, 100),), rest=Rest(0, 0, rest))
    whole = np.array(page())
    with layered.page(page(), layer, "auto"):
        [mixed] = ocr.text_rec_model([whole[95:120, 5:160]])
        [plain] = ocr.text_rec_model([whole[95:120, 95:160]])
    assert mixed["rec_text"] == "grey 200"
    assert plain["rec_text"] == "words"


def test_lines_that_stand_on_their_side_are_told_of() -> None:
    ocr = FakeOcr([(10, 10, 30, 200), (50, 10, 70, 220)])
    layered, asked = layered_with_classifier(ocr, "90")
    with pytest.raises(LiesOnItsSide), layered.page(page(), watched=True):
        list(ocr.predict(page()))
    assert asked == [1]


def test_upright_lines_do_not_ask_the_classifier() -> None:
    ocr = FakeOcr([(10, 10, 200, 30), (10, 50, 220, 70)])
    layered, asked = layered_with_classifier(ocr, "90")
    with layered.page(page(), watched=True):
        [result] = ocr.predict(page())
    assert len(result["rec_texts"]) == 2
    assert asked == []


def test_vertical_text_stays_as_it_is() -> None:
    ocr = FakeOcr([(10, 10, 30, 200), (50, 10, 70, 220)])
    layered, asked = layered_with_classifier(ocr, "0")
    with layered.page(page(), watched=True):
        [result] = ocr.predict(page())
    assert len(result["rec_texts"]) == 2
    assert asked == [1]


def test_nonsense_on_a_page_that_stands_on_its_head_is_told_of() -> None:
    ocr = FakeOcr([(10, 10, 200, 30)])
    ocr.score = 0.6
    layered, _ = layered_with_classifier(ocr, "180")
    with pytest.raises(LiesOnItsSide), layered.page(page(), watched=True):
        list(ocr.predict(page()))


def layered_with_classifier(ocr: FakeOcr, label: str) -> tuple[LayeredOcr, list[int]]:
    asked: list[int] = []

    def classify(images: Any, **_: Any) -> Iterator[Any]:
        asked.append(len(images))
        yield {"label_names": [label]}

    inner = SimpleNamespace(doc_ori_classify_model=classify)
    owner = SimpleNamespace(doc_preprocessor_pipeline=lambda *_, **__: iter(()))
    return LayeredOcr(ocr, [(owner, inner)]), asked


def test_a_page_that_is_turned_first_turns_its_layer() -> None:
    ocr = FakeOcr([])
    turned_page = np.ascontiguousarray(np.rot90(page()))
    owner = SimpleNamespace(
        doc_preprocessor_pipeline=lambda *_, **__: iter([{"angle": 90, "output_img": turned_page}])
    )
    layered = LayeredOcr(ocr, [(owner, SimpleNamespace())])
    layer = PageLayer((line("words", 100, 50),))
    with layered.page(page(), layer, "auto"):
        list(owner.doc_preprocessor_pipeline([page()]))
        [result] = ocr.predict(turned_page)
    assert result["rec_boxes"].tolist() == [[50, WIDTH - 150, 66, WIDTH - 100]]


def test_an_angle_that_is_known_is_not_asked_for() -> None:
    def classify(*_: Any, **__: Any) -> Iterator[Any]:
        pytest.fail("asked")

    inner = SimpleNamespace(doc_ori_classify_model=classify)
    owner = SimpleNamespace(doc_preprocessor_pipeline=lambda *_, **__: iter(()))
    layered = LayeredOcr(FakeOcr([]), [(owner, inner)])
    assert layered.can_turn
    with layered.page(page(), angle=270):
        assert [one["label_names"] for one in inner.doc_ori_classify_model([page()])] == [["270"]]


@pytest.mark.parametrize(
    ("boxes", "standing"),
    [
        ([], False),
        ([(0, 0, 20, 20)], False),
        ([(0, 0, 20, 100)], True),
        ([(0, 0, 100, 20), (0, 0, 20, 100)], False),
        ([(0, 0, 20, 300), (30, 0, 50, 300), (0, 310, 100, 330)], True),
    ],
)
def test_lines_that_stand(boxes: list[tuple[float, ...]], standing: bool) -> None:
    assert stand(boxes) == standing


def test_no_line_is_lost_or_doubled_and_their_order_is_paddlex_own() -> None:
    random_ = random.Random(11)
    for _ in range(300):
        polys = [quad(*random_box(random_)) for _ in range(random_.randrange(6))]
        lines = [line(f"layer {i}", *random_box(random_)[:2]) for i in range(random_.randrange(6))]
        result: dict[str, Any] = {
            "dt_polys": polys,
            "rec_texts": [f"ocr {i}" for i in range(len(polys))],
            "rec_scores": [0.5] * len(polys),
            "rec_polys": polys,
            "vis_fonts": [None] * len(polys),
        }
        expected = sorted([*result["rec_texts"], *(one.text for one in lines)])
        with_lines(result, lines, None)
        assert sorted(result["rec_texts"]) == expected
        assert len(result["rec_boxes"]) == len(expected)
        assert row_by_row(result["rec_polys"]) == list(range(len(expected)))
        for text, score in zip(result["rec_texts"], result["rec_scores"], strict=True):
            assert (score == 1.0) == isinstance(text, LayerText)


def random_box(random_: random.Random) -> tuple[int, int, int, int]:
    left, top = random_.randrange(500), random_.randrange(300)
    return left, top, left + random_.randrange(1, 90), top + random_.randrange(1, 40)


def test_words_have_boxes_where_they_are_asked_for() -> None:
    result: dict[str, Any] = {
        "dt_polys": [],
        "rec_texts": [],
        "rec_scores": [],
        "rec_polys": [],
        "vis_fonts": [],
        "return_word_box": True,
        "text_word": [],
        "text_word_region": [],
    }
    with_lines(result, [line("two words", 10, 20)], None)
    assert result["text_word"] == [["two", "words"]]
    assert [boxes.tolist() for boxes in result["text_word_boxes"]] == [
        [[10, 20, 39, 36], [50, 20, 99, 36]]
    ]


def test_the_place_of_a_part() -> None:
    whole = page()
    assert place_on(whole[10:30, 40:90], (HEIGHT, WIDTH)) == (40, 10, 90, 30)
    assert place_on(whole[10:30, 40:90].copy(), (HEIGHT, WIDTH)) is None
    assert place_on(np.zeros((50, 50, 3), np.uint8)[5:10, 5:10], (HEIGHT, WIDTH)) is None
    assert place_on(whole, (HEIGHT, WIDTH)) is None


def test_the_lines_of_a_layout_result_come_back_as_they_were_read() -> None:
    """PP-StructureV3 cuts a line that two of its boxes share, and empties others."""
    ocr = FakeOcr([])
    layered = LayeredOcr(ocr, [])
    layer = PageLayer((line("one line over two boxes", 10, 100), line("below", 10, 140)))
    with layered.page(page(), layer, "auto"):
        [found] = ocr.predict(page())
        found["rec_labels"] = ["text", "text", "text", "formula"]
        found["rec_texts"][0] = LayerText("one line")
        found["rec_texts"][1] = ""
        found["rec_texts"] += ["boxes", "x^2"]
        found["rec_scores"] += [1.0, 1]
        found["rec_polys"] += [quad(200, 100, 240, 116), quad(300, 300, 340, 316)]
        assert list(found["rec_sources"])[:2] == ["layer", "ocr"]
        layered.restore({"overall_ocr_res": found})
    assert found["rec_texts"] == ["one line over two boxes", "below", "x^2"]
    assert found["rec_labels"] == ["text", "text", "formula"]
    assert list(found["rec_sources"]) == ["layer", "layer", "ocr"]
    assert found["rec_boxes"].tolist()[2] == [300, 300, 340, 316]
    assert len(found["rec_scores"]) == 3


def test_what_the_pipeline_has_painted_over_is_not_in_the_text() -> None:
    picture = page(0)
    painted = line("see x squared here", 10, 100)
    picture[98:120, 48:148] = 255
    assert [one.text for one in not_painted_over([painted], picture)] == ["see", "here"]
    assert not_painted_over([painted], page(0)) == (painted,)
