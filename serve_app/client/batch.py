"""Many documents through one server, some at a time, each as a job.

Interrupted and started again, it goes on: what has a result is left alone, and a job that was
submitted is found again by its idempotency key, which is of its content.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from serve_app.client.files import Document
from serve_app.client.http import ClientError, JobClient, NoJobs

State = Literal["done", "skipped", "failed"]
# Called with the document, its pages done, and all of them (0: not known).
Progress = Callable[[Document, int, int], None]
# Called with a document, and how many have ended with it.
Ended = Callable[[Document, int], None]
ENDED = frozenset({"done", "failed", "cancelled", "expired"})
# A job that failed before is submitted anew, once.
SUBMISSIONS = 2


@dataclass(slots=True)
class Summary:
    """What became of the documents.

    Attributes:
        failures: why, by document.
    """

    states: dict[Document, State] = field(default_factory=dict)
    failures: dict[Document, str] = field(default_factory=dict)
    pages: int = 0

    def count(self, state: State) -> int:
        """How many."""
        return sum(one == state for one in self.states.values())


class Batch:
    """One run.

    Args:
        client: asks the server.
        params: of the request, as POST /v1/parse names them.
        at_once: documents under way.
        force: also those that have a result.
        progress, ended: hear of pages, and of each document's end.
    """

    def __init__(
        self,
        client: JobClient,
        params: Mapping[str, str],
        *,
        at_once: int = 4,
        force: bool = False,
        progress: Progress = lambda document, done, total: None,
        ended: Ended = lambda document, so_far: None,
    ) -> None:
        self._client, self._params = client, params
        self._places, self._force, self._progress = asyncio.Semaphore(at_once), force, progress
        self._ended = ended
        self.summary = Summary()

    async def run(self, documents: Sequence[Document]) -> Summary:
        """All of them; one that fails is no end of the others."""
        await asyncio.gather(*(self._one(document) for document in documents))
        return self.summary

    async def _one(self, document: Document) -> None:
        async with self._places:
            try:
                state = await self._result(document)
            except (ClientError, OSError) as error:
                self.summary.failures[document] = str(error)
                state = "failed"
            self.summary.states[document] = state
            self._ended(document, len(self.summary.states))

    async def _result(self, document: Document) -> State:
        if not self._force and _is_newer(document.target, document.source):
            return "skipped"
        self._progress(document, 0, 0)
        data = await asyncio.to_thread(document.source.read_bytes)
        document.target.parent.mkdir(parents=True, exist_ok=True)
        try:
            job_id = await self._job(document, data)
        except NoJobs:
            await self._client.parse(data, self._params, document.target)
            return "done"
        await self._client.fetch(job_id, self._params_of_result(), document.target)
        return "done"

    async def _job(self, document: Document, data: bytes) -> str:
        """The id of a job that is done."""
        key = _key(data, self._params)
        for attempt in range(SUBMISSIONS):
            job = await self._client.submit(data, self._params, key)
            if job["state"] in ENDED - {"done"} and attempt + 1 < SUBMISSIONS:
                await self._client.forget(job["id"])  # from another run
                continue
            break
        while job["state"] not in ENDED:
            self._progress(document, job["pages"]["done"], job["pages"]["total"])
            job = await self._client.watch(job["id"])
        self._progress(document, job["pages"]["done"], job["pages"]["total"])
        if job["state"] != "done":
            error = job.get("error", {"code": job["state"], "message": f"it was {job['state']}"})
            raise ClientError(f"{error['code']}: {error['message']}")
        self.summary.pages += job["pages"]["done"]
        return str(job["id"])

    def _params_of_result(self) -> dict[str, str]:
        """The form of the answer; the rest is the job's."""
        return {name: self._params[name] for name in ("format",) if name in self._params}


def _key(data: bytes, params: Mapping[str, str]) -> str:
    digest = hashlib.sha256(data)
    digest.update(repr(sorted(params.items())).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _is_newer(target: Path, source: Path) -> bool:
    try:
        return target.stat().st_mtime >= source.stat().st_mtime
    except FileNotFoundError:
        return False
