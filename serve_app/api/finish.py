"""The last step of a page, when all of the document is known: its furniture, its Markdown."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

from serve_app.document import Block, Markdown, PageResult, PredictOptions
from serve_app.layout.furniture import settle
from serve_app.layout.labels import FURNITURE, PICTURES
from serve_app.layout.markdown import Style, write
from serve_app.settings import ModelSettings

FurnitureChoice = Literal["omit", "keep"]
PictureText = Literal["keep", "omit"]


@dataclass(frozen=True, slots=True)
class Finish:
    """How the pages of an answer are finished.

    Attributes:
        furniture: whether running headers, footers and page numbers are in the Markdown.
        picture_text: whether what was read in pictures is.
        ignored: PaddleX's ``markdown_ignore_labels``, if it was given: then blocks with these
            labels are left out, and no others.
        pretty: HTML that centres pictures and draws tables, as PaddleX's.
    """

    furniture: FurnitureChoice = "omit"
    picture_text: PictureText = "keep"
    ignored: tuple[str, ...] | None = None
    pretty: bool = True

    @property
    def omitted(self) -> frozenset[str]:
        """Labels of the blocks that are left out."""
        return FURNITURE if self.omits_furniture else frozenset(self.ignored or ())

    @property
    def omits_furniture(self) -> bool:
        """Whether what is furniture matters."""
        return self.furniture == "omit" and self.ignored is None

    def page(self, page: PageResult, furniture: Collection[int]) -> PageResult:
        """``page`` with its blocks settled and its Markdown written.

        Args:
            page: a result with blocks; one without is as its engine made it.
            furniture: indexes of its lines that are furniture.
        """
        if not page.blocks:
            return page
        if self.ignored is None:
            page = settle(page, furniture)
        written = write(page.blocks, page.lines, page.width, self._style)
        images = page.markdown.images if page.markdown else {}
        markdown = Markdown(written.text, images, written.is_start, written.is_end)
        return replace(page, markdown=markdown)

    def furniture_of(self, page: PageResult) -> list[Block]:
        """The blocks that a finished page's Markdown leaves out."""
        if not self.omits_furniture:
            return []
        return [block for block in page.blocks if block.label in FURNITURE]

    def picture_text_of(self, page: PageResult) -> list[Block]:
        """The pictures whose text the Markdown leaves out."""
        if self.picture_text == "keep":
            return []
        return [block for block in page.blocks if block.label in PICTURES and block.lines]

    @property
    def _style(self) -> Style:
        return Style(self.pretty, self.picture_text == "keep", self.omitted)


DEFAULT = Finish()


def finish_of(options: PredictOptions, model: ModelSettings) -> Finish:
    """How pages are finished that ``model`` predicts with ``options``."""
    ignored = {**model.options, **options.predict}.get("markdown_ignore_labels")
    return Finish(
        ignored=None if ignored is None else tuple(ignored),
        pretty=options.prettify_markdown,
    )
