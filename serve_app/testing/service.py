"""Fakes that ship with the package, and builders for canned values.

``FakeDocumentService`` stands behind the HTTP edge: it reads real headers and gives canned pages.
``FakeOperatorService`` stands behind the operator's routes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from serve_app.document import (
    DocumentInfo,
    DocumentRequest,
    FailedPage,
    FileBytes,
    Line,
    Markdown,
    PageInfo,
    PageResult,
    PredictOptions,
)
from serve_app.documents.inspect import inspect
from serve_app.errors import OcrServeError
from serve_app.formats.assembly import Assembly, Plan, packed
from serve_app.formats.writer import why_failed
from serve_app.messages import TaskKind
from serve_app.ports import ModelStatus, Readiness
from serve_app.recognised import recognised_by
from serve_app.settings import AppSettings


def fake_settings(**changes: object) -> AppSettings:
    """The smallest whole configuration: models ``ocr`` and ``structure``, one CPU pool."""
    args: dict[str, object] = {
        "models": {"ocr": {"pipeline": "OCR"}, "structure": {"pipeline": "PP-StructureV3"}},
        "pools": {"cpu": {"device": "cpu"}},
    }
    return AppSettings.model_validate({**args, **changes})


def canned_page(
    page: PageInfo,
    *,
    lines: Sequence[str] = ("Hello 42",),
    markdown: str | None = None,
    markdown_images: Mapping[str, bytes] | None = None,
    images: Mapping[str, bytes] | None = None,
    exports: Mapping[str, bytes] | None = None,
    notices: Sequence[str] = (),
) -> PageResult:
    """A result for ``page`` without blocks; with ``markdown`` as from a layout pipeline."""
    whole = Markdown(markdown, dict(markdown_images or {}), True, True) if markdown else None
    return PageResult(
        page.index,
        page.width,
        page.height,
        json.dumps({"rec_texts": list(lines)}, ensure_ascii=False).encode(),
        tuple(lines),
        whole,
        dict(images or {}),
        dict(exports or {}),
        tuple(notices),
        lines=tuple(_below_each_other(lines, page)),
    )


def _below_each_other(texts: Sequence[str], size: PageInfo) -> Iterator[Line]:
    """Lines as wide as the page, each a tenth as high."""
    height = size.height / 10
    for number, text in enumerate(texts):
        yield Line(text, (0.0, number * height, float(size.width), (number + 1) * height), 1.0)


def canned_layout_page(page: PageInfo) -> PageResult:
    """The default of the fake: page n says so in a heading and a line."""
    lines = (f"Page {page.index + 1}", "Hello 42")
    return canned_page(page, lines=lines, markdown=f"# {lines[0]}\n\n{lines[1]}")


@dataclass(frozen=True, slots=True)
class PredictCall:
    """What ``predict_pages`` was asked for."""

    request: DocumentRequest
    pages: tuple[int, ...]
    deadline_s: float


@dataclass(slots=True)
class FakeDocumentService:
    """A ``DocumentService`` without engines.

    Attributes:
        page: makes the result of a page.
        errors: raised instead of a result, by page index; or yielded, if the request asks for it.
        inspect_error: raised by ``inspect``.
        blocked: set it up as an event to hold every page back until it is set.
        ready: answer of ``readiness``.
        calls: every call of ``predict_pages`` that was begun.
        keep_calls: whether to keep them, with their files.
        begun: set with the first of them.
        yielded: page indexes handed out.
        ended: iterators that were run to their end, failed or were closed.
    """

    page: Callable[[PageInfo], PageResult] = canned_layout_page
    errors: Mapping[int, Exception] = field(default_factory=dict)
    inspect_error: Exception | None = None
    blocked: asyncio.Event | None = None
    ready: bool = True
    settings: AppSettings = field(default_factory=fake_settings)
    calls: list[PredictCall] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    yielded: list[int] = field(default_factory=list)
    ended: int = 0
    keep_calls: bool = True

    async def inspect(self, data: FileBytes) -> DocumentInfo:
        """The real headers of ``data``, under the real limits."""
        if self.inspect_error is not None:
            raise self.inspect_error
        return inspect(memoryview(data), self.settings.limits, self.settings.documents)

    async def predict_pages(
        self, request: DocumentRequest, pages: Iterable[int], *, deadline_s: float
    ) -> AsyncIterator[PageResult | FailedPage]:
        """Canned pages, in order; what was not asked for is left out as an engine would."""
        if self.keep_calls:
            self.calls.append(PredictCall(request, tuple(pages), deadline_s))
        self.begun.set()
        try:
            for index in pages:
                if self.blocked is not None:
                    await self.blocked.wait()
                if index in self.errors:
                    error = self.errors[index]
                    if request.on_page_error == "fail" or not isinstance(error, OcrServeError):
                        raise error
                    yield FailedPage(index, error)
                    continue
                self.yielded.append(index)
                yield _as_asked(self.page(request.info.pages[index]), request.options)
        finally:
            self.ended += 1

    @contextlib.asynccontextmanager
    async def assemble(
        self, plan: Plan, data: FileBytes, *, deadline_s: float
    ) -> AsyncIterator[FakeAssembledDocument]:
        """The real thing, in this process."""
        assembly = Assembly(self.settings.limits, self.settings.documents)
        yield FakeAssembledDocument(assembly, plan, bytes(data))

    async def models(self) -> Sequence[ModelStatus]:
        """All unloaded."""
        declared = self.settings.models.items()
        return [
            ModelStatus(name, model.pipeline, "UNLOADED", **asdict(recognised_by(model)))
            for name, model in declared
        ]

    async def readiness(self) -> Readiness:
        """As ``ready`` says."""
        pools = {name: {"ready": self.ready, "replicas": int(self.ready)} for name in self.pools}
        return Readiness(self.ready, pools)

    @property
    def pools(self) -> list[str]:
        """Names of the declared pools."""
        return list(self.settings.pools)


class FakeAssembledDocument:
    """An ``AssembledDocument`` without a process of its own."""

    def __init__(self, assembly: Assembly, plan: Plan, data: bytes) -> None:
        self._assembly, self._format = assembly, plan.format
        encoded = plan.encoded()
        self._assembly.handle({"op": "begin", "plan_bytes": len(encoded)}, encoded + data)
        self._size_bytes = 0

    async def page(self, page: PageResult) -> None:
        """Add a page."""
        self._assembly.handle({"op": "page"}, b"".join(packed(page, self._format)))

    async def failed(self, page: FailedPage) -> None:
        """Say in its place that a page failed."""
        self._assembly.handle({"op": "failed", "index": page.index, "why": why_failed(page)}, b"")

    async def finish(self, notices: Sequence[str]) -> Sequence[str]:
        """Complete it."""
        (told,) = self._assembly.handle({"op": "finish"}, json.dumps(list(notices)).encode())
        self._size_bytes = json.loads(told)["bytes"]
        more: list[str] = json.loads(told)["notices"]
        return more

    async def read(self) -> AsyncIterator[bytes]:
        """In small pieces."""
        for offset in range(0, self._size_bytes, 1000):
            yield self._assembly.handle({"op": "read", "offset": offset, "bytes": 1000}, b"")[0]


@dataclass(slots=True)
class FakeOperatorService:
    """An ``OperatorService`` that notes what was asked and does nothing.

    Attributes:
        calls: names of the methods that were called.
    """

    calls: list[str] = field(default_factory=list)

    async def memory(self) -> Sequence[dict[str, Any]]:
        """No domains."""
        self.calls.append("memory")
        return []

    async def history(self, since: float) -> dict[str, Any]:
        """No domains."""
        self.calls.append("history")
        return {"domains": []}

    async def tasks(self, limit: int, kind: TaskKind | None = None) -> Sequence[dict[str, Any]]:
        """No tasks."""
        self.calls.append("tasks")
        return []

    async def load(self, model: str, pool: str | None, timeout_s: float) -> dict[str, Any]:
        """Done."""
        self.calls.append("load")
        return {"done": True}

    async def unload(self, model: str, timeout_s: float) -> dict[str, Any]:
        """Done."""
        self.calls.append("unload")
        return {"done": True}

    async def pin(self, model: str, pinned: bool) -> None:
        """Done."""
        self.calls.append("pin" if pinned else "unpin")


def _as_asked(page: PageResult, options: PredictOptions) -> PageResult:
    markdown = page.markdown
    if markdown is not None and not options.markdown_images:
        markdown = replace(markdown, images={})
    exports = {name: page.exports[name] for name in options.output_formats if name in page.exports}
    images = page.images if options.visualize or options.page_image else {}
    return replace(page, markdown=markdown, images=images, exports=exports)
