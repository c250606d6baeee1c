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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from serve_app.document import Box, TextLayerMode
from serve_app.documents.text_layer.residue import text_like
from serve_app.documents.text_layer.turn import turned
from serve_app.documents.text_layer.values import (
    LayerLine,
    PageLayer,
    Pixels,
)
from serve_app.engines.icons import Icons
from serve_app.engines.layer_check import checked
from serve_app.engines.layer_result import (
    Sources,
    box_of,
    normal,
    not_painted_over,
    with_lines,
    words_of,
)

_OF_LINES = ("rec_texts", "rec_scores", "rec_polys")
# Of a recognised line: below any threshold, so that PaddleX leaves it out.
_LEFT_OUT = {"rec_text": "", "rec_score": -1.0}
# Of a line's box, longer to shorter side; and of the lines' length, for the page.
ELONGATED = 2.0
MOST = 0.7
# Mean score of a page's lines, below which it may be upside down: 0.6 to 0.7 then, else above 0.9.
NONSENSE = 0.8


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
    read: dict[str, Any] = field(default_factory=dict)

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

    def restore(self, result: Any) -> None:
        """Within ``page``: give PP-StructureV3's ``result`` its lines back, as they were read.

        It cuts lines that two of its boxes share, and words between the boxes are lost.
        """
        ocr = result.get("overall_ocr_res")
        if ocr is None or self._page is None or not self._page.read:
            return
        formulas = [i for i, label in enumerate(ocr["rec_labels"]) if label == "formula"]
        for key, lines in self._page.read.items():
            ocr[key] = [*lines, *(ocr[key][i] for i in formulas)]
        ocr["rec_labels"] = ["text"] * len(self._page.read["rec_texts"])
        ocr["rec_labels"] += ["formula"] * len(formulas)
        ocr["rec_boxes"] = np.array([box_of(poly) for poly in ocr["rec_polys"]])
        ocr["rec_sources"] = Sources(ocr["rec_texts"])

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
        if self._classify is None or not stand(list(map(box_of, polys))):
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
                picture = result["doc_preprocessor_res"]["output_img"]
                page.layer = replace(page.layer, lines=not_painted_over(page.layer.lines, picture))
                found = with_lines(result, page.layer.lines, self._recognizer.vis_font)
                page.read = {key: list(found[key]) for key in _OF_LINES}
                yield found
        finally:
            page.detecting = False

    def _recognized(self, original: Any, pictures: Any, **options: Any) -> Iterator[Any]:
        page = self._page
        if page is None or page.layer is None:
            yield from original(pictures, **options)
            return
        if page.detecting:
            icons = Icons(line.text for line in page.layer.lines)
            for result in original(pictures, **options):
                text = result["rec_text"]  # with its words where they are asked for
                icon = icons.has(text if isinstance(text, str) else text[0])
                yield dict(_LEFT_OUT) if icon else result
            return
        for picture in pictures if isinstance(pictures, list) else [pictures]:
            text = _from_layer(page.layer, page, picture)
            if text is not None:
                yield {"rec_text": normal(text), "rec_score": 1.0}
            elif page.mode == "only":
                yield dict(_LEFT_OUT)
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
    left, top, right, bottom = box_of(poly)
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
    for word, (left, top, right, bottom) in words_of(line):
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
