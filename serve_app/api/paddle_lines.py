"""The Job API's result: lines of JSON, each with some pages in PaddleX's form.

Pictures are URLs here. The text is ASCII: a client splits it with ``splitlines()``, which also
splits at the line separators that a document may have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from serve_app.api.json_pieces import base64_string, dump
from serve_app.api.paddlex_writer import INPUT_IMAGE, OCR_IMAGES, data_info
from serve_app.document import DocumentRequest, FailedPage, Markdown, PageResult

# PaddleX's servers answer so many at once; a line is what clients parse at once.
PAGES_PER_LINE = 10

_NOT_ASCII = re.compile("[^\x00-\x7f]+")


class JsonLinesWriter:
    """One form of answer, see ``pages.Writer``.

    Args:
        log_id: of every line.
        url: the URL of a picture: index of the page, and its name in ``pictures``.
        layout: whether the pages are those of a layout pipeline.
        notice: said in the last line.
    """

    media_type = "application/x-ndjson; charset=utf-8"

    def __init__(
        self, log_id: str, url: Callable[[int, str], str], *, layout: bool, notice: str
    ) -> None:
        self._log_id, self._url, self._layout, self._notice = log_id, url, layout, notice
        self._list_name = "layoutParsingResults" if layout else "ocrResults"
        self._in_line = 0
        self._data_info = b""

    def head(self, document: DocumentRequest) -> Iterator[bytes]:
        """Nothing yet: the first page opens the first line."""
        asked = tuple(document.info.pages[index] for index in document.pages)
        self._data_info = dump(data_info(replace(document.info, pages=asked)))
        yield b""

    def page(self, page: PageResult) -> Iterator[bytes]:
        """One element of a line's list."""
        if self._in_line == PAGES_PER_LINE:
            yield from self._end()
        yield self._start() if not self._in_line else b","
        self._in_line += 1
        yield b'{"prunedResult":' + ascii_json(page.pruned_json)
        yield from self._layout_rest(page) if self._layout else self._ocr_rest(page)
        yield b"}"

    def failed(self, page: FailedPage) -> Iterator[bytes]:
        """The list has one element a page, and no place for one that failed."""
        raise page.error

    def tail(self, document: DocumentRequest, notices: Sequence[str]) -> Iterator[bytes]:
        """The end of the last line, with what was left out."""
        said = [*([self._notice] if self._notice else []), *notices]
        yield from self._end(b',"notices":' + ascii_json(dump(said)) if said else b"")

    def _start(self) -> bytes:
        return b'{"logId":' + dump(self._log_id) + b',"result":{' + dump(self._list_name) + b":["

    def _end(self, more: bytes = b"") -> Iterator[bytes]:
        self._in_line = 0
        yield b'],"dataInfo":' + self._data_info + more
        yield b'},"errorCode":0,"errorMsg":"Success"}\n'

    def _ocr_rest(self, page: PageResult) -> Iterator[bytes]:
        for name, key in OCR_IMAGES:
            if key in page.images:
                yield b"," + dump(name) + b":" + dump(self._url(page.index, drawn_name(key)))

    def _layout_rest(self, page: PageResult) -> Iterator[bytes]:
        markdown = page.markdown or Markdown("\n".join(page.text), {}, True, True)
        names = {key: markdown_name(page.index, key) for key in markdown.images}
        images = {name: self._url(page.index, name) for name in names.values()}
        text = _renamed(markdown.text, names)
        flags = {"text": text, "isStart": markdown.is_start, "isEnd": markdown.is_end}
        yield b',"markdown":' + ascii_json(dump({**flags, "images": images}))
        drawn = {
            key: self._url(page.index, drawn_name(key)) for key in page.images if key != INPUT_IMAGE
        }
        if page.images:
            yield b',"outputImages":' + ascii_json(dump(drawn))
        if INPUT_IMAGE in page.images:
            yield b',"inputImage":' + dump(self._url(page.index, drawn_name(INPUT_IMAGE)))
        if page.exports:
            yield from _exports(page)


def drawn_name(key: str) -> str:
    """The name of a drawn picture as a file."""
    return f"{key}.jpg"


def markdown_name(index: int, key: str) -> str:
    """The name of a picture that the markdown refers to: a plain file name, which is all that
    PaddleOCR's client saves, and one that no other page has."""
    return f"page-{index + 1}-" + key.removeprefix("imgs/").replace("/", "_").replace("\\", "_")


def pictures(page: PageResult) -> dict[str, bytes]:
    """All pictures of a page by their names here."""
    drawn = {drawn_name(key): data for key, data in page.images.items()}
    if page.markdown is None:
        return drawn
    referred = page.markdown.images.items()
    return drawn | {markdown_name(page.index, key): data for key, data in referred}


def _renamed(text: str, names: Mapping[str, str]) -> str:
    """Longest first: a key may be the beginning of another one."""
    if not names:
        return text
    keys = sorted(names, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, keys)), lambda found: names[found[0]], text)


def ascii_json(data: bytes) -> bytes:
    """The same JSON in ASCII; what is not can only be inside strings."""
    if data.isascii():
        return data
    text = data.decode("utf-8", "replace")
    return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text).encode("ascii")


def _exports(page: PageResult) -> Iterator[bytes]:
    yield b',"exports":{'
    for number, (name, data) in enumerate(page.exports.items()):
        yield (b"," if number else b"") + dump(name) + b':{"content":'
        yield from base64_string(data)
        yield b',"fileName":' + dump(f"page-{page.index + 1}.{name}") + b"}"
    yield b"}"
