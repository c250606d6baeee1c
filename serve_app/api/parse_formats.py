"""The formats of /v1/parse: the writer of each, and the headers of its answer."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from urllib.parse import quote

from serve_app.api.assembled import RecordWriter
from serve_app.api.pages import Writer
from serve_app.api.parse_params import Format, ParseParams
from serve_app.api.parse_writer import JsonWriter, MarkdownWriter, TextWriter
from serve_app.formats.alto import AltoWriter
from serve_app.formats.chunks import ChunksWriter
from serve_app.formats.hocr import HocrWriter
from serve_app.formats.html import HtmlWriter
from serve_app.formats.pieces import Selection
from serve_app.ports import DocumentService

# Answers that are files: what their names end with. The others are shown as they come.
EXTENSIONS: Mapping[Format, str] = {
    "html": "html",
    "pdf": "pdf",
    "docx": "docx",
    "hocr": "hocr",
    "alto": "alto.xml",
    "chunks": "chunks.json",
}
DEFAULT_STEM = "document"
MAX_STEM_CHARS = 100
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def writer_for(params: ParseParams, service: DocumentService) -> Writer:
    """The writer of the format that was asked for."""
    match params.format:
        case "markdown":
            return MarkdownWriter(params.images)
        case "json":
            return JsonWriter(params.images, params.finish)
        case "text":
            return TextWriter()
        case "html":
            return HtmlWriter(_selection(params))
        case "pdf" | "docx":
            return RecordWriter(service, params.format, _selection(params))
        case "hocr":
            return HocrWriter()
        case "alto":
            return AltoWriter()
        case "chunks":
            return ChunksWriter(params.chunk_chars, params.chunk_overlap_chars, _selection(params))


def _selection(params: ParseParams) -> Selection:
    return Selection(params.finish.omitted, params.finish.picture_text == "keep")


def headers_for(format_: Format, name: str) -> dict[str, str]:
    """Of an answer that is a file: its name, and that no browser runs anything in it."""
    if format_ not in EXTENSIONS:
        return {}
    return {
        "content-disposition": _attachment(f"{_stem(name)}.{EXTENSIONS[format_]}"),
        "content-security-policy": "sandbox; default-src 'none'; img-src data:; "
        "style-src 'unsafe-inline'",
        "x-content-type-options": "nosniff",
    }


def _stem(name: str) -> str:
    """The client's own name for the file without folders, extension and control characters."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    stem = base.rsplit(".", 1)[0] if "." in base else base
    kept = "".join(char for char in stem if unicodedata.category(char)[0] != "C")
    return kept.strip(" .")[:MAX_STEM_CHARS].strip(" .") or DEFAULT_STEM


def _attachment(name: str) -> str:
    """RFC 6266: a plain name for old clients, the whole one for the others."""
    plain = "".join(char if char in _PLAIN else "_" for char in name)
    if plain == name:
        return f'attachment; filename="{name}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
