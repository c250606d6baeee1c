"""Mistral's files: POST /v1/files keeps a document for /v1/ocr, by its id or by a signed URL."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.params import Depends
from starlette.responses import JSONResponse

from serve_app.api import mistral_examples as examples
from serve_app.api.arrival import arrival_of
from serve_app.api.auth import caller_of
from serve_app.api.connection import before, given_up
from serve_app.api.context import context_of, deadline_of
from serve_app.api.intake import Fetch, Grow
from serve_app.api.job_intake import number
from serve_app.api.jobs import NOT_A_PAGE
from serve_app.api.signed_urls import Links, check, is_signed
from serve_app.api.upload import read_upload
from serve_app.clock import epoch
from serve_app.document import FileBytes
from serve_app.errors import InvalidRequest
from serve_app.jobs.caller import Caller
from serve_app.jobs.service import Jobs
from serve_app.policy.job import Job
from serve_app.ports import DocumentService
from serve_app.settings import AppSettings

PATH = "/v1/files"
SIGNED = "signed"
HOUR_S = 3600
DEFAULT_HOURS, MAX_HOURS = 24.0, 24.0 * 7
# Who has a signed URL needs no key.
BY_URL = Caller(all_jobs=True)


class MistralFileRoutes:
    """The handlers."""

    def __init__(
        self, service: DocumentService, settings: AppSettings, jobs: Jobs, fetch: Fetch
    ) -> None:
        self._service, self._settings, self._fetch = service, settings, fetch
        self._jobs, self._uploads = jobs, jobs.uploads

    def router(self, client: Depends, place: Depends) -> APIRouter:
        """The routes that ask for a key; ``place`` is for those that hold a document."""
        router = APIRouter(tags=["Mistral's API"], dependencies=[client])
        held, one = [place], f"{PATH}/{{file_id}}"
        router.add_api_route(
            PATH, self.upload, methods=["POST"], dependencies=held, **examples.UPLOAD
        )
        router.add_api_route(PATH, self.listed, **examples.FILES)
        router.add_api_route(one, self.retrieve, **examples.FILE)
        router.add_api_route(one, self.delete, methods=["DELETE"], **examples.DELETE)
        router.add_api_route(f"{one}/url", self.url, **examples.URL)
        content = f"{one}/content"
        router.add_api_route(content, self.content, dependencies=held, **examples.CONTENT)
        return router

    def signed_router(self, anybody: Depends, place: Depends) -> APIRouter:
        """The route behind signed URLs."""
        router = APIRouter(tags=["Mistral's API"], dependencies=[anybody, place])
        router.add_api_route(f"{PATH}/{{file_id}}/{SIGNED}", self.signed, **examples.SIGNED)
        return router

    async def upload(self, request: Request) -> Response:
        """Keep a document."""
        deadline = deadline_of(request, self._settings.gateway.request_timeout_s)
        arrival = arrival_of(request)
        upload = await before(deadline, read_upload(arrival.body, self._fetch), given_up(request))
        arrival.enter()
        purpose = upload.fields.get("purpose", "ocr")
        if purpose != "ocr":
            raise InvalidRequest(f"purpose {purpose[:32]!r} is not supported: only ocr is")
        info = await before(deadline, self._service.inspect(upload.data))
        adding = self._uploads.add(caller_of(request).name, upload.data, info, upload.name)
        kept = await before(deadline, adding)
        context_of(request).facts |= {"file_bytes": len(upload.data), "upload": kept.id}
        return JSONResponse(_view(kept, upload.name))

    async def listed(self, request: Request) -> Response:
        """The caller's files, newest first."""
        found = await self._uploads.listed(caller_of(request))
        views = [_view(upload, name) for upload, name in found if not upload.missing_bytes]
        return JSONResponse({"data": views, "object": "list", "total": len(views)})

    async def retrieve(self, file_id: str, request: Request) -> Response:
        """What is known of a file."""
        upload, name = await self._uploads.get(file_id, caller_of(request))
        return JSONResponse({**_view(upload, name), "deleted": False})

    async def delete(self, file_id: str, request: Request) -> Response:
        """Forget a file."""
        await self._uploads.delete(file_id, caller_of(request))
        return JSONResponse({"id": file_id, "object": "file", "deleted": True})

    async def url(self, file_id: str, request: Request) -> Response:
        """A URL that needs no key, for so many hours; not for longer than the file is kept."""
        hours = number(request.query_params.get("expiry", str(DEFAULT_HOURS)))
        if not 0 < hours <= MAX_HOURS:
            raise InvalidRequest(f"`expiry` must be a number of hours, at most {MAX_HOURS:g}")
        upload, _ = await self._uploads.get(file_id, caller_of(request))
        expires = min(int(epoch() + hours * HOUR_S), int(upload.expires_at or 0))
        public = self._settings.jobs.public_url or str(request.base_url)
        links = Links(await self._jobs.secret(), public.rstrip("/") + PATH, file_id, expires)
        return JSONResponse({"url": links.url(SIGNED)})

    async def content(self, file_id: str, request: Request) -> Response:
        """The file itself."""
        arrival = arrival_of(request)
        arrival.enter()
        return await self._download(file_id, caller_of(request), arrival.body.hold)

    async def signed(self, file_id: str, request: Request) -> Response:
        """The file itself, for who has its signed URL."""
        check(request, await self._jobs.secret(), file_id, SIGNED)
        arrival = arrival_of(request)
        arrival.enter()
        return await self._download(file_id, BY_URL, arrival.body.hold)

    async def by_id(self, file_id: str, caller: Caller, grow: Grow) -> FileBytes:
        """A file of the caller's; ``grow`` is asked for room first."""
        data, _ = await self._uploads.read(file_id, caller, grow)
        return data

    async def by_url(self, url: str, grow: Grow) -> FileBytes | None:
        """The file behind a URL that was signed here; None: it is not one."""
        parts = urlsplit(url.strip())
        at = parts.path.rfind(f"{PATH}/")
        file_id, slash, rest = parts.path[at + len(PATH) + 1 :].partition("/")
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        secret = await self._jobs.secret()
        if at < 0 or not slash or not is_signed(query, secret, file_id, rest):
            return None
        return await self.by_id(file_id, BY_URL, grow)

    async def _download(self, file_id: str, caller: Caller, grow: Grow) -> Response:
        data = await self.by_id(file_id, caller, grow)
        headers = {**NOT_A_PAGE, "content-disposition": "attachment"}
        return Response(bytes(data), media_type="application/octet-stream", headers=headers)


def _view(upload: Job, name: str) -> dict[str, Any]:
    return {
        "id": upload.id,
        "object": "file",
        "bytes": upload.input_bytes,
        "created_at": int(upload.submitted_at),
        "expires_at": int(upload.expires_at or 0),
        "filename": name or "document",
        "purpose": "ocr",
        "sample_type": "ocr_input",
        "source": "upload",
        "num_lines": None,
    }
