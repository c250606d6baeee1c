"""``Client`` and ``AsyncClient``: the server's API from Python, with the same names in both.

    with Client("http://localhost:8000") as client:
        print(client.parse("paper.pdf", pages="1-3"))
        job = client.submit("book.pdf", format="json")
        job = client.wait(job.id)
        data = client.result(job.id)

Keyword arguments are the parameters of POST /v1/parse by their names there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from serve_app.client.errors import ApiError, JobFailed, JobTimeout, UnexpectedAnswer
from serve_app.client.models import Job

DEFAULT_URL = "http://127.0.0.1:8000"
# Above the server's own deadline, so that its answer is the one that is seen.
TIMEOUT_S = 660.0
WAIT_S = 20.0
File = str | Path | bytes
Param = str | int | float | bool


class _Requests:
    """What both clients have in common: how requests look, and what answers mean."""

    @staticmethod
    def options(key: str | None, timeout_s: float) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return {"headers": headers, "timeout": httpx.Timeout(timeout_s, connect=10.0)}

    @staticmethod
    def document(file: File, params: Mapping[str, Param | None]) -> dict[str, Any]:
        """A request's body and query. A text that is a URL is fetched by the server.

        Raises:
            OSError: the file cannot be read.
        """
        query = {name: _text(value) for name, value in params.items() if value is not None}
        if isinstance(file, str) and file.startswith(("http://", "https://")):
            return {"json": {"url": file}, "params": query}
        data = file if isinstance(file, bytes) else Path(file).read_bytes()
        headers = {"content-type": "application/octet-stream"}
        return {"content": data, "params": query, "headers": headers}

    @staticmethod
    def checked(answer: httpx.Response) -> httpx.Response:
        if answer.is_success:
            return answer
        try:
            error = answer.json()["error"]
            code, message = str(error["code"]), str(error["message"])
        except (ValueError, KeyError, TypeError):
            code, message = "http_error", f"the server answered {answer.status_code}"
        raise ApiError(answer.status_code, code, message, _number(answer.headers))

    @staticmethod
    def job(answer: httpx.Response) -> Job:
        try:
            return Job.from_json(answer.json())
        except (ValueError, KeyError, TypeError):
            raise UnexpectedAnswer("the answer is no job: is this the server's URL?") from None

    @staticmethod
    def done(job: Job) -> Job:
        if job.ended and job.state != "done":
            raise JobFailed(job)
        return job


class Client(_Requests):
    """Asks one server; use it as a context manager, or ``close`` it.

    Args:
        url: of the server.
        key: an API key, if it asks for one.
        timeout_s: of one request.
        transport: for tests; default: real connections.

    Raises (all methods): ApiError: the server refuses; httpx.TransportError: it is not reached.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(base_url=url, transport=transport, **self.options(key, timeout_s))

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def parse(self, file: File, **params: Param | None) -> str:
        """The document as text: Markdown, or as ``format`` says."""
        return self.parse_bytes(file, **params).decode()

    def parse_bytes(self, file: File, **params: Param | None) -> bytes:
        """The same as bytes, for formats that are files."""
        answer = self._http.post("/v1/parse", **self.document(file, params))
        return self.checked(answer).content

    def submit(
        self, file: File, *, idempotency_key: str | None = None, **params: Param | None
    ) -> Job:
        """Queue a document."""
        request = self.document(file, params)
        if idempotency_key is not None:
            request.setdefault("headers", {})["idempotency-key"] = idempotency_key
        return self.job(self.checked(self._http.post("/v1/jobs", **request)))

    def status(self, job_id: str, *, wait_s: float = 0) -> Job:
        """The job, when it has ended or after ``wait_s`` (at most 60)."""
        answer = self._http.get(f"/v1/jobs/{job_id}", params={"wait": f"{wait_s:g}"})
        return self.job(self.checked(answer))

    def wait(self, job_id: str, *, timeout_s: float = 3600.0) -> Job:
        """The job when it is done.

        Raises:
            JobFailed: it has ended otherwise. JobTimeout: not in time.
        """
        until = time.monotonic() + timeout_s
        while (left_s := until - time.monotonic()) > 0:
            job = self.done(self.status(job_id, wait_s=min(WAIT_S, left_s)))
            if job.ended:
                return job
        raise JobTimeout(f"job {job_id} has not ended within {timeout_s:g} s")

    def result(self, job_id: str, **params: Param | None) -> bytes:
        """Its result, in the form that was asked for when it was submitted, or asked for here."""
        query = {name: _text(value) for name, value in params.items() if value is not None}
        answer = self._http.get(f"/v1/jobs/{job_id}/result", params=query)
        return self.checked(answer).content

    def jobs(self, *, limit: int = 100) -> list[Job]:
        """The key's jobs, newest first."""
        answer = self.checked(self._http.get("/v1/jobs", params={"limit": limit}))
        return [Job.from_json(one) for one in answer.json()["jobs"]]

    def cancel(self, job_id: str) -> Job:
        """End a job; delete one that has ended."""
        return self.job(self.checked(self._http.delete(f"/v1/jobs/{job_id}")))


class AsyncClient(_Requests):
    """The same for asyncio; use it as an asynchronous context manager, or ``close`` it."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=url, transport=transport, **self.options(key, timeout_s)
        )

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """See ``Client``."""
        await self._http.aclose()

    async def parse(self, file: File, **params: Param | None) -> str:
        """See ``Client``."""
        return (await self.parse_bytes(file, **params)).decode()

    async def parse_bytes(self, file: File, **params: Param | None) -> bytes:
        """See ``Client``."""
        request = await asyncio.to_thread(self.document, file, params)
        return self.checked(await self._http.post("/v1/parse", **request)).content

    async def submit(
        self, file: File, *, idempotency_key: str | None = None, **params: Param | None
    ) -> Job:
        """See ``Client``."""
        request = await asyncio.to_thread(self.document, file, params)
        if idempotency_key is not None:
            request.setdefault("headers", {})["idempotency-key"] = idempotency_key
        return self.job(self.checked(await self._http.post("/v1/jobs", **request)))

    async def status(self, job_id: str, *, wait_s: float = 0) -> Job:
        """See ``Client``."""
        answer = await self._http.get(f"/v1/jobs/{job_id}", params={"wait": f"{wait_s:g}"})
        return self.job(self.checked(answer))

    async def wait(self, job_id: str, *, timeout_s: float = 3600.0) -> Job:
        """See ``Client``."""
        until = time.monotonic() + timeout_s
        while (left_s := until - time.monotonic()) > 0:
            job = self.done(await self.status(job_id, wait_s=min(WAIT_S, left_s)))
            if job.ended:
                return job
        raise JobTimeout(f"job {job_id} has not ended within {timeout_s:g} s")

    async def result(self, job_id: str, **params: Param | None) -> bytes:
        """See ``Client``."""
        query = {name: _text(value) for name, value in params.items() if value is not None}
        answer = await self._http.get(f"/v1/jobs/{job_id}/result", params=query)
        return self.checked(answer).content

    async def jobs(self, *, limit: int = 100) -> list[Job]:
        """See ``Client``."""
        answer = self.checked(await self._http.get("/v1/jobs", params={"limit": limit}))
        return [Job.from_json(one) for one in answer.json()["jobs"]]

    async def cancel(self, job_id: str) -> Job:
        """See ``Client``."""
        return self.job(self.checked(await self._http.delete(f"/v1/jobs/{job_id}")))


def _text(value: Param) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(headers: httpx.Headers) -> float | None:
    given = headers.get("retry-after", "")
    return float(given) if given.isascii() and given.isdigit() else None
