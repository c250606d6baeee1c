"""Who may not ask, or not so often."""

from __future__ import annotations

from serve_app.errors.base import LimitExceeded, OcrServeError


class Unauthorized(OcrServeError):
    """There is no API key in the request, or none that is known."""

    code = "unauthorized"
    status = 401


class Forbidden(OcrServeError):
    """The API key is known, but its role is not enough for this route."""

    code = "forbidden"
    status = 403


class HostRefused(Forbidden):
    """The Host header is not a name of this server: a web page may have made DNS say so."""

    code = "host_refused"


class OriginRefused(Forbidden):
    """A browser sends it for a web page of another site."""

    code = "origin_refused"


class KeysNeeded(Forbidden):
    """An operator's route, asked from another machine while no keys are in use."""

    code = "keys_needed"


class TooManyRequests(LimitExceeded):
    """The API key is above one of its own limits, or an address fails too often with unknown ones.

    Args: what, the value met, the limit, its key in the list of API keys, seconds until a retry.
    """

    code = "too_many_requests"
    status = 429

    def __init__(
        self,
        what: str,
        value: float,
        limit: float,
        config_key: str,
        retry_after_s: float = 1.0,
    ) -> None:
        super().__init__(what, value, limit, config_key)
        self.args = (what, value, limit, config_key, retry_after_s)
        self.retry_after_s = retry_after_s
