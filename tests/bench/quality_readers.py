"""What reads the files of the quality bench: our server over HTTP, and plain PaddleX in process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from tests.bench.contender import ContenderFailed
from tests.bench.plain import PlainPipeline

TIMEOUT_S = 600.0
ERROR_CHARS = 300


@dataclass(frozen=True, slots=True)
class ReadPage:
    """One page as a reader gave it.

    Attributes:
        lines: the recognised lines.
        markdown: without pictures; empty if the pipeline makes none.
        furniture: what was left out of the markdown, and said so.
    """

    lines: tuple[str, ...]
    markdown: str
    furniture: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """One file through one reader.

    Attributes:
        pages: empty if it failed.
        seconds: until the whole answer was there.
        error: why it failed; empty if it did not.
        notices: what the server left out.
        peak_bytes: of the engine, as the server tells it; 0 if nobody does.
    """

    pages: tuple[ReadPage, ...]
    seconds: float
    error: str = ""
    notices: tuple[str, ...] = ()
    peak_bytes: int = 0


class Reader(Protocol):
    """Reads one file after the other."""

    name: str

    async def read(self, path: Path) -> Reading:
        """The file's pages, or why there are none."""


class ServerReader:
    """POST /v1/parse of a server that is up.

    Args:
        name: of the column.
        http: with the server's base URL.
        query: parameters beside ``format``.
    """

    def __init__(self, name: str, http: httpx.AsyncClient, query: Mapping[str, str]) -> None:
        self.name, self._http = name, http
        self._query = {"format": "json", "images": "omit", **query}

    async def read(self, path: Path) -> Reading:
        """See ``Reader``."""
        files = {"file": (path.name, await asyncio.to_thread(path.read_bytes))}
        began = time.monotonic()
        try:
            answer = await self._http.post(
                "/v1/parse", params=self._query, files=files, timeout=TIMEOUT_S
            )
        except httpx.HTTPError as error:
            return Reading((), time.monotonic() - began, type(error).__name__)
        seconds = time.monotonic() - began
        if answer.status_code != 200:
            return Reading((), seconds, f"{answer.status_code} {_why(answer)}")
        body = answer.json()
        return Reading(
            tuple(server_page(page) for page in body["pages"]),
            seconds,
            notices=tuple(body.get("notices") or ()),
            peak_bytes=int(answer.headers.get("x-ocr-peak-bytes") or 0),
        )


class PlainReader:
    """PaddleX's own pipeline with the same weights; its process is started anew if it dies."""

    name = "PaddleX"

    def __init__(self, pipeline: PlainPipeline) -> None:
        self._pipeline = pipeline
        self._is_up = False

    async def read(self, path: Path) -> Reading:
        """See ``Reader``."""
        if not self._is_up:
            await self._pipeline.start()
            self._is_up = True
        began = time.monotonic()
        try:
            answer = json.loads(await self._pipeline.read_file(path))
        except ContenderFailed as error:
            seconds = time.monotonic() - began
            if not self._pipeline.processes():
                self._is_up = False
                await self._pipeline.stop()
            return Reading((), seconds, str(error)[:ERROR_CHARS])
        pages = [ReadPage(tuple(p["lines"]), p["markdown"] or "") for p in answer["pages"]]
        return Reading(tuple(pages), time.monotonic() - began)


def server_page(page: Mapping[str, Any]) -> ReadPage:
    """One element of ``pages`` in the server's JSON."""
    lines = tuple(_texts(page.get("text") or page.get("lines") or ()))
    return ReadPage(lines, page.get("markdown") or "", tuple(_texts(page.get("furniture") or ())))


def _texts(things: Sequence[Any]) -> list[str]:
    """Of lines or blocks, given as texts or as objects that have one."""
    return [thing if isinstance(thing, str) else str(thing.get("text", "")) for thing in things]


def _why(answer: httpx.Response) -> str:
    try:
        error = answer.json()["error"]
        return f"{error['code']}: {error['message']}"[:ERROR_CHARS]
    except (ValueError, KeyError, TypeError):
        return answer.text[:ERROR_CHARS]
