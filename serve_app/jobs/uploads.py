"""Files that are uploaded first and named later, by their id: at once (Mistral's /v1/files), or in
parts (/v1/uploads).

An upload is a record of the jobs' store that has ended before it began: so its owner, the bound on
stored bytes and the sweeper are those of jobs, and no driver ever sees it. The bytes of one that
comes in parts count from its beginning, so that a part never finds the store full of others.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from serve_app.clock import epoch
from serve_app.document import DocumentInfo, FileBytes, PredictOptions
from serve_app.errors import (
    FileNotKept,
    JobNotFound,
    OcrServeError,
    RequestTooLarge,
    UploadIncomplete,
    UploadOffset,
)
from serve_app.jobs.caller import Caller
from serve_app.jobs.ports import FileStore, JobStore
from serve_app.jobs.records import JobSpec
from serve_app.policy.job import Job
from serve_app.policy.job_queue import QueueBounds
from serve_app.policy.upload_parts import Part, check_part, part_stored, received
from serve_app.settings import JobSettings

KIND: Literal["upload"] = "upload"
# Listed by it; no client's batch of jobs has this name and this kind.
BATCH = "uploads"
CONTENT = "input"
MAX_LISTED = 1000
# Of a file that has not come yet nothing is known; nor does anybody ask, see ``data``.
UNKNOWN = DocumentInfo("pdf", ())


class StoredUploads:
    """They are deleted like the results of jobs, by time or by their owner.

    Args:
        store, files: those of the jobs.
        settings: limits, and how long each is kept.
    """

    def __init__(
        self, store: JobStore, files: FileStore, bounds: QueueBounds, settings: JobSettings
    ) -> None:
        self._store, self._files = store, files
        self._bounds, self._settings = bounds, settings

    async def add(self, owner: str, data: FileBytes, info: DocumentInfo, name: str) -> Job:
        """Keep a file.

        Raises:
            OcrServeError: see ``job_queue.refusal`` and ``upload_refusal``, and the stores.
        """
        upload = self._record(owner, len(data))
        spec = JobSpec(info, (), PredictOptions(), {}, name)
        await self._files.put(upload.id, CONTENT, [data])
        try:
            return await self._store.add(upload, spec, self._bounds)
        except OcrServeError:
            await self._files.delete(upload.id)
            raise

    async def begin(self, owner: str, size_bytes: int, name: str) -> Job:
        """A file that comes in parts; nothing of it is there yet.

        Raises:
            RequestTooLarge: it has more bytes than ``jobs.max_upload_bytes``.
            OcrServeError: see ``job_queue.refusal`` and ``upload_refusal``, and the store.
        """
        most = self._settings.max_upload_bytes
        if size_bytes > most:
            what = "The size of the file in bytes"
            raise RequestTooLarge(what, size_bytes, most, "jobs.max_upload_bytes")
        upload = replace(self._record(owner, size_bytes), missing_bytes=size_bytes)
        spec = JobSpec(UNKNOWN, (), PredictOptions(), {}, name)
        return await self._store.add(upload, spec, self._bounds)

    def _record(self, owner: str, size_bytes: int) -> Job:
        at = epoch()
        return Job(
            id=str(uuid.uuid4()),
            owner=owner,
            model="",
            priority="batch",
            pages=0,
            submitted_at=at,
            deadline_at=at,
            state="done",
            ended_at=at,
            expires_at=at + self._settings.retention_s,
            input_bytes=size_bytes,
            kind=KIND,
            batch=BATCH,
        )

    def check(self, upload: Job, at: int, size_bytes: int) -> None:
        """Whether a part can be taken, before it is there.

        Raises: as ``check_part``.
        """
        check_part(upload, at, size_bytes, self._settings.max_upload_parts)

    async def append(self, upload: Job, data: FileBytes) -> Job:
        """The upload with the next part, which is durable then.

        Raises:
            UploadOffset: another request was faster.
            FileNotKept: it was deleted meanwhile.
            OcrServeError: see ``check_part``, and the stores.
        """
        name = f"part-{uuid.uuid4().hex[:16]}"
        expires_at = epoch() + self._settings.retention_s
        part = Part(name, received(upload), len(data), expires_at)
        self.check(upload, part.at, part.size_bytes)
        change = partial(part_stored, part=part, most_parts=self._settings.max_upload_parts)
        await self._files.put(upload.id, name, [data])
        try:
            return await self._store.update(upload.id, change)
        except UploadOffset:
            await self._files.delete(upload.id, name)
            raise
        except JobNotFound:
            await self._files.delete(upload.id)
            raise _not_kept(upload.id) from None

    async def get(self, upload_id: str, caller: Caller) -> tuple[Job, str]:
        """An upload, and what its client calls it.

        Raises:
            FileNotKept: there is none, or it is another owner's.
        """
        upload = await self._store.get(upload_id)
        spec = await self._store.spec(upload_id)
        if upload is None or spec is None or upload.kind != KIND:
            raise _not_kept(upload_id)
        if not (caller.all_jobs or upload.owner == caller.name):
            raise _not_kept(upload_id)
        return upload, spec.name

    async def read(
        self, upload_id: str, caller: Caller, grow: Callable[[int], None]
    ) -> tuple[FileBytes, str]:
        """Its bytes, and what its client calls it; ``grow`` is asked for room first.

        Raises:
            FileNotKept: see ``get``.
            UploadIncomplete: not all of them have come.
            OcrServeError: what ``grow`` raises.
        """
        upload, name = await self.get(upload_id, caller)
        if upload.missing_bytes:
            text = f"{received(upload)} of {upload.input_bytes} bytes of the file are there"
            raise UploadIncomplete(text)
        grow(upload.input_bytes)
        return await self._whole(upload), name

    async def _whole(self, upload: Job) -> FileBytes:
        whole = bytearray()
        for part in upload.parts or (CONTENT,):
            piece = await self._files.get(upload.id, part)
            if piece is None:
                raise _not_kept(upload.id)
            if len(piece) == upload.input_bytes:
                return piece  # there is only one: no copy
            whole += piece
        return whole

    async def listed(self, caller: Caller) -> Sequence[tuple[Job, str]]:
        """The caller's, newest first; at most ``MAX_LISTED``."""
        owner = None if caller.all_jobs else caller.name
        found = await self._store.listed(owner, batch=BATCH, limit=MAX_LISTED)
        uploads = [job for job in found if job.kind == KIND]
        specs = [await self._store.spec(job.id) for job in uploads]
        return [(job, spec.name) for job, spec in zip(uploads, specs, strict=True) if spec]

    async def delete(self, upload_id: str, caller: Caller) -> Job:
        """Forget one.

        Raises:
            FileNotKept: see ``get``.
        """
        upload, _ = await self.get(upload_id, caller)
        await self._store.remove(upload_id)
        await self._files.delete(upload_id)
        return upload


def without_uploads(found: Sequence[Job]) -> list[Job]:
    """Only the jobs among them."""
    return [job for job in found if job.kind != KIND]


def _not_kept(upload_id: str) -> FileNotKept:
    return FileNotKept(f"There is no file {upload_id[:64]!r}")
