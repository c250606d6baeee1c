"""What a path may look like, before anything looks for its route.

A path that two readers can read in two ways (a proxy with rules and the router behind it, say) is
refused: control characters, encoded slashes, backslashes. One slash at the end is what people
mean by the path without it.
"""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.errors import InvalidPath

# C0, C1 and DEL, Unicode's line and paragraph separators, its direction marks, a backslash.
_NOT_IN_PATHS = re.compile("[\x00-\x1f\x7f-\x9f\\\\\u2028\u2029\u200e\u200f\u202a-\u202e]")
_ENCODED_SLASH = re.compile(rb"%(?:2f|5c)", re.IGNORECASE)


class PathMiddleware:
    """Refuses such paths."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (other ASGI scopes pass through).

        Raises:
            InvalidPath: see the module.
        """
        if scope["type"] == "http":
            check_path(Request(scope))
            scope["path"] = without_last_slash(scope["path"])
        await self._app(scope, receive, send)


def check_path(request: Request) -> None:
    """Refuse a path that can be read in two ways.

    Raises:
        InvalidPath: it has a character, or an encoded one, that no path here has.
    """
    path: str = request.scope["path"]
    if _NOT_IN_PATHS.search(path) or not path.isprintable():
        raise InvalidPath("the path has control characters or backslashes")
    if _ENCODED_SLASH.search(request.scope.get("raw_path") or b""):
        raise InvalidPath("the path has encoded slashes")


def without_last_slash(path: str) -> str:
    """``/v1/parse/`` → ``/v1/parse``; ``/`` and ``//`` stay what they are."""
    return path[:-1] if len(path) > 1 and path[-1] == "/" and path[-2] != "/" else path
