"""The formats that need the whole document at once, put together in a child process.

A PDF is an untrusted file, and a Word document is a tree in memory: neither belongs into the
process that answers. The child gets the file, then page after page, and hands the result back in
pieces, so that its parent holds no more than one of these at a time.

Jobs in order: ``begin`` (with the file), ``page`` or ``failed`` for each page, ``finish``, then
``read`` until all was read. One document a process; then it ends.
"""

from __future__ import annotations

import json
import resource
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from serve_app.child.channel import MAX_PAYLOAD_BYTES
from serve_app.document import FileKind, Markdown, PageResult
from serve_app.formats.pieces import Selection
from serve_app.page_codec import decode_result, encode_result
from serve_app.sandbox.parser import ParserLimits, ParserSandbox
from serve_app.settings import DocumentSettings, LimitSettings

FACTORY = "serve_app.formats.assembly:build"
# Seconds of CPU for one document; its request has an earlier deadline mostly.
MOST_CPU_S = 600

AssembledFormat = Literal["pdf", "docx", "docling", "doctags"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be put together.

    Attributes:
        format: of the answer.
        kind: of the file.
        pages: indexes from 0, in the order of the answer.
        name: what the client calls the file; "" if it did not say.
        selection: what of a page is written; all of it in a PDF.
    """

    format: AssembledFormat
    kind: FileKind
    pages: Sequence[int]
    name: str
    selection: Selection

    @property
    def needs_file(self) -> bool:
        """Whether the file itself is part of the answer."""
        return self.format == "pdf"

    def encoded(self) -> bytes:
        """As JSON."""
        facts = {
            "format": self.format,
            "kind": self.kind,
            "pages": list(self.pages),
            "name": self.name[:1000],
            "omitted": sorted(self.selection.omitted),
            "picture_text": self.selection.picture_text,
        }
        return json.dumps(facts).encode()

    @staticmethod
    def decoded(data: bytes) -> Plan:
        """Inverse of ``encoded``."""
        told = json.loads(data)
        selection = Selection(frozenset(told["omitted"]), told["picture_text"])
        return Plan(told["format"], told["kind"], told["pages"], told["name"], selection)


def packed(page: PageResult, format_: AssembledFormat) -> list[bytes]:
    """What the child needs of a page, as parts of a payload."""
    markdown = page.markdown
    if format_ == "pdf":
        markdown = None
    elif markdown is not None:
        markdown = Markdown("", markdown.images, markdown.is_start, markdown.is_end)
    return encode_result(
        replace(
            page,
            pruned_json=b"{}",
            text=(),
            markdown=markdown,
            images={},
            exports={},
            blocks=() if format_ == "pdf" else page.blocks,
        )
    )


class _Builder(Protocol):
    def add(self, page: PageResult) -> None: ...

    def failed(self, index: int, why: str) -> None: ...

    def save(self, notices: Sequence[str]) -> bytes: ...


def build(spec: dict[str, Any]) -> Assembly:
    """The child's side, locked in as what parses a file is; bounds the memory of its process."""
    bytes_ = spec["memory_bytes"]
    resource.setrlimit(resource.RLIMIT_DATA, (bytes_, bytes_))
    assembly = Assembly(
        LimitSettings.model_validate(spec["limits"]),
        DocumentSettings.model_validate(spec["documents"]),
    )
    _load(spec["format"])  # a process that is locked in loads no library
    # What is missing of the locks, the readers' host has logged: they are the same.
    ParserSandbox(ParserLimits(bytes_, MOST_CPU_S, MAX_PAYLOAD_BYTES)).enter()
    return assembly


def _load(format_: AssembledFormat) -> None:
    """Import what the format needs: a Word document needs none of a PDF's, and the other way."""
    if format_ == "docx":
        from serve_app.formats import word  # noqa: F401
    elif format_ in ("docling", "doctags"):
        from serve_app.formats import docling

        docling.warm_up()
    else:
        from PIL import Image

        from serve_app.formats import picture_pdf, searchable_pdf  # noqa: F401

        Image.init()


class Assembly:
    """One document, job after job; see the module."""

    def __init__(self, limits: LimitSettings, documents: DocumentSettings) -> None:
        self._limits, self._documents = limits, documents
        self._builder: _Builder | None = None
        self._result = b""
        self._notices: list[str] = []

    def handle(self, job: dict[str, Any], data: bytes | memoryview) -> list[bytes]:
        """The parts of the answer's payload.

        Raises:
            InvalidFile, EncryptedFile, ImageTooLarge: of the file.
            MemoryError: above the limit.
        """
        match job["op"]:
            case "begin":
                plan = Plan.decoded(bytes(data[: job["plan_bytes"]]))
                self._builder = self._begin(plan, memoryview(data)[job["plan_bytes"] :])
            case "page":
                self._begun.add(decode_result(bytes(data)))
            case "failed":
                self._begun.failed(job["index"], job["why"])
            case "finish":
                self._result = self._begun.save(json.loads(bytes(data)))
                self._builder = None
                told = {"bytes": len(self._result), "notices": self._notices}
                return [json.dumps(told).encode()]
            case "read":
                start = job["offset"]
                return [self._result[start : start + job["bytes"]]]
        return []

    @property
    def _begun(self) -> _Builder:
        assert self._builder is not None, "begin comes first"
        return self._builder

    def _begin(self, plan: Plan, data: memoryview | bytes) -> _Builder:
        # Imported already, see ``_load``.
        if plan.format == "docx":
            from serve_app.formats.word import WordDocument

            return WordDocument(plan.name, plan.selection)
        if plan.format in ("docling", "doctags"):
            from serve_app.formats.docling import Docling

            return Docling(plan.name, plan.selection, tags=plan.format == "doctags")
        from serve_app.formats.searchable_pdf import SearchablePdf

        if plan.kind != "pdf":
            from serve_app.formats.picture_pdf import picture_pdf

            data = picture_pdf(data, plan.kind, self._limits, self._documents)
        made = SearchablePdf(data, plan.pages)
        self._notices = made.notices
        return made
