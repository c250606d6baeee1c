"""What request bodies hold of Serve's own proxy, and of its queues in front of a gateway.

Serve's proxy reads a body as fast as it comes and hands it on without a bound, whether or not the
gateway has asked for it, or has refused the request meanwhile: 64 bodies of 60 MiB over loopback
held up to 575 MiB beside what the gateway had admitted. This middleware runs in the proxy
(``RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`` in ``ray.env``) and asks clients for more only while
all requests together hold less than the window; TCP holds the rest back. What a gateway admits
(``gateway.max_body_bytes_total``) lies below the window, so that a gateway refuses before anybody
waits here for room that does not come.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.changes import Changes
from serve_app.settings import GatewaySettings

VARIABLE = "OCR_SERVE_BODY_WINDOW_BYTES"
# Above what the gateways admit, for bodies that are refused after they have begun to come.
MARGIN = 1.25


class BodyWindow:
    """ASGI: holds back what clients send while the window is full. On one event loop.

    A body's bytes count until its answer is sent: only then are they known to be let go of. Waiting
    has the gateway's deadlines (``gateway.body_grace_s``): it answers 408 to a body that stalls.

    Args:
        app: what comes next.
        limit_bytes: of all bodies together; a piece of one (64 KiB) a request may come on top.
    """

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self._app, self._limit_bytes = app, limit_bytes
        self._changes = Changes()
        self.held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(self, receive)
        try:
            await self._app(scope, body.receive, send)
        finally:
            self.held_bytes -= body.held_bytes
            self._changes.tell()

    async def room(self) -> None:
        """Returns when less is held than may be."""
        while self.held_bytes >= self._limit_bytes:
            await self._changes.wait(timeout_s=1.0)


class _Body:
    """What one request holds of the window."""

    def __init__(self, window: BodyWindow, receive: Receive) -> None:
        self._window, self._receive = window, receive
        self._ended = False
        self.held_bytes = 0

    async def receive(self) -> Message:
        if not self._ended:  # after its end there is only the disconnect to hear of
            await self._window.room()
        message = await self._receive()
        size = len(message.get("body", b""))
        self.held_bytes += size
        self._window.held_bytes += size
        self._ended = not message.get("more_body", False)
        return message


def window_bytes(gateway: GatewaySettings) -> int:
    """The window of a proxy in bytes, for gateways with these settings."""
    return int(MARGIN * gateway.num_replicas * gateway.max_body_bytes_total)


def middlewares() -> list[Middleware]:
    """For Serve; called once in each proxy."""
    limit = int(os.environ.get(VARIABLE) or window_bytes(GatewaySettings()))
    return [Middleware(BodyWindow, limit_bytes=limit)]


def pass_on(environ: MutableMapping[str, str], gateway: GatewaySettings) -> None:
    """Let the proxies that are started from this environment know; a value that is set wins."""
    environ.setdefault(VARIABLE, str(window_bytes(gateway)))
