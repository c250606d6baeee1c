"""A page as it goes to an engine."""

from __future__ import annotations

from dataclasses import dataclass

from serve_app.documents.text_layer.values import PageLayer, Pixels


@dataclass(frozen=True, slots=True)
class PageInput:
    """What the file says of a page: its picture (see ``render.py``), and the text of a PDF.

    ``layer`` is None if it was not asked for, or the file is no PDF.
    """

    pixels: Pixels
    layer: PageLayer | None = None
