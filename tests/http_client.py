"""The HTTP application called in process: httpx without a server, and raw ASGI for disconnects."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from serve_app.api.app import build_http_app
from serve_app.settings import AppSettings
from serve_app.testing.service import FakeDocumentService, FakeOperatorService, fake_settings


def http_client(
    service: FakeDocumentService | None = None,
    settings: AppSettings | None = None,
    operator: FakeOperatorService | None = None,
) -> httpx.AsyncClient:
    """A client of an application around ``service``; use it as an async context manager."""
    settings = settings or fake_settings()
    service = service or FakeDocumentService(settings=settings)
    transport = httpx.ASGITransport(build_http_app(service, settings, operator=operator))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


def b64(data: bytes) -> str:
    """The text of PaddleX's ``file``."""
    return base64.b64encode(data).decode()


@dataclass
class RawRequest:
    """One request on the level of ASGI; the client stays until ``leave`` is called.

    The answer's bytes are counted, not kept.
    """

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: list[Mapping[str, Any]] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    body_read: bool = False
    received_bytes: int = 0
    method: str = "POST"

    def leave(self) -> None:
        """Close the connection."""
        self.gone.set()

    async def run(self, app: Callable[[Any, Any, Any], Awaitable[None]]) -> None:
        """Send the request and wait for the application to be done with it."""
        raw = [(k.lower().encode(), v.encode()) for k, v in self.headers.items()]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": raw,
            "client": ("127.0.0.1", 1),
            "server": ("test", 80),
        }
        await app(scope, self._receive, self._send)

    @property
    def status(self) -> int:
        """Status of the answer."""
        return int(self.sent[0]["status"])

    async def _receive(self) -> dict[str, Any]:
        if not self.body_read:
            self.body_read = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Mapping[str, Any]) -> None:
        self.received_bytes += len(message.get("body", b""))
        self.sent.append({**message, "body": None})
