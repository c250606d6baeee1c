"""What all errors are made of."""

from __future__ import annotations


class OcrServeError(Exception):
    """Base of all errors with a stable code.

    Attributes:
        outside: what a client is told instead of ``str(error)``; None: that may be told.
    """

    code: str = "internal"
    status: int = 500
    retry_after_s: float | None = None
    outside: str | None = None

    @property
    def client_message(self) -> str:
        """For whoever asked: no path, pid or text of an exception."""
        return self.outside or str(self) or self.code.replace("_", " ")


class InvalidRequest(OcrServeError):
    """A field or parameter of the request is wrong."""

    code = "invalid_request"
    status = 422


class LimitExceeded(InvalidRequest):
    """A limit of the configuration was broken.

    Args: limit's meaning, the value met, the limit, the configuration key that sets it.
    """

    code = "limit_exceeded"

    def __init__(self, what: str, value: float, limit: float, config_key: str) -> None:
        super().__init__(what, value, limit, config_key)
        self.what, self.value, self.limit, self.config_key = what, value, limit, config_key

    def __str__(self) -> str:
        value, limit = _number(self.value), _number(self.limit)
        return f"{self.what} is {value}, the limit is {limit} ({self.config_key})"


def _number(value: float) -> str:
    """Whole numbers in full (40000000, not 4e+07), others short."""
    return str(int(value)) if value == int(value) else f"{value:g}"
