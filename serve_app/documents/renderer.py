"""The worker's renderer: a page of an untrusted file becomes pixels in a process of its own."""

from __future__ import annotations

import math

from serve_app import clock
from serve_app.child.channel import Buffer, SealedFile
from serve_app.document import FileKind
from serve_app.documents import page_parser
from serve_app.documents.page_frame import MAX_HEAD_BYTES
from serve_app.documents.parsers import (
    Crashed,
    OutOfMemory,
    OutOfTime,
    Parsers,
    ParserUnavailable,
)
from serve_app.errors import (
    DeadlineExceeded,
    FileTooDemanding,
    InvalidFile,
    ReplicaUnavailable,
)
from serve_app.sandbox.parser import ParserLimits
from serve_app.settings import DocumentSettings, LimitSettings

# As an engine: it competes with those that answer, see ``engines/paddle.py``.
NICENESS = 10
_BYTES_PER_PIXEL = 3
# The page, and what of it its text layer does not tell.
_PICTURES = 2


class PageRenderer:
    """As many pages at once as its callers ask for: a worker's, those that hold an engine."""

    def __init__(
        self,
        limits: LimitSettings,
        documents: DocumentSettings,
        *,
        factory: str = page_parser.FACTORY,
    ) -> None:
        spec = {
            "limits": limits.model_dump(mode="json"),
            "documents": documents.model_dump(mode="json"),
            "niceness": NICENESS,
        }
        self._timeout_s = documents.render_timeout_s
        self._limits = ParserLimits(
            documents.render_memory_bytes,
            math.ceil(self._timeout_s) + 1,
            _PICTURES * documents.max_render_pixels * _BYTES_PER_PIXEL + MAX_HEAD_BYTES,
        )
        self._parsers = Parsers(
            "page renderer",
            spec,
            self._limits,
            idle_timeout_s=documents.parsers_idle_timeout_s,
            factory=factory,
        )

    def prepare(self) -> None:
        """Start what a page that comes soon will need; whether that fails is told when it comes."""
        self._parsers.prepare()

    def rest(self) -> None:
        """Give back what is kept for the next page, unless one is being rendered."""
        self._parsers.rest()

    async def render(
        self,
        data: Buffer,
        kind: FileKind,
        index: int,
        *,
        with_layer: bool = False,
        deadline_s: float,
    ) -> tuple[SealedFile, int]:
        """The page's frame (``page_frame.py``), and the bytes of memory that it took to make.

        Args:
            data: the whole file.
            kind, index: its format, and which page.
            with_layer: whether a PDF's own text comes with it.
            deadline_s: seconds that the request has left.

        Raises:
            InvalidFile, EncryptedFile, ImageTooLarge: see ``render_page``.
            FileTooDemanding: it took more memory or time than is allowed.
            DeadlineExceeded: the request's own deadline came first.
            ReplicaUnavailable: no process could be had.
        """
        job = {"kind": kind, "index": index, "layer": with_layer}
        timeout_s = min(self._timeout_s, max(deadline_s, 0.001))
        page = f"page {index + 1}"
        try:
            return await self._parsers.run(job, data, timeout_s=timeout_s)
        except OutOfMemory as error:
            raise FileTooDemanding(
                f"memory to render {page}, in bytes (at least),",
                *(error.args[0], self._limits.memory_bytes, "documents.render_memory_bytes"),
            ) from None
        except OutOfTime as error:
            if timeout_s < self._timeout_s:
                raise DeadlineExceeded(f"{page} was still being rendered") from None
            raise FileTooDemanding(
                f"time to render {page}, in seconds (at least),",
                *(error.args[0], self._timeout_s, "documents.render_timeout_s"),
            ) from None
        except Crashed:
            raise InvalidFile(f"{page} cannot be rendered: it breaks the renderer") from None
        except ParserUnavailable:
            raise ReplicaUnavailable("pages cannot be rendered at the moment") from None

    async def close(self) -> None:
        """End all rendering."""
        await self._parsers.close()


class PageSource:
    """A page for the engines that try it: rendered when first asked for, kept until the block ends.

    Attributes:
        render_s: seconds that rendering took; 0 until then.
        render_bytes: memory that it took.
    """

    def __init__(
        self,
        renderer: PageRenderer | None,
        data: Buffer,
        kind: FileKind,
        index: int,
        *,
        with_layer: bool = False,
    ) -> None:
        self._renderer, self._data, self._kind, self._index = renderer, data, kind, index
        self._with_layer = with_layer
        self._frame: SealedFile | None = None
        self.render_s = 0.0
        self.render_bytes = 0

    def __enter__(self) -> PageSource:
        if self._renderer is not None:
            self._renderer.prepare()  # while an engine is waited for
        return self

    def __exit__(self, *_: object) -> None:
        if self._frame is not None:
            self._frame.close()

    async def frame(self, deadline_s: float) -> Buffer | SealedFile:
        """See ``PageRenderer.render``; without a renderer the file as it is."""
        if self._renderer is None:
            return self._data
        if self._frame is None:
            started = clock.now()
            self._frame, self.render_bytes = await self._renderer.render(
                *(self._data, self._kind, self._index),
                with_layer=self._with_layer,
                deadline_s=deadline_s,
            )
            self.render_s = clock.now() - started
        return self._frame
