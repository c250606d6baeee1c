"""Webhooks as configured: who signs, and how they are sent."""

from __future__ import annotations

from collections.abc import Mapping

from serve_app.api.job_views import callback_body
from serve_app.api.url_post import UrlPoster
from serve_app.jobs.ports import JobStore
from serve_app.jobs.webhooks import Webhooks
from serve_app.policy.webhook import read_secret
from serve_app.settings import AppSettings

VARIABLE = "OCR_SERVE_WEBHOOK_SECRET"


def webhooks_of(
    settings: AppSettings, store: JobStore, environ: Mapping[str, str]
) -> Webhooks | None:
    """None, if they are turned off.

    Raises:
        ValueError: the secret is missing, or none.
    """
    if not settings.jobs.webhooks:
        return None
    given = environ.get(VARIABLE, "")
    if not given:
        raise ValueError(f"jobs.webhooks is true, but ${VARIABLE} is not set (whsec_ and base64)")
    return Webhooks(store, UrlPoster(settings.url_fetch), callback_body, read_secret(given))
