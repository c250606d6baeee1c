"""Who may ask: every route names the role that it needs, and asks for it before its handler runs.

`Authorization: Bearer KEY` or `token KEY`, in any case; on docling-serve's routes `X-Api-Key: KEY`,
too. An application with a way in that asks nobody is not built (``check_roles``). Probes and the
documentation are for anybody, since who probes has no secrets. Where no keys are in use
``keyless.py`` decides instead.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request

from serve_app.api.api_keys import ApiKey, KeySource, find
from serve_app.api.context import context_of
from serve_app.api.foreign_errors import is_doclings
from serve_app.api.keyless import Keyless
from serve_app.clock import now
from serve_app.errors import Forbidden, TooManyRequests, Unauthorized
from serve_app.jobs.caller import Caller
from serve_app.policy.failed_logins import FailedLogins
from serve_app.policy.key_limits import KeyUse
from serve_app.settings import AppSettings

RouteRole = Literal["anybody", "client", "operator"]
SCHEMES = frozenset({"bearer", "token"})
KEY_HEADER = "x-api-key"
BUSY_RETRY_S = 1.0
ADMITTED, CALLER = "admitted", "caller"


class Guard:
    """Lets a request in if its key may send it now.

    Args:
        keys: the valid ones; None: no key is asked for.
        keyless: decides then.
        settings: limits of keys that have none of their own, and of failures.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        keys: KeySource | None,
        keyless: Keyless,
        settings: AppSettings,
        clock: Callable[[], float] = now,
    ) -> None:
        self._keys, self._keyless, self._clock = keys, keyless, clock
        self._uses: defaultdict[str, KeyUse] = defaultdict(KeyUse)
        self._failed = FailedLogins(settings.auth.failures_per_minute)
        # Below the gate's: one key cannot take all of its places.
        self._most_at_once = settings.auth.max_concurrent_requests or max(
            1, settings.gateway.max_ongoing_requests * 3 // 4
        )

    def admit(self, request: Request, role: RouteRole) -> None:
        """Note the caller in the log line, and its use of the key until the request ends.

        Raises:
            Unauthorized: no key, or none that is known.
            Forbidden: the key is not an operator's; or see ``Keyless``.
            TooManyRequests: above one of the key's limits, or an address that fails too often.
        """
        if role == "anybody":
            return
        if self._keys is None:
            self._keyless.admit(request, role)
            return
        context = context_of(request)
        key = self._key_of(request, self._keys)
        context.facts["api_key"] = key.name
        request.scope["state"][CALLER] = Caller(key.name, all_jobs=key.role == "operator")
        if role == "operator" and key.role != "operator":
            raise Forbidden("This route needs a key with the role `operator`")
        if ADMITTED in request.scope["state"]:  # a second question about the same request
            return
        request.scope["state"][ADMITTED] = True
        use = self._uses[key.name]
        self._check_limits(key, use)
        use.begin()
        context.resources.callback(use.end)

    def is_operator(self, request: Request) -> bool:
        """Whether one asks; for routes that are for anybody and tell operators more."""
        if self._keys is None:
            return self._keyless.is_near(request)
        key = find(self._keys.current(), _presented(request))
        return key is not None and key.role == "operator"

    def _key_of(self, request: Request, keys: KeySource) -> ApiKey:
        presented = _presented(request)
        key = find(keys.current(), presented)
        if key is not None:  # whatever else came from its address
            return key
        self._check_failures(request)
        if not presented:
            raise Unauthorized("An API key is needed: send `Authorization: Bearer KEY`")
        raise Unauthorized("This API key is not known here")

    def _check_failures(self, request: Request) -> None:
        # As the server sees it: what a client writes into X-Forwarded-For proves nothing.
        address = request.client.host if request.client else ""
        wait_s = self._failed.failed(address, self._clock())
        if wait_s > 0:
            most = self._failed.per_minute
            what = "The number of this address's failed authentications a minute"
            raise TooManyRequests(what, int(most) + 1, most, "auth.failures_per_minute", wait_s)

    def _check_limits(self, key: ApiKey, use: KeyUse) -> None:
        most = key.max_concurrent_requests or self._most_at_once
        if use.running >= most:
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


def _presented(request: Request) -> str:
    """The key in the request; empty if there is none."""
    scheme, _, presented = request.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() in SCHEMES:
        return presented.strip()
    return request.headers.get(KEY_HEADER, "").strip() if is_doclings(request.url.path) else ""


def caller_of(request: Request) -> Caller:
    """Who asks; where no keys are asked for, everybody is one, and sees everything."""
    caller = request.scope["state"].get(CALLER)
    return caller if isinstance(caller, Caller) else Caller(all_jobs=True)


@dataclass(frozen=True, eq=False, slots=True)
class Needs:
    """The dependency of a route: its role."""

    guard: Guard
    role: RouteRole

    async def __call__(self, request: Request) -> None:
        """Refuse whoever may not."""
        self.guard.admit(request, self.role)


def role_of(route: object) -> RouteRole | None:
    """The role that ``route`` needs; None if it asks nobody."""
    asked = [one.dependency for one in getattr(route, "dependencies", ())]
    needs = [one for one in asked if isinstance(one, Needs)]
    return needs[0].role if isinstance(route, APIRoute) and len(needs) == 1 else None


def check_roles(app: FastAPI) -> None:
    """Refuse an application that can be entered without being asked.

    Raises:
        RuntimeError: names the routes without a role.
    """
    bare = [getattr(route, "path", repr(route)) for route in app.routes if role_of(route) is None]
    if bare:
        raise RuntimeError(f"routes without a role: {', '.join(map(str, bare))}")
