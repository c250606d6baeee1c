"""The answer of Mistral's POST /v1/ocr, page by page."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serve_app.api.json_pieces import dump
from serve_app.document import Box, DocumentRequest, FailedPage, Markdown, PageInfo, PageResult
from serve_app.documents.assemble import replace_pictures

# Of a picture that does not say: a pixel is a point then.
POINTS_PER_INCH = 72


@dataclass(frozen=True, slots=True)
class Pictures:
    """Which pictures are in the answer.

    Attributes:
        embedded: their bytes, too.
        most: of the whole document; None: all.
        min_side: in pixels; smaller ones are left out.
    """

    embedded: bool = False
    most: int | None = None
    min_side: int = 0


class MistralWriter:
    """One form of answer, see ``pages.Writer``.

    Args:
        model: that answers.
        doc_bytes: the size of the file.
    """

    media_type = "application/json"

    def __init__(self, model: str, doc_bytes: int, pictures: Pictures) -> None:
        self._model, self._doc_bytes, self._pictures = model, doc_bytes, pictures
        self._infos: Sequence[PageInfo] = ()
        self._separator = b""
        self._numbered = 0

    def head(self, document: DocumentRequest) -> Iterator[bytes]:
        """Opens the list."""
        self._infos = document.info.pages
        yield b'{"pages":['

    def page(self, page: PageResult) -> Iterator[bytes]:
        """One element, counted from 0."""
        markdown = page.markdown
        boxes = {block.image: block.box for block in page.blocks if block.image}
        ids = self._ids(_shown(markdown), boxes)
        text = "\n".join(page.text) if markdown is None else _renamed(markdown.text, ids)
        dpi = self._infos[page.index].dpi
        size = {
            "dpi": round(dpi) if dpi else POINTS_PER_INCH,
            "height": page.height,
            "width": page.width,
        }
        facts = {"index": page.index, "markdown": text, "dimensions": size}
        yield self._separator + dump(facts)[:-1] + b',"images":['
        self._separator = b","
        kept = [(key, id_) for key, id_ in ids.items() if id_ is not None]
        for number, (key, id_) in enumerate(kept):
            image = self._image(id_, boxes.get(key), markdown.images[key] if markdown else b"")
            yield (b"," if number else b"") + dump(image)
        yield b"]}"

    def failed(self, page: FailedPage) -> Iterator[bytes]:
        """The list has no place for one that failed."""
        raise page.error

    def tail(self, document: DocumentRequest, notices: Sequence[str]) -> Iterator[bytes]:
        """What it cost; what was left out is ours, and clients ignore it."""
        usage = {"pages_processed": len(document.pages), "doc_size_bytes": self._doc_bytes}
        more: dict[str, Any] = {"model": self._model, "usage_info": usage}
        if notices:
            more["notices"] = list(notices)
        yield b"]," + dump(more)[1:]

    def _ids(self, images: Iterable[str], boxes: Mapping[str, Box]) -> dict[str, str | None]:
        """The name of each picture; None: it is left out."""
        ids: dict[str, str | None] = {}
        for key in images:
            full = self._pictures.most is not None and self._numbered >= self._pictures.most
            if full or self._is_small(boxes.get(key)):
                ids[key] = None
            else:
                ids[key] = f"img-{self._numbered}.jpeg"
                self._numbered += 1
        return ids

    def _is_small(self, box: Box | None) -> bool:
        if box is None:
            return False
        left, top, right, bottom = box
        return min(right - left, bottom - top) < self._pictures.min_side

    def _image(self, id_: str, box: Box | None, data: bytes) -> dict[str, Any]:
        corners = [None] * 4 if box is None else [round(value) for value in box]
        names = ("top_left_x", "top_left_y", "bottom_right_x", "bottom_right_y")
        coded = "data:image/jpeg;base64," + base64.b64encode(data).decode()
        return {
            "id": id_,
            **dict(zip(names, corners, strict=True)),
            "image_base64": coded if self._pictures.embedded else None,
        }


def _shown(markdown: Markdown | None) -> list[str]:
    """Pictures that the text refers to; a page may have others, of tables that were read."""
    keys: list[str] = []
    if markdown is not None:
        replace_pictures(markdown.text, keys.append)
    return [key for key in dict.fromkeys(keys) if key in markdown.images] if markdown else []


def _renamed(text: str, ids: Mapping[str, str | None]) -> str:
    """References to pictures as Mistral writes them; to those that are left out, none."""

    def reference(key: str) -> str | None:
        if key not in ids:
            return None
        id_ = ids[key]
        return "" if id_ is None else f"![{id_}]({id_})"

    return replace_pictures(text, reference)
