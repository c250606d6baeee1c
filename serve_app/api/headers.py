"""Headers of every answer that tell browsers not to make more of it than it is.

An answer holds what an untrusted document said. Read by a program that is data; shown by a browser
under our address it must not become a page that runs scripts as us.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Our own pages (``ui.py``, ``documentation.py``) bring a policy of their own.
HEADERS = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
# What a browser might show rather than store.
FILES = {"text/markdown": 'attachment; filename="document.md"'}


class HeadersMiddleware:
    """Adds them where an answer has none of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (other ASGI scopes pass through)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add(MutableHeaders(scope=message))
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _add(headers: MutableHeaders) -> None:
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    kind = headers.get("content-type", "").partition(";")[0]
    if kind in FILES:
        headers.setdefault("content-disposition", FILES[kind])
