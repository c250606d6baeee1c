"""Puts a page's text layer into PaddleX's OCR pipeline, alone or inside PP-StructureV3.

Where (paddlex 3.7.2, ``inference/pipelines/ocr/pipeline.py``): the detector and the cutter of
lines see what the page shows beside its layer (``Rest``), or nothing; then the layer's lines are
put among the recognised ones of the result. So nothing is read twice, and nothing that a picture or
outlines say is lost. PP-StructureV3 then has the text in paragraphs and cells of tables. What it
recognises anew by place (lines that two layout boxes share) is answered from the layer, too.

Without a page of its own, all of this passes through.
"""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from serve_app.document import Box, TextLayerMode
from serve_app.documents.text_layer.residue import text_like
from serve_app.documents.text_layer.turn import turned
from serve_app.documents.text_layer.values import LayerLine, PageLayer, Pixels, around
from serve_app.engines.layer_check import checked

# PaddleX's SortQuadBoxes: boxes that begin within so many pixels of height are one row.
ROW_PIXELS = 10
# Of a line's box, longer to shorter side; and of the lines' length, for the page.
ELONGATED = 2.0
MOST = 0.7
# Mean score of a page's lines, below which it may be upside down: 0.6 to 0.7 then, else above 0.9.
NONSENSE = 0.8


class LayerText(str):
    """Text from the layer; PaddleX hands it on as it is, so that its source is known at the end."""

    __slots__ = ()


class LiesOnItsSide(Exception):
    """The page must be turned first (or stands on its head); what was found so far is useless."""


@dataclass(slots=True)
class _Page:
    pixels: Pixels
    layer: PageLayer | None
    mode: TextLayerMode
    watched: bool = False
    angle: int | None = None
    detecting: bool = False

    def turn(self, angle: int) -> None:
        if self.layer is not None:
            height, width = self.pixels.shape[:2]
            self.layer = turned(self.layer, angle // 90, width, height)


class LayeredOcr:
    """The pipeline's OCR with a layer under it. One page at a time.

    Args:
        ocr: PaddleX's ``_OCRPipeline``.
        preprocessors: (owner, its ``_DocPreprocessorPipeline``) of those that turn pages before it.
    """

    def __init__(self, ocr: Any, preprocessors: Sequence[tuple[Any, Any]]) -> None:
        self._page: _Page | None = None
        self._recognizer, self._predict = ocr.text_rec_model, ocr.predict
        self._alphabet = _alphabet(ocr.text_rec_model)
        self._classify: Any = None
        ocr.text_det_model = _Around(ocr.text_det_model, self._detected)
        ocr._crop_by_polys = _Around(ocr._crop_by_polys, self._cut_out)
        ocr.text_rec_model = _Around(self._recognizer, self._recognized)
        ocr.predict = self._predicted
        for owner, inner in preprocessors:
            owner.doc_preprocessor_pipeline = _Around(
                owner.doc_preprocessor_pipeline, self._preprocessed
            )
            if (classify := getattr(inner, "doc_ori_classify_model", None)) is not None:
                self._classify = classify
                inner.doc_ori_classify_model = _Around(classify, self._classified)

    @property
    def can_turn(self) -> bool:
        """Whether the pipeline can turn pages."""
        return self._classify is not None

    @contextlib.contextmanager
    def page(
        self,
        pixels: Pixels,
        layer: PageLayer | None = None,
        mode: TextLayerMode = "off",
        *,
        watched: bool = False,
        angle: int | None = None,
    ) -> Iterator[None]:
        """Within it, the page ``pixels`` is predicted.

        Args:
            pixels: BGR.
            layer: what it says itself; None: all is recognised.
            mode: ``only``: nothing is recognised.
            watched: ``LiesOnItsSide`` is raised if the lines found stand on their side, or on
                their head.
            angle: that the page is to be turned by, where the classifier need not be asked;
                degrees counterclockwise.
        """
        self._page = _Page(pixels, layer, mode, watched, angle)
        try:
            yield
        finally:
            self._page = None

    def checked(self, layer: PageLayer, pixels: Pixels) -> PageLayer:
        """``layer`` without what a look at the page contradicts."""
        return checked(layer, pixels, self._read, self._alphabet)

    def _read(self, pictures: list[Pixels]) -> list[str]:
        return [str(result["rec_text"]) for result in self._recognizer(pictures)]

    def _classified(self, original: Any, images: Any, **options: Any) -> Iterator[Any]:
        if self._page is not None and self._page.angle is not None:
            yield {"label_names": [str(self._page.angle)]}
        else:
            yield from original(images, **options)

    def _preprocessed(self, original: Any, *args: Any, **options: Any) -> Iterator[Any]:
        for result in original(*args, **options):
            if self._page is not None:
                self._page.turn(max(int(result["angle"]), 0))
            yield result

    def _detected(self, original: Any, images: Any, **options: Any) -> Iterator[Any]:
        page = self._page
        if page is None or page.layer is None:
            for result in original(images, **options):
                if page is not None and page.watched:
                    self._watch(result["dt_polys"], images)
                yield result
            return
        rest = page.layer.rest
        if page.mode == "only" or rest is None:
            yield {"dt_polys": [], "dt_scores": []}
            return
        corner = np.array([rest.left, rest.top])
        for result in original([rest.picture], **options):
            polys = [poly for poly in result["dt_polys"] if _shows_text(rest.picture, poly)]
            yield {**result, "dt_polys": [np.asarray(poly) + corner for poly in polys]}

    def _watch(self, polys: Sequence[Any], images: Any) -> None:
        """Lines of vertical text stand, too: so the classifier has the last word."""
        if self._classify is None or not stand(list(map(_box, polys))):
            return
        [label] = (int(result["label_names"][0]) for result in self._classify(images))
        if label % 180:
            raise LiesOnItsSide

    def _doubt(self, result: Any) -> None:
        """Text that stands on its head is found, and then read as nonsense."""
        scores = result["rec_scores"]
        if self._classify is None or not scores or np.mean(scores) >= NONSENSE:
            return
        picture = result["doc_preprocessor_res"]["output_img"]
        [label] = (int(one["label_names"][0]) for one in self._classify([picture]))
        if label == 180:
            raise LiesOnItsSide

    def _cut_out(self, original: Any, image: Pixels, polys: Sequence[Any]) -> Any:
        layer = self._page.layer if self._page is not None else None
        rest = layer.rest if layer is not None else None
        if rest is None:
            return original(image, polys)
        moved = [np.asarray(poly) - np.array([rest.left, rest.top]) for poly in polys]
        return original(rest.picture, moved)

    def _predicted(self, *args: Any, **options: Any) -> Iterator[Any]:
        page = self._page
        if page is None or page.layer is None:
            for result in self._predict(*args, **options):
                if page is not None and page.watched:
                    self._doubt(result)
                yield result
            return
        page.detecting = True
        try:
            for result in self._predict(*args, **options):
                yield with_lines(result, page.layer.lines, self._recognizer.vis_font)
        finally:
            page.detecting = False

    def _recognized(self, original: Any, pictures: Any, **options: Any) -> Iterator[Any]:
        page = self._page
        if page is None or page.layer is None or page.detecting:
            yield from original(pictures, **options)
            return
        for picture in pictures if isinstance(pictures, list) else [pictures]:
            text = _from_layer(page.layer, page, picture)
            if text is not None:
                yield {"rec_text": _normal(text), "rec_score": 1.0}
            elif page.mode == "only":
                # Below any threshold: PaddleX leaves it out.
                yield {"rec_text": "", "rec_score": -1.0}
            else:
                yield from original([picture], **options)


class _Around:
    """In place of a part of PaddleX's: calls go through ``call``, all else to the part itself."""

    def __init__(self, original: Any, call: Any) -> None:
        self._original, self._call = original, call

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._call(self._original, *args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


def _shows_text(picture: Pixels, poly: Any) -> bool:
    """Detectors also take the ground for text that a line was written on."""
    left, top, right, bottom = _box(poly)
    part = picture[max(top, 0) : bottom, max(left, 0) : right]
    return bool(part.size) and text_like(part) is not None


def _alphabet(recognizer: Any) -> frozenset[str]:
    """The characters of PaddleX's CTC decoder; nothing is compared where there is no such list."""
    return frozenset(getattr(recognizer.post_op, "character", ()))


def stand(boxes: Sequence[Sequence[float]]) -> bool:
    """Whether lines of text with these boxes (left, top, right, bottom) run up or down the page."""
    lying = standing = 0.0
    for left, top, right, bottom in boxes:
        width, height = right - left, bottom - top
        if width >= ELONGATED * height:
            lying += width
        elif height >= ELONGATED * width:
            standing += height
    return standing > MOST * (standing + lying)


def with_lines(result: Any, lines: Sequence[LayerLine], font: Any) -> Any:
    """PaddleX's result with the layer's lines among its own, in PaddleX's order of lines."""
    polys = [_poly(line.box) for line in lines]
    found = len(result["rec_texts"])
    order = row_by_row([*result["rec_polys"], *polys])
    _extend(result, "rec_texts", [_normal(line.text) for line in lines], order)
    _extend(result, "rec_scores", [1.0] * len(lines), order)
    _extend(result, "rec_polys", polys, order)
    _extend(result, "vis_fonts", [font] * len(lines), order)
    boxes = [_box(poly) for poly in result["rec_polys"]]
    result["rec_boxes"] = np.array(boxes) if boxes else np.array([])
    if result.get("return_word_box"):
        _extend_words(result, lines, order)
    all_order = row_by_row([*result["dt_polys"], *polys])
    angles = list(result.get("textline_orientation_angles", [-1] * len(result["dt_polys"])))
    result["textline_orientation_angles"] = angles
    _extend(result, "textline_orientation_angles", [-1] * len(lines), all_order)
    _extend(result, "dt_polys", polys, all_order)
    assert len(result["rec_texts"]) == found + len(lines)
    return result


def _normal(text: str) -> LayerText:
    """Letters with their marks as one character, where there is one."""
    return LayerText(unicodedata.normalize("NFC", text))


def _extend(result: Any, key: str, more: list[Any], order: Sequence[int]) -> None:
    together = [*result[key], *more]
    result[key] = [together[i] for i in order]


def _extend_words(result: Any, lines: Sequence[LayerLine], order: Sequence[int]) -> None:
    words = [list(_words(line)) for line in lines]
    _extend(result, "text_word", [[_normal(text) for text, _ in line] for line in words], order)
    regions = [[_poly(box) for _, box in line] for line in words]
    _extend(result, "text_word_region", regions, order)
    result["text_word_boxes"] = [
        np.array([_box(region) for region in line]) for line in result["text_word_region"]
    ]


def _words(line: LayerLine) -> Iterator[tuple[str, Box]]:
    """The words of a line with their boxes."""
    chars = iter(line.chars)
    for word in line.text.split():
        taken, length = [], 0
        while length < len(word) and (char := next(chars, None)) is not None:
            taken.append(char.cell)
            length += len(char.text)
        if taken:
            yield word, around(taken)


def row_by_row(polys: Sequence[Any]) -> list[int]:
    """The order of PaddleX's ``SortQuadBoxes``, as indexes."""
    starts = [(float(poly[0][1]), float(poly[0][0])) for poly in polys]
    order = sorted(range(len(starts)), key=starts.__getitem__)
    for i in range(len(order) - 1):
        for j in range(i, -1, -1):
            (above, left), (below, right) = starts[order[j]], starts[order[j + 1]]
            if abs(below - above) >= ROW_PIXELS or right >= left:
                break
            order[j], order[j + 1] = order[j + 1], order[j]
    return order


def _poly(box: Box) -> Any:
    left, top, right, bottom = (round(edge) for edge in box)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.int16)


def _box(poly: Any) -> list[int]:
    points = np.asarray(poly)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return [int(left), int(top), int(right), int(bottom)]


def _from_layer(layer: PageLayer, page: _Page, picture: Any) -> str | None:
    """What the layer has in a part of the page; None if that part is not known or shows more."""
    box = place_on(picture, page.pixels.shape[:2])
    if box is None:
        return None
    rest = layer.rest
    if rest is not None and page.mode != "only":
        left, top = max(int(box[0]) - rest.left, 0), max(int(box[1]) - rest.top, 0)
        right, bottom = int(box[2]) - rest.left, int(box[3]) - rest.top
        part = rest.picture[top : max(bottom, 0), left : max(right, 0)]
        if part.size and text_like(part) is not None:
            return None
    texts = [text for line in layer.lines if (text := _part_in(line, box))]
    return " ".join(texts) if texts else None


def _part_in(line: LayerLine, box: Box) -> str:
    """The words of a line whose middle is in ``box``."""
    kept = []
    for word, (left, top, right, bottom) in _words(line):
        x, y = (left + right) / 2, (top + bottom) / 2
        if box[0] <= x < box[2] and box[1] <= y < box[3]:
            kept.append(word)
    return " ".join(kept)


def place_on(picture: Any, shape: Sequence[int]) -> Box | None:
    """Where on a page of ``shape`` (height, width) a part of it is; None if it is no such part.

    PaddleX gives parts without their place; but they are views into an array of the whole page.
    """
    whole = picture
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    if whole is picture or whole.ndim != 3 or not whole.flags.c_contiguous:
        return None
    height, width = picture.shape[:2]
    turned_shape = (shape[1], shape[0])
    if whole.shape[:2] not in (tuple(shape), turned_shape) or not picture.size:
        return None
    offset = picture.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    row, rest = divmod(offset, whole.strides[0])
    column = rest // whole.strides[1]
    return float(column), float(row), float(column + width), float(row + height)
