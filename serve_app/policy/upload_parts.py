"""A file that comes in parts: each begins where the last one ended. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from serve_app.errors import InvalidRequest, TooManyParts, UploadOffset
from serve_app.policy.job import Job


@dataclass(frozen=True, slots=True)
class Part:
    """One that has come.

    Attributes:
        name: of its file; no two have the same, so that of two that come at once one is kept.
        at: where it begins.
        expires_at: the upload is forgotten then, unless another part comes.
    """

    name: str
    at: int
    size_bytes: int
    expires_at: float


def received(upload: Job) -> int:
    """Bytes that are there."""
    return upload.input_bytes - upload.missing_bytes


def check_part(upload: Job, at: int, size_bytes: int, most_parts: int) -> None:
    """Refuse a part that is not the next one.

    Raises:
        UploadOffset: it begins elsewhere.
        InvalidRequest: it has more bytes than are missing.
        TooManyParts: there are ``most_parts`` of them.
    """
    if at != received(upload):
        raise offset_error(upload)
    if size_bytes > upload.missing_bytes:
        raise InvalidRequest(
            f"The upload was begun with {upload.input_bytes} bytes, and the part has bytes beyond"
        )
    if len(upload.parts) >= most_parts:
        what = "The number of parts that the file has come in"
        raise TooManyParts(what, len(upload.parts) + 1, most_parts, "jobs.max_upload_parts")


def part_stored(upload: Job, part: Part, most_parts: int) -> Job:
    """The upload with one more part.

    Raises: as ``check_part``.
    """
    check_part(upload, part.at, part.size_bytes, most_parts)
    return replace(
        upload,
        parts=(*upload.parts, part.name),
        missing_bytes=upload.missing_bytes - part.size_bytes,
        expires_at=part.expires_at,
    )


def offset_error(upload: Job) -> UploadOffset:
    """Where the next part begins."""
    there = received(upload)
    text = f"{there} of {upload.input_bytes} bytes are there"
    missing = f"{text}: go on at byte {there}" if upload.missing_bytes else f"{text}: it is whole"
    error = UploadOffset(missing)
    error.received = there
    return error
