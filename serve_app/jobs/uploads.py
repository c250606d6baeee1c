"""Files that are uploaded first and named later, by their id: Mistral's /v1/files.

An upload is a record of the jobs' store that has ended before it began: so its owner, the bound on
stored bytes and the sweeper are those of jobs, and no driver ever sees it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Literal

from serve_app.clock import epoch
from serve_app.document import DocumentInfo, FileBytes, PredictOptions
from serve_app.errors import FileNotKept, OcrServeError
from serve_app.jobs.caller import Caller
from serve_app.jobs.ports import FileStore, JobStore
from serve_app.jobs.records import JobSpec
from serve_app.policy.job import Job
from serve_app.policy.job_queue import QueueBounds

KIND: Literal["upload"] = "upload"
# Listed by it; no client's batch of jobs has this name and this kind.
BATCH = "uploads"
CONTENT = "input"
MAX_LISTED = 1000


class StoredUploads:
    """They are deleted like the results of jobs, by time or by their owner.

    Args:
        store, files: those of the jobs.
        retention_s: each is kept this long.
    """

    def __init__(
        self, store: JobStore, files: FileStore, bounds: QueueBounds, retention_s: float
    ) -> None:
        self._store, self._files = store, files
        self._bounds, self._retention_s = bounds, retention_s

    async def add(self, owner: str, data: FileBytes, info: DocumentInfo, name: str) -> Job:
        """Keep a file.

        Raises:
            OcrServeError: see ``job_queue.refusal``, and the stores.
        """
        at = epoch()
        upload = Job(
            id=str(uuid.uuid4()),
            owner=owner,
            model="",
            priority="batch",
            pages=0,
            submitted_at=at,
            deadline_at=at,
            state="done",
            ended_at=at,
            expires_at=at + self._retention_s,
            input_bytes=len(data),
            kind=KIND,
            batch=BATCH,
        )
        spec = JobSpec(info, (), PredictOptions(), {}, name)
        await self._files.put(upload.id, CONTENT, [data])
        try:
            return await self._store.add(upload, spec, self._bounds)
        except OcrServeError:
            await self._files.delete(upload.id)
            raise

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

    async def data(self, upload_id: str, caller: Caller) -> bytes:
        """Its bytes.

        Raises:
            FileNotKept: see ``get``.
        """
        await self.get(upload_id, caller)
        data = await self._files.get(upload_id, CONTENT)
        if data is None:
            raise _not_kept(upload_id)
        return data

    async def listed(self, caller: Caller) -> Sequence[tuple[Job, str]]:
        """The caller's, newest first; at most ``MAX_LISTED``."""
        owner = None if caller.all_jobs else caller.name
        found = await self._store.listed(owner, batch=BATCH, limit=MAX_LISTED)
        uploads = [job for job in found if job.kind == KIND]
        specs = [await self._store.spec(job.id) for job in uploads]
        return [(job, spec.name) for job, spec in zip(uploads, specs, strict=True) if spec]

    async def delete(self, upload_id: str, caller: Caller) -> None:
        """Forget one.

        Raises:
            FileNotKept: see ``get``.
        """
        await self.get(upload_id, caller)
        await self._store.remove(upload_id)
        await self._files.delete(upload_id)


def without_uploads(found: Sequence[Job]) -> list[Job]:
    """Only the jobs among them."""
    return [job for job in found if job.kind != KIND]


def _not_kept(upload_id: str) -> FileNotKept:
    return FileNotKept(f"There is no file {upload_id[:64]!r}")
