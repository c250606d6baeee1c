"""JSON written piece by piece, so that no answer has to exist as one object or one string."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping


def dump(value: object) -> bytes:
    """JSON in UTF-8; a lone surrogate, which UTF-8 cannot hold, becomes a question mark."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def base64_string(data: bytes) -> Iterator[bytes]:
    """A JSON string with ``data`` in base64."""
    yield b'"'
    yield base64.b64encode(data)
    yield b'"'


def base64_object(images: Mapping[str, bytes]) -> Iterator[bytes]:
    """A JSON object of base64 strings."""
    yield b"{"
    for number, (key, data) in enumerate(images.items()):
        yield (b"," if number else b"") + dump(key) + b":"
        yield from base64_string(data)
    yield b"}"
