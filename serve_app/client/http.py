"""Jobs of a server, asked for over HTTP: submit, watch, fetch.

What may pass (no room, a server that restarts) is tried again for a while; the rest is an error
with the server's own words.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

# A server that is restarted is back within this.
PATIENCE_S = 120.0
MAX_PAUSE_S = 10.0
WATCH_S = 1.0
UPLOADS = "/v1/uploads"
# Larger files come in parts: a server takes 64 MiB at once unless it is told otherwise.
LARGE_BYTES, PART_BYTES = 32 * 2**20, 16 * 2**20
LATER = frozenset({429, 500, 502, 503, 504})


class ClientError(Exception):
    """A document has no result; ``str()`` says why, for people."""


class NotHere(ClientError):
    """The server has no such thing, or knows it no more."""


class NoJobs(NotHere):
    """The server has no jobs."""


class OffsetMoved(ClientError):
    """A part of a file does not begin where the last one ended."""


class JobClient:
    """Asks one server.

    Args:
        url: of the server.
        key: an API key, if it asks for one.
        patience_s: how long what may pass is tried again.
        transport: for tests; default: real connections.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        patience_s: float = PATIENCE_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        # A page may take minutes, and a whole document of /v1/parse comes at once.
        timeout = httpx.Timeout(660.0, connect=10.0)
        self._http = httpx.AsyncClient(
            base_url=url, headers=headers, timeout=timeout, transport=transport
        )
        self._patience_s = patience_s
        self._uploading = asyncio.Lock()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def submit(self, data: bytes, params: Mapping[str, str], key: str) -> dict[str, Any]:
        """Queue a document; the same ``key`` finds the same job again.

        Raises:
            NoJobs: this server has none.
            ClientError: it refuses the document, or cannot be reached.
        """
        headers = {"idempotency-key": key}
        if len(data) > LARGE_BYTES:
            async with self._uploading:  # two of the same content are one upload
                upload = await self._uploaded(data, key)
                if upload is not None:
                    named = {**params, "upload_id": upload["id"]}
                    answer = await self._ask("POST", "/v1/jobs", json=named, headers=headers)
                    with contextlib.suppress(NotHere):  # the job has a copy of its own
                        await self._ask("DELETE", f"{UPLOADS}/{upload['id']}")
                    return _object(answer)
        headers["content-type"] = "application/octet-stream"
        answer = await self._ask("POST", "/v1/jobs", params=params, content=data, headers=headers)
        return _object(answer)

    async def _uploaded(self, data: bytes, name: str) -> dict[str, Any] | None:
        """A file in parts; one of this name that broke off before goes on. None: not here."""
        try:
            known = _object(await self._ask("GET", UPLOADS))["uploads"]
            same = [one for one in known if (one["name"], one["bytes"]) == (name, len(data))]
            announced = {"name": name, "bytes": str(len(data))}
            upload = (
                same[0] if same else _object(await self._ask("POST", UPLOADS, params=announced))
            )
        except NotHere:
            return None
        path = f"{UPLOADS}/{upload['id']}"
        while (at := int(upload["received"])) < len(data):
            part = data[at : at + PART_BYTES]
            headers = {"content-range": f"bytes {at}-{at + len(part) - 1}/{len(data)}"}
            try:
                answer = await self._ask("PUT", path, content=part, headers=headers)
            except OffsetMoved:  # of an answer that was lost, the part was not
                answer = await self._ask("GET", path)
            upload = _object(answer)
        return upload

    async def watch(self, job_id: str) -> dict[str, Any]:
        """The job, when it has ended or after a second."""
        answer = await self._ask("GET", f"/v1/jobs/{job_id}", params={"wait": f"{WATCH_S:g}"})
        return _object(answer)

    async def forget(self, job_id: str) -> None:
        """Delete an ended job, or cancel one."""
        await self._ask("DELETE", f"/v1/jobs/{job_id}")

    async def fetch(self, job_id: str, params: Mapping[str, str], to: Path) -> None:
        """Write the result of a job that is done to a file."""
        await self._download("GET", f"/v1/jobs/{job_id}/result", to, params=params)

    async def parse(self, data: bytes, params: Mapping[str, str], to: Path) -> None:
        """Without a job: one request, whose answer is written to a file."""
        headers = {"content-type": "application/octet-stream"}
        await self._download("POST", "/v1/parse", to, params=params, content=data, headers=headers)

    async def _download(self, method: str, path: str, to: Path, **more: Any) -> None:
        """To a file beside it first: what has the name is whole."""
        part = to.with_name(to.name + ".part")
        try:
            response = await self._ask(method, path, stream=True, **more)
            try:
                with part.open("wb") as file:
                    async for chunk in response.aiter_bytes():
                        file.write(chunk)
            except httpx.TransportError as error:
                raise ClientError(f"the answer broke off: {type(error).__name__}") from None
            finally:
                await response.aclose()
            part.replace(to)
        finally:
            part.unlink(missing_ok=True)

    async def _ask(
        self, method: str, path: str, *, stream: bool = False, **more: Any
    ) -> httpx.Response:
        """The answer of a request that went well."""
        loop = asyncio.get_running_loop()
        until, pause_s = loop.time() + self._patience_s, 0.5
        while True:
            request = self._http.build_request(method, path, **more)
            try:
                response = await self._http.send(request, stream=True)
                if response.is_success:
                    if not stream:
                        await response.aread()
                    return response
                await response.aread()
                error, later_s = _error(response), _later_s(response)
            except httpx.TransportError as broken:
                where = self._http.base_url
                error, later_s = ClientError(f"{where}: {type(broken).__name__}: {broken}"), 0.0
            if later_s is None or loop.time() >= until:
                raise error
            # Not all at once again.
            await asyncio.sleep(max(later_s, pause_s) * (1 + random.random() / 4))  # nosec B311  # a pause
            pause_s = min(2 * pause_s, MAX_PAUSE_S)


def _later_s(response: httpx.Response) -> float | None:
    """In how many seconds it may go well; None: not at all."""
    if response.status_code not in LATER:
        return None
    if response.status_code in (500, 504) and _is_ours(response):
        return None  # of the document itself; without our envelope, of a gateway that has died
    given = response.headers.get("retry-after", "")
    return min(float(given), MAX_PAUSE_S) if given.isdigit() else 0.0


def _is_ours(response: httpx.Response) -> bool:
    return str(response.headers.get("content-type", "")).startswith("application/json")


def _error(response: httpx.Response) -> ClientError:
    try:
        error = response.json()["error"]
        text = f"{error['code']}: {error['message']}"
    except (ValueError, KeyError, TypeError):
        text = f"the server answered {response.status_code}"
    if response.status_code == 404 and response.request.url.path.endswith("/v1/jobs"):
        return NoJobs(text)
    if text.startswith("upload_offset:"):
        return OffsetMoved(text)
    return NotHere(text) if response.status_code == 404 else ClientError(text)


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        value = response.json()
    except json.JSONDecodeError:
        raise ClientError("the server's answer is not JSON: is this its URL?") from None
    if not isinstance(value, dict):
        raise ClientError("the server's answer is no object: is this its URL?")
    return value
