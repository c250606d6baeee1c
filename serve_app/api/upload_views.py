"""Uploads as JSON of our own API."""

from __future__ import annotations

from typing import Any

from serve_app.api.job_views import utc
from serve_app.policy.job import Job
from serve_app.policy.upload_parts import received


def upload_view(upload: Job, name: str) -> dict[str, Any]:
    """One upload; ``name``: what its client calls the file."""
    return {
        "id": upload.id,
        "name": name,
        "bytes": upload.input_bytes,
        "received": received(upload),
        "complete": not upload.missing_bytes,
        "created_at": utc(upload.submitted_at),
        "expires_at": utc(upload.expires_at),
        "links": {"self": f"/v1/uploads/{upload.id}"},
    }
