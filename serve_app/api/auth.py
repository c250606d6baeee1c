"""Who may ask: the middleware that wants an API key, before anything of a body is read.

`Authorization: Bearer KEY` or `token KEY`, in any case. Probes need none, since who probes has no
secrets, and neither does the documentation. The operator's routes need the role ``operator``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api.api_keys import ApiKey, KeySource, find
from serve_app.api.context import context_of
from serve_app.clock import now
from serve_app.errors import Forbidden, TooManyRequests, Unauthorized
from serve_app.policy.key_limits import KeyUse

OPEN_PATHS = frozenset({"/livez", "/readyz", "/health", "/docs", "/openapi.json"})
OPERATOR_PATHS = re.compile(r"/v1/(memory|tasks|models/.+)")
SCHEMES = frozenset({"bearer", "token"})
BUSY_RETRY_S = 1.0


class AuthMiddleware:
    """Lets a request in if its key may send it now.

    Args:
        app: the rest of the application.
        keys: the valid ones.
        clock: seconds, monotonic.
    """

    def __init__(self, app: ASGIApp, keys: KeySource, clock: Callable[[], float] = now) -> None:
        self._app, self._keys, self._clock = app, keys, clock
        self._uses: defaultdict[str, KeyUse] = defaultdict(KeyUse)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (other ASGI scopes pass through).

        Raises:
            Unauthorized: no key, or none that is known.
            Forbidden: the key is not an operator's.
            TooManyRequests: above one of the key's own limits.
        """
        if scope["type"] != "http" or (path := path_of(scope)) in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        key = self._key_of(request)
        context_of(request).facts["api_key"] = key.name
        if OPERATOR_PATHS.fullmatch(path) and key.role != "operator":
            raise Forbidden(f"{path} needs a key with the role `operator`")
        use = self._uses[key.name]
        self._check_limits(key, use)
        use.begin()
        try:
            await self._app(scope, receive, send)
        finally:
            use.end()

    def _key_of(self, request: Request) -> ApiKey:
        scheme, _, presented = request.headers.get("authorization", "").strip().partition(" ")
        if scheme.lower() not in SCHEMES or not presented.strip():
            raise Unauthorized("An API key is needed: send `Authorization: Bearer KEY`")
        key = find(self._keys.current(), presented.strip())
        if key is None:
            raise Unauthorized("This API key is not known here")
        return key

    def _check_limits(self, key: ApiKey, use: KeyUse) -> None:
        most = key.max_concurrent_requests
        if most is not None and use.running >= most:
            what = "The number of this key's requests at once"
            raise TooManyRequests(
                what, use.running + 1, most, "max_concurrent_requests", BUSY_RETRY_S
            )
        wait_s = use.seconds_until_allowed(key.requests_per_minute, self._clock())
        if wait_s > 0:
            most_per_minute = key.requests_per_minute or 0.0
            what = "The number of this key's requests a minute"
            raise TooManyRequests(
                what, int(most_per_minute) + 1, most_per_minute, "requests_per_minute", wait_s
            )


def path_of(scope: Scope) -> str:
    """What the router matches: without the prefix under which the application is mounted."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))
