"""PaddleX's answers, in PaddleX's order of keys.

``PageResult.pruned_json`` is JSON already and goes in as it is. Keys without a value are absent,
but for ``markdown.images``, which is always there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from serve_app.api.json_pieces import base64_object, base64_string, dump
from serve_app.document import DocumentInfo, DocumentRequest, FailedPage, Markdown, PageResult

INPUT_IMAGE = "input_img"

# /ocr has names of its own for three of the pipeline's pictures.
OCR_IMAGES = (
    ("ocrImage", "ocr_res_img"),
    ("docPreprocessingImage", "preprocessed_img"),
    ("inputImage", INPUT_IMAGE),
)


class PaddlexWriter:
    """The envelope around a list of pages; subclasses write one page."""

    media_type = "application/json"
    list_name = ""

    def __init__(self, log_id: str) -> None:
        self._log_id = log_id
        self._separator = b""

    def head(self, document: DocumentRequest) -> Iterator[bytes]:
        """The answer up to its first page."""
        yield b'{"logId":' + dump(self._log_id) + b',"result":{' + dump(self.list_name) + b":["

    def page(self, page: PageResult) -> Iterator[bytes]:
        """One element of the list."""
        yield self._separator + b'{"prunedResult":'
        self._separator = b","
        yield page.pruned_json
        yield from self._rest(page)
        yield b"}"

    def failed(self, page: FailedPage) -> Iterator[bytes]:
        """PaddleX's lists have one element a page, and no place for one that failed."""
        raise page.error

    def tail(self, document: DocumentRequest, notices: Sequence[str]) -> Iterator[bytes]:
        """The answer after its last page."""
        yield b'],"dataInfo":' + dump(data_info(document.info))
        if notices:
            yield b',"notices":' + dump(list(notices))
        yield b'},"errorCode":0,"errorMsg":"Success"}'

    def _rest(self, page: PageResult) -> Iterator[bytes]:
        """The members after ``prunedResult``, each with a comma before it."""
        raise NotImplementedError


class OcrWriter(PaddlexWriter):
    """Answers of POST /ocr."""

    list_name = "ocrResults"

    def _rest(self, page: PageResult) -> Iterator[bytes]:
        for name, key in OCR_IMAGES:
            if key in page.images:
                yield b"," + dump(name) + b":"
                yield from base64_string(page.images[key])


class LayoutParsingWriter(PaddlexWriter):
    """Answers of POST /layout-parsing."""

    list_name = "layoutParsingResults"

    def _rest(self, page: PageResult) -> Iterator[bytes]:
        yield b',"markdown":'
        yield from _markdown(page.markdown or Markdown("\n".join(page.text), {}, True, True))
        if page.images:
            drawn = {key: data for key, data in page.images.items() if key != INPUT_IMAGE}
            yield b',"outputImages":'
            yield from base64_object(drawn)
        if INPUT_IMAGE in page.images:
            yield b',"inputImage":'
            yield from base64_string(page.images[INPUT_IMAGE])
        if page.exports:
            yield from _exports(page)


def _markdown(markdown: Markdown) -> Iterator[bytes]:
    flags = {"text": markdown.text, "isStart": markdown.is_start, "isEnd": markdown.is_end}
    yield dump(flags)[:-1] + b',"images":'
    yield from base64_object(markdown.images)
    yield b"}"


def _exports(page: PageResult) -> Iterator[bytes]:
    yield b',"exports":{'
    for number, (name, data) in enumerate(page.exports.items()):
        yield (b"," if number else b"") + dump(name) + b':{"content":'
        yield from base64_string(data)
        yield b',"fileName":' + dump(f"page-{page.index + 1}.{name}") + b"}"
    yield b"}"


def data_info(info: DocumentInfo) -> dict[str, object]:
    """PaddleX's ``dataInfo``."""
    sizes = [{"width": page.width, "height": page.height} for page in info.pages]
    if info.data_type == "image":
        return {**sizes[0], "type": "image"}
    return {"numPages": len(sizes), "pages": sizes, "type": info.data_type}
