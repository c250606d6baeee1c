"""Which text layer a page is read with, and what the answer says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serve_app.document import DistrustedText, Line, TextLayerMode, TextLayerUse
from serve_app.documents.page_input import PageInput
from serve_app.documents.text_layer.suspicion import MARK
from serve_app.documents.text_layer.values import PageLayer
from serve_app.engines.layered_ocr import LayeredOcr

UNWARPED = "text_layer: not used, for use_doc_unwarping moves the text of a page"
NO_LAYER = "text_layer=only: no text layer that can be used, and nothing was recognised"
LINES_LEFT_OUT = "text_layer=only: lines of the text layer that cannot be believed were left out"
MARKED = f"text_layer=only: characters of the text layer that mean nothing are {MARK}"
NOT_READ = "text_layer=only: what pictures and drawings may say was not read"


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """``layer`` is None where everything is recognised; the rest is as in ``TextLayerUse``."""

    mode: TextLayerMode
    layer: PageLayer | None = None
    distrusted: tuple[DistrustedText, ...] = ()
    missing: tuple[str, ...] = ()

    def told(self, lines: Sequence[Line]) -> TextLayerUse | None:
        """What the answer says; None where the layer was not asked for."""
        if self.mode == "off":
            return None
        taken = sum(line.source == "layer" for line in lines)
        return TextLayerUse(self.mode, taken, len(lines), self.distrusted, self.missing)


def plan(
    page: PageInput, mode: TextLayerMode, arguments: Mapping[str, Any], ocr: LayeredOcr
) -> LayerPlan:
    """Decide it, with a look at the page if need be.

    Args:
        page: with its layer, unless ``mode`` is ``off``.
        mode: as asked for.
        arguments: of the pipeline's ``predict``.
        ocr: of the engine.
    """
    if mode == "off":
        return LayerPlan(mode)
    if mode == "only":
        return _only(page.layer or PageLayer(()))
    if page.layer is None:
        return LayerPlan(mode)
    if arguments.get("use_doc_unwarping"):
        return LayerPlan(mode, missing=(UNWARPED,) if page.layer.lines else ())
    layer = ocr.checked(page.layer, page.pixels)
    return LayerPlan(mode, layer if layer.lines else None, layer.distrusted)


def _only(layer: PageLayer) -> LayerPlan:
    if not layer.lines:
        return LayerPlan("only", layer, layer.distrusted, (NO_LAYER,))
    missing = []
    if layer.distrusted:
        missing.append(LINES_LEFT_OUT)
    if any(MARK in line.text for line in layer.lines):
        missing.append(MARKED)
    if layer.rest is not None:
        missing.append(NOT_READ)
    return LayerPlan("only", layer, layer.distrusted, tuple(missing))
