"""When a job's end is told to its callback, and when that is given up. Pure.

The delivery is part of the job's record, so it survives restarts; who is about to tell it moves the
next try into the future first, so that no two gateways do at once. One that dies meanwhile leaves
that try to be made again: receivers see the same id twice, and may drop the second.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace

from serve_app.policy.job import Job, LeaseLost

MAX_TRIES = 10
# Waits between two tries: 5 s, doubled up to half an hour; 10 tries take about an hour.
FIRST_WAIT_S, MAX_WAIT_S = 5.0, 1800.0
GONE = 410
SECRET_PREFIX = "whsec_"  # nosec B105  # how such a secret begins
MIN_SECRET_BYTES = 24


def claimed(job: Job, now: float, lease_s: float) -> Job:
    """About to be told.

    Raises:
        LeaseLost: somebody else does, or did.
    """
    if job.callback_at is None or job.callback_at > now or not job.ended:
        raise LeaseLost("the callback is not due")
    return replace(job, callback_at=now + lease_s, callback_tries=job.callback_tries + 1)


def answered(job: Job, status: int | None, now: float) -> Job:
    """What follows from the answer; None: there was none."""
    if status is not None and 200 <= status < 300:
        return replace(job, callback_at=None, callback_state="delivered")
    if status == GONE or job.callback_tries >= MAX_TRIES:
        return replace(job, callback_at=None, callback_state="given_up")
    wait_s = min(MAX_WAIT_S, FIRST_WAIT_S * 2.0 ** (job.callback_tries - 1))
    return replace(job, callback_at=now + wait_s)


def refused(job: Job) -> Job:
    """Its URL is not one to speak to."""
    return replace(job, callback_at=None, callback_state="given_up")


def read_secret(text: str) -> bytes:
    """The key in ``whsec_<base64>``.

    Raises:
        ValueError: it is none, or too short to be one. Never quotes it.
    """
    try:
        key = base64.b64decode(text.strip().removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        raise ValueError("the secret of webhooks is not base64") from None
    if len(key) < MIN_SECRET_BYTES:
        raise ValueError(f"the secret of webhooks has fewer than {MIN_SECRET_BYTES} bytes")
    return key


def signed_headers(secret: bytes, message_id: str, at: int, body: bytes) -> Mapping[str, str]:
    """Those of the Standard Webhooks specification, version 1."""
    told = f"{message_id}.{at}.".encode() + body
    signature = base64.b64encode(hmac.new(secret, told, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{signature}",
    }
