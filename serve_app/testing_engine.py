"""A fake pipeline for the engine host: it computes nothing and fails on command.

Its file is JSON that says what to do, e.g. ``{"crash": 9}``; see ``FakeHandler.handle``. Behind
the same process, channel and deadlines as the real one. Never configured outside tests.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from serve_app.document import PageResult
from serve_app.engines.codec import encode_result
from serve_app.errors import InvalidFile

FACTORY = "serve_app.testing_engine:build"


def build(spec: dict[str, Any]) -> FakeHandler:
    """``spec["load"]``: what to do while loading, as for a page."""
    _act(spec.get("load", {}))
    return FakeHandler()


class FakeHandler:
    """Does what the file says, then answers with the engine's pid as the page's text."""

    def __init__(self) -> None:
        self._eaten: list[bytearray] = []

    def handle(self, job: dict[str, Any], data: bytes) -> list[bytes]:
        """Commands: sleep_s, fail, invalid, memory_error, exit, crash, eat_bytes, big_bytes,
        garbage (an answer that is no page result)."""
        command = json.loads(data)
        self._eaten.append(bytearray(os.urandom(1) * command.get("eat_bytes", 0)))
        _act(command)
        if command.get("garbage"):
            return [b"\xff\xff\xff\xff garbage"]
        text = (str(os.getpid()), *job.get("options", {}).get("predict", {}))
        images = {"big": bytes(command["big_bytes"])} if "big_bytes" in command else {}
        return encode_result(PageResult(job.get("index", 0), 10, 20, b"{}", text, images=images))


def _act(command: dict[str, Any]) -> None:
    if line := command.get("print"):
        print(line, flush=True)
    time.sleep(command.get("sleep_s", 0))
    if "fail" in command:
        raise RuntimeError(command["fail"])
    if "invalid" in command:
        raise InvalidFile(command["invalid"])
    if "memory_error" in command:
        raise MemoryError
    if "exit" in command:
        sys.exit(command["exit"])
    if "crash" in command:
        os.kill(os.getpid(), command["crash"])
