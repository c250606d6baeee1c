"""The gateway's reader of untrusted files: headers only, each in a process of its own."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from typing import Any, Final, get_args

from serve_app.child.channel import Buffer
from serve_app.document import DocumentInfo, FileKind, PageInfo
from serve_app.documents import header_parser
from serve_app.documents.page_limits import check_page_count
from serve_app.documents.parsers import (
    Crashed,
    OutOfMemory,
    OutOfTime,
    Parsers,
    ParserUnavailable,
)
from serve_app.errors import FileTooDemanding, InvalidFile, QueueFull, ReplicaUnavailable
from serve_app.sandbox.parser import ParserLimits
from serve_app.settings import DocumentSettings, GatewaySettings, LimitSettings

# Sizes of pages as JSON: 32 MiB are a million pages.
MAX_ANSWER_BYTES = 32 * 2**20
MAX_NOTICE_CHARS = 300
KINDS: Final[tuple[str, ...]] = get_args(FileKind)


class DocumentReader:
    """At most ``gateway.readers`` files at once; the others wait in the order they came."""

    def __init__(
        self,
        limits: LimitSettings,
        documents: DocumentSettings,
        gateway: GatewaySettings,
        *,
        factory: str = header_parser.FACTORY,
    ) -> None:
        spec = {
            "limits": limits.model_dump(mode="json"),
            "documents": documents.model_dump(mode="json"),
        }
        self._settings, self._documents = limits, documents
        self._timeout_s = gateway.inspect_timeout_s
        self._limits = ParserLimits(
            documents.reader_memory_bytes, math.ceil(self._timeout_s) + 1, MAX_ANSWER_BYTES
        )
        self._parsers = Parsers(
            "document reader",
            spec,
            self._limits,
            idle_timeout_s=documents.parsers_idle_timeout_s,
            factory=factory,
        )
        self._places = asyncio.Semaphore(gateway.readers)

    async def inspect(self, data: Buffer) -> DocumentInfo:
        """What the file's headers say; see ``documents.inspect.inspect``.

        Raises:
            InvalidFile: also when reading it crashed.
            FileTooDemanding: it took more memory or time than is allowed.
            QueueFull: no place to read it in came free in time.
            ReplicaUnavailable: no reader could be had.
        """
        try:
            await asyncio.wait_for(self._places.acquire(), self._timeout_s)
        except asyncio.TimeoutError:
            raise QueueFull("all readers of files are busy (gateway.readers)") from None
        try:
            return await self._read(data)
        finally:
            self._places.release()

    async def close(self) -> None:
        """End all reading."""
        await self._parsers.close()

    async def _read(self, data: Buffer) -> DocumentInfo:
        try:
            payload, _ = await self._parsers.run({}, data, timeout_s=self._timeout_s)
        except OutOfMemory as error:
            raise FileTooDemanding(
                "memory to read the file's headers, in bytes (at least),",
                *(error.args[0], self._limits.memory_bytes, "documents.reader_memory_bytes"),
            ) from None
        except OutOfTime as error:
            raise FileTooDemanding(
                "time to read the file's headers, in seconds (at least),",
                *(error.args[0], self._timeout_s, "gateway.inspect_timeout_s"),
            ) from None
        except Crashed:
            raise InvalidFile("the file cannot be read: it breaks the reader") from None
        except ParserUnavailable:
            raise ReplicaUnavailable("files cannot be read at the moment") from None
        try:
            return self._decoded(payload.read())
        except (ValueError, TypeError, KeyError, RecursionError):
            raise InvalidFile("the file cannot be read: its reader gave no sense") from None
        finally:
            payload.close()

    def _decoded(self, payload: bytes) -> DocumentInfo:
        """Checked once more, for who wrote it has parsed an untrusted file."""
        answer = json.loads(payload)
        pages = tuple(_page(index, told) for index, told in enumerate(answer["pages"]))
        if answer["kind"] not in KINDS or not pages:
            raise ValueError("no such document")
        check_page_count(len(pages), self._settings)
        for page in pages:
            longer, shorter = max(page.width, page.height), min(page.width, page.height)
            if shorter < 1 or longer > self._documents.max_render_side:
                raise ValueError("no such page")
            if longer * shorter > self._documents.max_render_pixels:
                raise ValueError("no such page")
        return DocumentInfo(answer["kind"], pages)


def _page(index: int, told: Mapping[str, Any]) -> PageInfo:
    dpi = told["dpi"]
    return PageInfo(
        index,
        int(told["width"]),
        int(told["height"]),
        None if dpi is None else float(dpi),
        max(int(told["reduced_by"]), 1),
        " ".join(str(told["notice"]).split())[:MAX_NOTICE_CHARS],
    )
