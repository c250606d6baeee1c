"""Answers with files of the package: packed where the client takes that, not sent twice."""

from __future__ import annotations

import html
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from serve_app.ui.files import StaticFile

PREFIX = "{{prefix}}"
# Kept, but asked for again: an upgrade is seen at once, and costs a 304 each.
CACHE = {"cache-control": "no-cache", "vary": "accept-encoding"}


def file_response(
    request: Request, files: Mapping[str, StaticFile], name: str, policy: str = ""
) -> Response:
    """The file ``name``; ``policy``: a page's Content-Security-Policy.

    Raises:
        HTTPException: 404, there is none.
    """
    file = files.get(name)
    if file is None:
        raise HTTPException(404)
    headers = {**CACHE, "etag": file.etag}
    if policy:
        headers["content-security-policy"] = policy
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        return Response(file.packed, media_type=file.media_type, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)


def page_response(request: Request, file: StaticFile, policy: str) -> Response:
    """A page that is told where it is: a proxy may have put us below a prefix."""
    prefix = request.scope.get("root_path", "").rstrip("/")
    text = file.content.decode().replace(PREFIX, html.escape(prefix))
    headers = {**CACHE, "content-security-policy": policy}
    return Response(text, media_type=file.media_type, headers=headers)
