"""/v1/uploads: a large file in parts, which goes on where it broke off.

Plain ranges, as ``curl -T FILE -C OFFSET`` sends them. What comes is stored every few megabytes, so
that of a request that breaks off only what had not come is sent again.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.params import Depends
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from serve_app.api import upload_examples as examples
from serve_app.api.arrival import arrival_of
from serve_app.api.auth import caller_of
from serve_app.api.body import TOTAL_KEY, Body, declared_bytes
from serve_app.api.connection import before, given_up
from serve_app.api.content_encoding import HEADER as ENCODING_HEADER
from serve_app.api.context import context_of, deadline_of
from serve_app.api.parse_params import once
from serve_app.api.upload_views import upload_view
from serve_app.errors import BodyTooSlow, InvalidRequest, RequestTooLarge
from serve_app.jobs.uploads import StoredUploads
from serve_app.policy.job import Job
from serve_app.policy.upload_parts import received
from serve_app.settings import AppSettings

PATH = "/v1/uploads"
RANGE_HEADER = "Content-Range"
# Names that other protocols for uploads have for it.
OFFSET_HEADER, LENGTH_HEADER = "upload-offset", "upload-length"
# Held in memory for each that is on its way, and lost if it breaks off with a server.
PART_BYTES = 8 * 2**20
MAX_NAME_CHARS = 255
_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)")


@dataclass(frozen=True, slots=True)
class Range:
    """Where a part begins, and how many bytes it has; None: it does not say."""

    at: int
    size_bytes: int | None


class UploadRoutes:
    """The handlers."""

    def __init__(self, settings: AppSettings, uploads: StoredUploads) -> None:
        self._settings, self._uploads = settings, uploads

    def router(self, client: Depends, place: Depends) -> APIRouter:
        """The routes with their documentation; ``place`` is for the one that takes a body."""
        router = APIRouter(tags=["Uploads"], dependencies=[client])
        one = f"{PATH}/{{upload_id}}"
        router.add_api_route(PATH, self.begin, methods=["POST"], **examples.begin(self._settings))
        router.add_api_route(PATH, self.listed, **examples.LIST)
        router.add_api_route(one, self.status, **examples.STATUS)
        router.add_api_route(one, self.status, methods=["HEAD"], include_in_schema=False)
        held = [place]
        router.add_api_route(one, self.put, methods=["PUT"], dependencies=held, **examples.PUT)
        router.add_api_route(one, self.delete, methods=["DELETE"], **examples.DELETE)
        return router

    async def begin(self, request: Request) -> Response:
        """Announce a file; its parts are sent to the answer's `Location`."""
        query = once(request.query_params.multi_items())
        size_bytes, name = self._announced(query)
        kept = await self._uploads.begin(caller_of(request).name, size_bytes, name)
        context_of(request).facts["upload"] = kept.id
        prefix = request.scope.get("root_path", "").rstrip("/")
        headers = {"location": f"{prefix}{PATH}/{kept.id}"}
        return _answer(kept, name, 201, headers)

    async def listed(self, request: Request) -> Response:
        """The caller's uploads, newest first."""
        found = await self._uploads.listed(caller_of(request))
        return JSONResponse({"uploads": [upload_view(upload, name) for upload, name in found]})

    async def status(self, upload_id: str, request: Request) -> Response:
        """How far an upload got."""
        return _answer(*await self._uploads.get(upload_id, caller_of(request)))

    async def put(self, upload_id: str, request: Request) -> Response:
        """The next part; without `Content-Range` it is the whole file."""
        deadline = deadline_of(request, self._settings.gateway.request_timeout_s)
        upload, name = await self._uploads.get(upload_id, caller_of(request))
        given = range_of(request, upload)
        self._uploads.check(upload, given.at, given.size_bytes or 0)
        body = arrival_of(request).body
        self._check_size(request)
        taking = _Taking(self._uploads, upload, given.size_bytes)
        try:
            await before(deadline, taking.run(body), given_up(request))
        finally:
            facts = {"upload": upload_id, "file_bytes": body.size_bytes}
            context_of(request).facts |= facts
        return _answer(taking.upload, name)

    def _check_size(self, request: Request) -> None:
        """As ``Body.chunks`` does; but who sends a whole file hears how it comes nevertheless."""
        size_bytes, most = declared_bytes(request.headers), self._settings.limits.max_request_bytes
        if size_bytes > most:
            what = f"The size in bytes of a part (send several, each with `{RANGE_HEADER}`)"
            raise RequestTooLarge(what, size_bytes, most, "limits.max_request_bytes")

    async def delete(self, upload_id: str, request: Request) -> Response:
        """Forget an upload, whole or not."""
        caller = caller_of(request)
        _, name = await self._uploads.get(upload_id, caller)
        upload = await self._uploads.delete(upload_id, caller)
        return JSONResponse({**upload_view(upload, name), "deleted": True})

    def _announced(self, query: dict[str, str]) -> tuple[int, str]:
        """The size and the name of a file that is to come."""
        text, name = query.pop("bytes", ""), query.pop("name", "")
        if query:
            raise InvalidRequest(f"`{next(iter(query))[:64]}` is not one of bytes, name")
        if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text)):
            raise InvalidRequest(
                "`bytes` must be the size of the file: in a shell, "
                f'"{PATH}?bytes=$(stat -c %s FILE)"; the file itself is sent by PUT then'
            )
        if len(name) > MAX_NAME_CHARS or not name.isprintable():
            raise InvalidRequest(f"`name` must have at most {MAX_NAME_CHARS} printable characters")
        most = self._settings.gateway.max_body_bytes_total
        if int(text) > most:  # who parses it could not hold it
            raise RequestTooLarge("The size of the file in bytes", int(text), most, TOTAL_KEY)
        return int(text), name


class _Taking:
    """A request's body on its way into an upload.

    Attributes:
        upload: as it is by now.
    """

    def __init__(self, uploads: StoredUploads, upload: Job, size_bytes: int | None) -> None:
        self._uploads, self.upload = uploads, upload
        self._left = upload.missing_bytes if size_bytes is None else size_bytes
        self._part = bytearray()

    async def run(self, body: Body) -> None:
        """Store it part by part; what came of one that breaks off, too.

        Raises: as ``Body.chunks`` and ``StoredUploads.append``.
        """
        try:
            async with aclosing(body.chunks()) as chunks:
                async for chunk in chunks:
                    await self._take(chunk)
        except (ClientDisconnect, BodyTooSlow, asyncio.CancelledError):
            await asyncio.shield(self._store())
            raise
        await self._store()

    async def _take(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        if self._left < 0:
            raise InvalidRequest("The body has more bytes than the upload, or Content-Range, says")
        self._part += chunk
        if len(self._part) >= PART_BYTES:
            await self._store()

    async def _store(self) -> None:
        part, self._part = self._part, bytearray()
        if part:
            self.upload = await self._uploads.append(self.upload, part)


def range_of(request: Request, upload: Job) -> Range:
    """What the request says of its body.

    Raises:
        InvalidRequest: it cannot be read, or is not of this upload.
    """
    headers, plain = request.headers, ENCODING_HEADER not in request.headers
    declared = declared_bytes(headers) if plain and "content-length" in headers else None
    text = headers.get(RANGE_HEADER)
    if text is None:
        return Range(0, declared)
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        raise InvalidRequest(
            "`Content-Range` must be as `bytes 0-1048575/5000000`: the first byte of this part, "
            "its last one, and the size of the file"
        )
    first, last = int(found[1]), int(found[2])
    if found[3] not in ("*", str(upload.input_bytes)):
        raise InvalidRequest(
            f"The upload was begun with {upload.input_bytes} bytes, and `Content-Range` says "
            f"{found[3]}"
        )
    size_bytes = last - first + 1
    if size_bytes < 1 or declared not in (None, size_bytes):
        raise InvalidRequest(
            f"`Content-Range` says {size_bytes} bytes, and the body has {declared}"
        )
    return Range(first, size_bytes)


def _answer(
    upload: Job, name: str, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    numbers = {OFFSET_HEADER: str(received(upload)), LENGTH_HEADER: str(upload.input_bytes)}
    view: dict[str, Any] = upload_view(upload, name)
    return JSONResponse(view, status, {**numbers, **(headers or {})})
