"""The HTTP edge: bodies, keys, URLs, the page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import (
    Field,
)

from serve_app.settings.values import AutoInt, PositiveFloat, PositiveInt, Strict


class QuarantineSettings(Strict):
    """Pages that ended two engines are refused for a while, per gateway."""

    max_pages: PositiveInt = Field(1024, description="Beyond them the oldest is forgotten.")
    expire_s: PositiveFloat = Field(3600.0, description="After this long it is tried again.")


class GatewaySettings(Strict):
    """The HTTP edge."""

    num_replicas: PositiveInt = 1
    num_cpus: float = Field(0.25, ge=0)
    max_ongoing_requests: PositiveInt = Field(
        64,
        description="Requests under way per replica, their bodies read; beyond them 503. Batch "
        "work: half of them.",
    )
    max_uploads: PositiveInt = Field(
        1024,
        description="Bodies that are being read per replica, beside those. Beyond them the slowest "
        "one is ended.",
    )
    max_body_bytes_total: AutoInt = Field(
        2**30,
        description="Bytes of request bodies that a replica holds; beyond them 503. auto: a share "
        "of the machine's memory.",
    )
    body_timeout_s: PositiveFloat = Field(300.0, description="Deadline of a body, then 408.")
    min_body_bytes_per_s: int = Field(
        8192, ge=0, description="A body that comes slower, on average, gets 408. 0: none does."
    )
    body_grace_s: PositiveFloat = Field(
        10.0, description="The average does not count before; also what a body may stall."
    )
    max_spool_bytes_total: PositiveInt = Field(
        2 * 2**30, description="Bytes of answers on the temporary disk per replica; then 503."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (".svc", ".svc.cluster.local"),
        description="Where no key is asked for: names that a Host header may have, beside "
        "addresses, localhost and names without a dot; `.example.com`: also all below.",
    )
    allowed_origins: tuple[str, ...] = Field(
        (),
        description="Web pages of other sites that may call, e.g. https://app.example.com; those "
        "of all others are refused where no key is asked for.",
    )
    max_queued_requests: PositiveInt = Field(
        1024,
        description="Waiting in each of Serve's proxies: a burst is handed on one by one, and what "
        "finds no room is dropped by Serve, whoever sent it.",
    )
    window_pages: PositiveInt = Field(
        4, description="Pages of one document in flight or waiting to be assembled."
    )
    request_timeout_s: PositiveFloat = Field(
        600.0, description="Deadline of a request: queue, load and run. Above a cold load."
    )
    drain_timeout_s: float = Field(
        30.0, ge=0, description="For requests under way when `ocr-serve run` is told to stop."
    )
    max_assemblies: PositiveInt = Field(
        2, description="PDF and Word answers put together at once, each in a process of its own."
    )
    inspect_timeout_s: PositiveFloat = Field(
        20.0,
        description="Deadline for reading a file's headers and page sizes, and for a place to.",
    )
    readers: PositiveInt = Field(
        4, description="Files whose headers are read at once per replica, each in its own process."
    )


class AuthSettings(Strict):
    """API keys (``api/api_keys.py`` has the format of their list)."""

    required: bool = Field(
        False, description="Whether requests need a key. Probes and /docs never do."
    )
    keys_file: Path | None = Field(
        None, description="The list of keys: their hashes. Read again when it changes."
    )
    keys_env: str = Field(
        "OCR_SERVE_API_KEYS",
        description="The variable with the same list, where there is no file.",
    )
    max_concurrent_requests: PositiveInt | None = Field(
        None,
        description="Of a key whose entry says nothing else, per gateway replica; default: three "
        "quarters of gateway.max_ongoing_requests.",
    )
    failures_per_minute: PositiveFloat = Field(
        30.0, description="Failed authentications of one address that are told so; then 429."
    )


class UrlFetchSettings(Strict):
    """Files given as URLs (``policy/url_guard.py``)."""

    enabled: bool = Field(False, description="Whether they are fetched; else they are refused.")
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Hosts to fetch from; `.example.com`: also all below. Empty: any public."
    )
    ports: tuple[Annotated[int, Field(gt=0, lt=65536)], ...] = Field(
        (80, 443), description="TCP ports to fetch from."
    )
    max_bytes: PositiveInt = Field(64 * 2**20, description="Bytes of a file.")
    timeout_s: PositiveFloat = Field(20.0, description="Deadline for a file, redirects included.")
    max_redirects: int = Field(3, ge=0, description="Each of them is checked like the first URL.")


class UiSettings(Strict):
    """The pages for people (``ui/``)."""

    enabled: bool = Field(
        True, description="Whether there are / and /ui/. They need no key, what they show does."
    )
