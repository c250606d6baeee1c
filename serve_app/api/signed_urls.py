"""URLs that authorise themselves: for clients that fetch results without their key.

    …/jobs/<id>/<rest>?expires=<seconds since the epoch>&signature=<HMAC-SHA256>

The signature is over the job, the rest of the path and the expiry, so that it opens nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request

from serve_app.clock import epoch
from serve_app.errors import Forbidden


@dataclass(frozen=True, slots=True)
class Links:
    """Makes such URLs of one job.

    Attributes:
        secret: of the job store.
        base: absolute URL above the job's id, without a slash at its end.
        expires: seconds since the epoch.
    """

    secret: bytes
    base: str
    job_id: str
    expires: int

    def url(self, rest: str) -> str:
        """The URL of something below the job; ``rest`` as in ``check``."""
        signature = sign(self.secret, self.job_id, rest, self.expires)
        path = f"{self.base}/{self.job_id}/{quote(rest)}"
        return f"{path}?expires={self.expires}&signature={signature}"


def sign(secret: bytes, job_id: str, rest: str, expires: int) -> str:
    """64 hex digits."""
    text = f"{job_id}\n{rest}\n{expires}".encode("utf-8", "surrogatepass")
    return hmac.new(secret, text, hashlib.sha256).hexdigest()


def check(request: Request, secret: bytes, job_id: str, rest: str) -> None:
    """Let the request in if its query is signed for this.

    Raises:
        Forbidden: it is not, or its time is over.
    """
    if not is_signed(request.query_params, secret, job_id, rest):
        raise Forbidden("The URL is not signed for this: take it from the job's status")
    if _expires(request.query_params) <= epoch():
        raise Forbidden("The URL has expired: ask for the job's status again")


def is_signed(query: Mapping[str, str], secret: bytes, job_id: str, rest: str) -> bool:
    """Whether it was made here, for this; it may have expired."""
    signature = query.get("signature", "").encode("utf-8", "surrogatepass")
    wanted = sign(secret, job_id, rest, _expires(query)).encode()
    return hmac.compare_digest(signature, wanted)


def _expires(query: Mapping[str, str]) -> int:
    """Seconds since the epoch; 0 if it is no number."""
    given = query.get("expires", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 16 else 0
