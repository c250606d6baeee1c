"""What the answer as a whole says of text layers: how many lines, and what is missing where."""

from __future__ import annotations

from dataclasses import dataclass, field

from serve_app.document import PageResult
from serve_app.documents.page_ranges import format_page_ranges

LAYER_LINES_HEADER = "x-ocr-layer-lines"


@dataclass(slots=True)
class LayerFacts:
    """Of the pages so far.

    Attributes:
        pages: that were answered.
        lines: from a layer; None if it was asked for on no page.
        missing: sentences with the numbers of the pages that they are about.
    """

    pages: int = 0
    lines: int | None = None
    missing: dict[str, list[int]] = field(default_factory=dict)

    def add(self, page: PageResult) -> None:
        """Take note of a page."""
        self.pages += 1
        if page.text_layer is None:
            return
        self.lines = (self.lines or 0) + page.text_layer.lines
        for sentence in page.text_layer.missing:
            self.missing.setdefault(sentence, []).append(page.index + 1)

    def notices(self) -> list[str]:
        """One each, with the numbers of the pages unless it is about all of them."""
        return [
            sentence if len(numbers) == self.pages else f"{sentence} ({_named(numbers)})"
            for sentence, numbers in self.missing.items()
        ]

    def headers(self) -> dict[str, str]:
        """For the answer."""
        return {} if self.lines is None else {LAYER_LINES_HEADER: str(self.lines)}


def _named(numbers: list[int]) -> str:
    several = "page" if len(numbers) == 1 else "pages"
    return f"{several} {format_page_ranges(sorted(numbers))}"
