"""The answer of docling-serve: one document in several formats, as members of one JSON object.

Pages are spooled once, as records; then each format is written from them, page by page, into the
answer. What docling-core makes is made in the process that puts documents together.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from serve_app.api.assembled import RecordWriter, read_records
from serve_app.api.context import Deadline
from serve_app.api.docling_request import DoclingOptions, OutputName
from serve_app.api.finish import Finish
from serve_app.api.json_pieces import dump
from serve_app.api.pages import Writer
from serve_app.api.parse_writer import TextWriter, page_markdown
from serve_app.api.spool import Spool
from serve_app.document import DocumentRequest, FailedPage, PageResult
from serve_app.documents.assemble import MarkdownJoiner, replace_pictures
from serve_app.formats.html import HtmlWriter
from serve_app.formats.pieces import Selection
from serve_app.page_codec import encode_result
from serve_app.ports import DocumentService

PLACEHOLDER = "<!-- image -->"
MEMBERS: dict[OutputName, str] = {
    "md": "md_content",
    "json": "json_content",
    "html": "html_content",
    "text": "text_content",
    "doctags": "doctags_content",
}


class DoclingWriter(RecordWriter):
    """See ``pages.AssemblingWriter``.

    Args:
        options: which formats, and how.
        seconds: that the work has taken so far.
    """

    def __init__(
        self,
        service: DocumentService,
        options: DoclingOptions,
        finish: Finish,
        seconds: Callable[[], float],
    ) -> None:
        selection = Selection(finish.omitted, finish.picture_text == "keep")
        super().__init__(service, "docling", selection)
        self._options, self._seconds = options, seconds
        self.media_type = "application/json"

    def packed(self, page: PageResult) -> list[bytes]:
        """All that any of the formats needs."""
        return encode_result(replace(page, pruned_json=b"{}", images={}, exports={}))

    async def assemble(
        self, records: Spool, result: Spool, document: DocumentRequest, deadline: Deadline
    ) -> Sequence[str]:
        """Write format after format; what more there is to tell."""
        more: list[str] = []
        name = {"filename": document.name or "document"}
        await _put(result, b'{"document":' + dump(name)[:-1])
        for format_, member in MEMBERS.items():
            if format_ not in self._options.to_formats:
                await _put(result, f',"{member}":null'.encode())
                continue
            await _put(result, f',"{member}":'.encode())
            if format_ == "json":
                more += await self.put_together("docling", records, result, document, deadline)
            elif format_ == "doctags":
                more += await self.put_together("doctags", records, result, document, deadline)
            else:
                await self._written(self._writer(format_), records, result, document)
        await _put(result, b"}," + dump(self._ending())[1:])
        return list(dict.fromkeys(more))

    async def _written(
        self, writer: Writer, records: Spool, result: Spool, document: DocumentRequest
    ) -> None:
        """One of our own formats, as a JSON string."""
        await _put(result, b'"')
        await result.append(lambda: escaped(writer.head(document)))
        notices: Sequence[str] = ()
        async for item in self._items(records):
            if isinstance(item, list):
                notices = item
            elif isinstance(item, FailedPage):
                await result.append(partial(_escaped_by, writer.failed, item))
            else:
                await result.append(partial(_escaped_by, writer.page, item))
        await result.append(lambda: escaped(writer.tail(document, notices)))
        await _put(result, b'"')

    def _items(self, records: Spool) -> AsyncIterator[PageResult | FailedPage | list[str]]:
        return read_records(records, self._failures)

    def _writer(self, format_: OutputName) -> Writer:
        if format_ == "html":
            return HtmlWriter(self._selection)
        return TextWriter() if format_ == "text" else DoclingMarkdown(self._options)

    def _ending(self) -> dict[str, object]:
        errors = [
            {
                "component_type": "model",
                "module_name": "page",
                "error_message": f"Page {page.index + 1}: {page.error.client_message}",
                "page_no": page.index + 1,
            }
            for page in self._failures.values()
        ]
        return {
            "status": "partial_success" if errors else "success",
            "errors": errors,
            "processing_time": round(self._seconds(), 3),
            "timings": {},
        }


class DoclingMarkdown:
    """Markdown as docling's clients ask for it: pictures embedded or marked, pages set apart."""

    media_type = "text/markdown; charset=utf-8"

    def __init__(self, options: DoclingOptions) -> None:
        self._break = options.md_page_break_placeholder
        self._embedded = options.image_export_mode == "embedded"
        self._joiner = MarkdownJoiner()
        self._first = True

    def head(self, document: DocumentRequest) -> Iterator[bytes]:
        """Nothing."""
        yield b""

    def page(self, page: PageResult) -> Iterator[bytes]:
        """The page, with what separates it from the one before."""
        if self._embedded or page.markdown is None:
            markdown = page_markdown(page, "data_uri")
        else:
            known = page.markdown.images
            text = replace_pictures(
                page.markdown.text,
                lambda key: PLACEHOLDER if key in known or key.startswith("imgs/") else None,
            )
            markdown = replace(page.markdown, text=text, images={})
        if self._break:
            # A paragraph is cut by the mark, as docling does it.
            before = "" if self._first else f"\n\n{self._break}\n\n"
            yield (before + markdown.text).encode("utf-8", "replace")
        else:
            yield self._joiner.add(markdown).encode("utf-8", "replace")
        self._first = False

    def failed(self, page: FailedPage) -> Iterator[bytes]:
        """Only its break; ``errors`` says which it was."""
        if self._break and not self._first:
            yield f"\n\n{self._break}\n\n".encode()
        self._first = False

    def tail(self, document: DocumentRequest, notices: Sequence[str]) -> Iterator[bytes]:
        """Nothing."""
        yield b""


async def _put(spool: Spool, piece: bytes) -> None:
    await spool.append(lambda: [piece])


def _escaped_by(write: Callable[..., Iterable[bytes]], item: object) -> Iterator[bytes]:
    return escaped(write(item))


def escaped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """As the inside of a JSON string; each piece is whole UTF-8."""
    return (_escaped_text(piece) for piece in pieces)


def _escaped_text(piece: bytes) -> bytes:
    return json.dumps(piece.decode("utf-8", "replace"), ensure_ascii=False)[1:-1].encode()
